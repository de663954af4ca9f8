//! Preparing: each step looks, does what is missing, looks again, and writes down what it has made.

use super::compare::look;
use super::graph::{Graph, State, Step};
use super::inventory::{Existing, Glance, Inventory, Spot, no_machine};
use super::record::{Made, Record, Undo};
use super::site::Site;
use super::task::{Machine, SHARED, Task};
use super::walk::{End, walk};
use crate::context::{Action, Context};
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Level;
use crate::lab::estate::Estate;
use crate::lab::hold::Hold;
use crate::lab::host::Host;
use crate::lab::pool::Pool;
use crate::lab::roster::Lab;
use crate::sequence::topology::{Topology, VmStep};
use crate::toolstack::{self, Class, Ref};
use crate::vars::Variables;
use crate::wire::serve::Server;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How many steps run at a time when nobody says it.
const WORKERS: usize = 8;
/// How often a step is done that may be done again, and the pause between.
const ATTEMPTS: u32 = 2;
const PAUSE: Duration = Duration::from_secs(1);

/// What is called on a VM once it runs: whoever knows the names that sequences have for it.
pub trait Afterwards: Sync {
    /// # Errors
    /// `NotFound`: there is no such thing to be done; those of what is done.
    fn call(&self, guest: &str, step: &VmStep, context: &Context) -> Result<()>;
}

/// What became of a preparation.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub graph: Graph,
    /// What became of each step.
    pub ends: Vec<End>,
}

impl Prepared {
    /// The steps that failed by themselves, with why.
    pub fn failures(&self) -> impl Iterator<Item = (&Step, &Error)> {
        self.graph.steps.iter().zip(&self.ends).filter_map(|(step, end)| match end {
            End::Failed(error) => Some((step, error)),
            _ => None,
        })
    }

    /// How many steps did something.
    pub fn done(&self) -> usize {
        self.ends.iter().filter(|end| matches!(end, End::Done)).count()
    }
}

/// Prepares.
pub struct Maker<'a> {
    pub(super) lab: &'a Lab,
    pub(super) variables: &'a Variables,
    pub(super) context: &'a Context,
    pub(super) afterwards: &'a dyn Afterwards,
    pub(super) run: &'a str,
    record: Record,
    /// What testcases call the machines.
    names: Mutex<BTreeMap<Machine, Vec<String>>>,
    /// Where each machine is now.
    pub(super) machines: Mutex<BTreeMap<Machine, (Arc<Estate>, Ref)>>,
    /// The VMs that are known, by their machine's name and theirs.
    guests: Mutex<HashMap<(Machine, String), Ref>>,
    /// Who makes or changes networks of pools does so alone: what one does, another sees.
    pub(super) networks: Mutex<()>,
    /// Serves answers to installers, once one is needed.
    pub(super) server: OnceLock<Server>,
    ended: AtomicUsize,
}

/// What a preparation is made with.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    pub lab: &'a Lab,
    pub variables: &'a Variables,
    pub context: &'a Context,
    pub afterwards: &'a dyn Afterwards,
    /// Name of the run, which what is made carries.
    pub run: &'a str,
    /// Where the run keeps its results.
    pub results: &'a std::path::Path,
}

impl<'a> Maker<'a> {
    pub fn new(means: Means<'a>) -> Maker<'a> {
        let Means { lab, variables, context, afterwards, run, results } = means;
        Maker {
            lab,
            variables,
            context,
            afterwards,
            run,
            record: Record::new(results),
            names: Mutex::default(),
            machines: Mutex::default(),
            guests: Mutex::default(),
            networks: Mutex::default(),
            server: OnceLock::new(),
            ended: AtomicUsize::new(0),
        }
    }

    /// The steps of a topology, with what there is of each.
    ///
    /// # Errors
    /// Those of the toolstacks.
    pub fn graph(&self, topology: &Topology, hosts: bool) -> Result<Graph> {
        let has_isos = Site::new(self.variables).value("EXPORT_ISO_NFS")?.is_some();
        let no_isos = self.variables.boolean("NO_ISO_SRS")?.unwrap_or(false);
        let mut graph = Graph::of(topology, super::Scope { hosts, has_isos: has_isos && !no_isos });
        let inventory = self.survey(&graph)?;
        graph.compare(&inventory, Site::new(self.variables));
        Ok(graph)
    }

    /// Does what is to be done, as many steps at a time as `PREPARE_WORKERS` says.
    ///
    /// # Errors
    /// A variable that makes no sense. What goes wrong with a step is in the result.
    pub fn prepare(&self, graph: Graph) -> Result<Prepared> {
        let workers = match self.variables.number("PREPARE_WORKERS")? {
            Some(0) => return Err(Error::new(Kind::Malformed, "`PREPARE_WORKERS` is 0: nobody would work").blame(Blame::User)),
            Some(workers) => usize::try_from(workers).unwrap_or(WORKERS),
            None => WORKERS,
        };
        graph.notes.iter().for_each(|note| self.context.log(Level::Warning, note.clone()));
        let cancel = self.context.cancel();
        let ends = walk(&graph, workers, &|| cancel.is_raised(), &|at| {
            let result = self.step(&graph.steps[at]);
            let ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
            let part = ended as f64 / graph.steps.len() as f64;
            self.context.progress(None, format!("{ended} of {} steps", graph.steps.len()), Some(part));
            result
        });
        Ok(Prepared { graph, ends })
    }

    /// Gives what is there already its names in the run.
    ///
    /// # Errors
    /// Those of the toolstacks.
    pub fn recall(&self, graph: &Graph) -> Result<()> {
        graph.steps.iter().filter(|step| !step.state.is_open()).try_for_each(|step| self.introduce(step))
    }

    /// Does a step; returns whether there was something to do.
    fn step(&self, step: &Step) -> Result<bool> {
        // Nobody else makes what was there when everything was looked at, and nobody takes it away. But where a host has addresses that
        // it is to have no longer, is only known once its others are settled.
        let is_settled = step.state == State::There && !matches!(step.task, Task::Bare { .. });
        let is_done = if is_settled { false } else { self.open(step)? };
        self.introduce(step)?;
        Ok(is_done)
    }

    fn open(&self, step: &Step) -> Result<bool> {
        let attempts = if step.safe_to_retry { ATTEMPTS } else { 1 };
        let mut attempt = 1;
        loop {
            match self.attempt(step) {
                Err(error) if attempt < attempts && may_pass(&error) => {
                    self.context.log(Level::Warning, format!("{}: {}; once more", step.id, error.what));
                    self.context.cancel().sleep(PAUSE)?;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn attempt(&self, step: &Step) -> Result<bool> {
        match self.now(&step.task)? {
            State::There => return Ok(false),
            State::Foreign(why) => {
                self.context.log(Level::Warning, format!("{}: left as it is: {why}", step.id));
                return Ok(false);
            }
            State::Impossible(why, help) => return Err(Error::new(Kind::Unsupported, why).blame(Blame::Lab).help(help)),
            State::Differs(_) | State::Missing | State::Unknown => {}
        }
        self.context.action(step.task.subject().as_deref(), &step.what, |action| self.make(&step.task, action))?;
        match self.now(&step.task)? {
            State::There | State::Foreign(_) => Ok(true),
            state => {
                let why = state.why().map_or_else(|| state.word().to_string(), str::to_string);
                Err(Error::new(Kind::Refused, format!("it was done ({}), and all the same: {why}", step.what)))
            }
        }
    }

    fn make(&self, task: &Task, action: &Action<'_>) -> Result<()> {
        match task {
            Task::Vm(task) => self.vm(task, action),
            other => self.ground(other, action),
        }
    }

    /// What there is of a task right now.
    pub(super) fn now(&self, task: &Task) -> Result<State> {
        look(task, &self.inventory(task)?, Site::new(self.variables))
    }

    /// What exists where a task is done, as far as it matters for it.
    pub(super) fn inventory(&self, task: &Task) -> Result<Inventory> {
        let mut inventory = Inventory::default();
        let mut estates: Vec<Arc<Estate>> = Vec::new();
        for machine in task.machines() {
            let Ok((estate, host)) = self.whereabouts(machine) else { continue };
            let known = estates.iter().position(|known| Arc::ptr_eq(known, &estate));
            let place = match known {
                Some(place) => place,
                None => {
                    inventory.estates.push(self.existing(task, &estate)?);
                    estates.push(estate);
                    estates.len() - 1
                }
            };
            inventory.machines.insert(machine.clone(), Spot { estate: place, host });
        }
        Ok(inventory)
    }

    fn existing(&self, task: &Task, estate: &Estate) -> Result<Existing> {
        let glance = match task {
            Task::Vm(task) => {
                let name = task.vm.display_name();
                let known = self.lock_guests().get(&(task.at.clone(), name.clone())).cloned();
                Glance::Vm { name, known, part: &task.part }
            }
            _ => Glance::Ground,
        };
        estate.ask(self.context, |toolstack, watch| Existing::glance(toolstack, &glance, watch))
    }

    /// Reads what exists in all pools that machines of the graph are in, and holds fast which host each machine is.
    fn survey(&self, graph: &Graph) -> Result<Inventory> {
        let mut inventory = Inventory::default();
        let mut estates: Vec<Arc<Estate>> = Vec::new();
        for step in &graph.steps {
            if let Task::Host(machine) = &step.task {
                self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(machine.clone(), step.serves.clone());
            }
        }
        let machines: Vec<&Machine> = graph.steps.iter().flat_map(|step| step.task.machines()).collect();
        for machine in machines {
            if inventory.machines.contains_key(machine) {
                continue;
            }
            let Some((estate, host)) = self.find(machine)? else { continue };
            let place = match estates.iter().position(|known| Arc::ptr_eq(known, &estate)) {
                Some(place) => place,
                None => {
                    inventory
                        .estates
                        .push(estate.ask(self.context, |toolstack, watch| Existing::glance(toolstack, &Glance::All, watch))?);
                    estates.push(estate.clone());
                    estates.len() - 1
                }
            };
            self.settle(machine, &estate, &host.reference);
            inventory.machines.insert(machine.clone(), Spot { estate: place, host: host.reference });
        }
        self.look_into(graph, &mut inventory, &estates)?;
        Ok(inventory)
    }

    /// The insides of the VMs that are there.
    fn look_into(&self, graph: &Graph, inventory: &mut Inventory, estates: &[Arc<Estate>]) -> Result<()> {
        let mut seen = Vec::new();
        for step in &graph.steps {
            let Task::Vm(task) = &step.task else { continue };
            let (name, Some(spot)) = (task.vm.display_name(), inventory.machines.get(&task.at)) else { continue };
            let place = spot.estate;
            if seen.contains(&(place, name.clone())) {
                continue;
            }
            let existing = &mut inventory.estates[place];
            estates[place].ask(self.context, |toolstack, watch| existing.look_into(&name, toolstack, watch))?;
            if let Some(guest) = existing.vm(&name) {
                self.knows(&task.at, &name, &guest.reference);
            }
            seen.push((place, name));
        }
        Ok(())
    }

    /// The host that a machine of the run is.
    fn find(&self, machine: &str) -> Result<Option<(Arc<Estate>, toolstack::Host)>> {
        let name = match machine {
            SHARED => match Site::new(self.variables).value(SHARED)? {
                Some(name) => name,
                None => return Ok(None),
            },
            numbered => numbered.to_string(),
        };
        match self.lab.find_host(Some(&name), self.context) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// From now on a machine is this host.
    pub(super) fn settle(&self, machine: &Machine, estate: &Arc<Estate>, host: &Ref) {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(machine).into_iter().flatten().for_each(|name| self.lab.call(name.clone(), estate, host));
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        machines.insert(machine.clone(), (estate.clone(), host.clone()));
    }

    pub(super) fn whereabouts(&self, machine: &Machine) -> Result<(Arc<Estate>, Ref)> {
        let machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        machines.get(machine).cloned().ok_or_else(|| no_machine(machine))
    }

    pub(super) fn hold(&self, machine: &Machine) -> Result<(Hold, Ref)> {
        let (estate, host) = self.whereabouts(machine)?;
        Ok((Hold::new(estate, self.context.clone()), host))
    }

    pub(super) fn host(&self, machine: &Machine) -> Result<Host> {
        let (hold, reference) = self.hold(machine)?;
        let record = hold.ask(|toolstack, watch| toolstack.host(&reference, watch))?;
        Ok(Host::new(hold.estate, &record, self.context.clone()))
    }

    pub(super) fn pool(&self, machine: &Machine) -> Result<Pool> {
        let (hold, _) = self.hold(machine)?;
        let record = hold.ask(|toolstack, watch| toolstack.pool(watch))?;
        Ok(Pool::new(hold.estate, &record, self.context.clone()))
    }

    pub(super) fn knows(&self, machine: &Machine, name: &str, guest: &Ref) {
        self.lock_guests().insert((machine.clone(), name.to_string()), guest.clone());
    }

    fn lock_guests(&self) -> MutexGuard<'_, HashMap<(Machine, String), Ref>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A guest by its name in the sequence.
    pub(super) fn guest_ref(&self, machine: &Machine, name: &str) -> Result<Ref> {
        let known = self.lock_guests().get(&(machine.clone(), name.to_string())).cloned();
        known.ok_or_else(|| Error::new(Kind::NotFound, format!("the VM {name} is gone")).blame(Blame::Lab))
    }

    /// What something is called until it is written down that it was made: nothing else has this name.
    pub(super) fn while_made(&self, name: &str) -> String {
        format!("{name} ({})", self.run)
    }

    /// Writes down that something is about to be made, so that it is found even if nobody comes to say that it was.
    pub(super) fn begin(&self, hold: &Hold, what: &str, class: Class, name: &str, at: Option<&Ref>) -> Result<()> {
        let pool = hold.ask(|toolstack, watch| toolstack.pool(watch))?.uuid;
        let at = at.map(|at| self.uuid(hold, at)).transpose()?;
        let undo = Undo::Begun { class, name: name.to_string(), at };
        self.write(Made { run: self.run.to_string(), pool, uuid: String::new(), what: what.to_string(), undo })
    }

    pub(super) fn uuid(&self, hold: &Hold, thing: &Ref) -> Result<String> {
        Ok(hold.get(thing, "uuid", None)?.as_str().unwrap_or_default().to_string())
    }

    /// Writes down that something was made or changed.
    pub(super) fn made(&self, hold: &Hold, thing: &Ref, what: &str, undo: Undo) -> Result<()> {
        let pool = hold.ask(|toolstack, watch| toolstack.pool(watch))?.uuid;
        let uuid = self.uuid(hold, thing)?;
        self.write(Made { run: self.run.to_string(), pool, uuid, what: what.to_string(), undo })
    }

    pub(super) fn write(&self, made: Made) -> Result<()> {
        self.record.add(&made)
    }

    /// Gives what a step is about its names in the run, so that testcases find it by them.
    fn introduce(&self, step: &Step) -> Result<()> {
        match &step.task {
            Task::Pool { master, .. } => {
                let (hold, _) = self.hold(master)?;
                let pool = hold.ask(|toolstack, watch| toolstack.pool(watch))?.reference;
                step.serves.iter().for_each(|name| self.lab.call(name.clone(), &hold.estate, &pool));
            }
            // A display name is found by itself, also when a testcase has made the VM anew.
            Task::Vm(task) if task.vm.suffix.is_some() => {
                let (hold, _) = self.hold(&task.at)?;
                let guest = self.guest_ref(&task.at, &task.vm.display_name())?;
                self.lab.call(task.vm.name.clone(), &hold.estate, &guest);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What the other side may say otherwise the next time.
fn may_pass(error: &Error) -> bool {
    matches!(error.kind, Kind::Unreachable | Kind::Timeout)
}
