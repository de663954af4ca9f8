//! From a sequence that was read to a plan: ids become testcases, arguments get their types, and everything gets its identity.
//!
//! Nothing is run and nothing is asked of a machine here. What is wrong is told all at once; a lenient reading goes on without it.
//!
//! # Source
//! The original's sequences, with its known faults mended: what has no testcase is told before anything runs, or becomes an errored case
//! and not the end of everything; the second of a name is another case; a dependency that cannot hold is found before it crashes.

mod depends;
mod found;
mod resolve;
mod rules;

use super::plan::shared;
use super::select::select;
use super::{Group, Note, Plan, PlannedCase, Preparation, Step, Work};
use crate::diagnostic::Diagnostic;
use crate::error::{Blame, Error, Kind, Result};
use crate::event::{Place, Role};
use crate::name::CaseIds;
use crate::script::{Args, Catalog, Origin};
use crate::sequence::{self, Action, Case, Filter, Marvin, Mode, Node, Sequence};
use crate::vars::Variables;
use depends::Dependencies;
use found::Found;
use resolve::{Resolved, Resolver};
use std::sync::Arc;
use std::time::Duration;

/// What of a sequence is run, and how.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub mode: Mode,
    pub filter: Filter,
    /// Without what the sequence prepares (`--noprepare`).
    pub no_prepare: bool,
    /// Without hosts, networks, storage and pools in what it prepares (`--nohostprepare`).
    pub no_host_prepare: bool,
    /// Without clean-ups (`--no-finally`).
    pub no_finally: bool,
    /// Limit of each serial and parallel, instead of what the sequence says.
    pub group_limit: Option<Duration>,
}

/// Makes a plan of a sequence. What is wrong with it comes beside the plan, in the order of the file; with errors among that, the plan
/// is only good for being shown.
///
/// # Errors
/// A directory with scripts cannot be read.
pub fn settle(
    sequence: &Sequence,
    variables: &Variables,
    catalog: &Catalog,
    selection: &Selection,
) -> Result<(Plan, Vec<Diagnostic>)> {
    let mut found = Found::new(sequence, selection.mode);
    let plan = rules::plan(sequence, variables, &mut found);
    let mut settling = Settling {
        sequence,
        selection,
        resolver: Resolver::new(catalog),
        dependencies: Dependencies::default(),
        ids: CaseIds::default(),
        groups: 0,
        plan,
        found,
    };
    settling.root()?;
    let Settling { mut plan, mut found, dependencies, .. } = settling;
    dependencies.settle(&mut plan, &mut found);
    let mut diagnostics = found.sorted();
    diagnostics.extend(select(&mut plan, &selection.filter));
    Ok((plan, diagnostics))
}

struct Settling<'a> {
    sequence: &'a Sequence,
    selection: &'a Selection,
    resolver: Resolver<'a>,
    dependencies: Dependencies,
    ids: CaseIds,
    /// How many groups there are besides the root.
    groups: u32,
    plan: Plan,
    found: Found<'a>,
}

/// The children of a group in the making.
#[derive(Default)]
struct Children {
    steps: Vec<Step>,
    notes: Vec<Note>,
}

/// Where a node is put.
#[derive(Clone, Copy)]
struct Inside {
    group: u32,
    role: Role,
    /// How many loops, conditions and includes it is inside of in its group.
    depth: usize,
}

impl Settling<'_> {
    fn root(&mut self) -> Result<()> {
        let mut root = Group::default();
        let mut children = Children::default();
        let inside = Inside { group: root.number, role: Role::Action, depth: 0 };
        self.prepare(inside, None, &mut children);
        if let Some(tests) = &self.sequence.root {
            root = Group { number: root.number, ..self.shell(tests) };
            self.fill(&mut root, tests, Role::Testcase, children)?;
        } else {
            (root.steps, root.notes) = (children.steps, children.notes);
        }
        self.plan.root = root;
        // A sequence that only prepares passes without tests; one of which nothing is left does not.
        self.plan.criteria.expects_tests = self.sequence.root.is_some() || self.plan.cases.is_empty();
        Ok(())
    }

    /// A serial or parallel without what is in it.
    fn shell(&self, group: &sequence::Group) -> Group {
        Group {
            number: self.groups,
            order: group.order,
            label: group.labels.group.clone().unwrap_or_default(),
            workers: group.workers,
            blocker: group.blocker,
            timeout: group.timeout,
            written: Some(group.place.clone()),
            ..Group::default()
        }
    }

    fn group(&mut self, group: &sequence::Group, role: Role) -> Result<Group> {
        self.groups += 1;
        let mut made = self.shell(group);
        made.timeout = self.selection.group_limit.or(made.timeout);
        self.fill(&mut made, group, role, Children::default())?;
        Ok(made)
    }

    /// Puts what is in a group into it, after `children`.
    fn fill(&mut self, made: &mut Group, group: &sequence::Group, role: Role, mut children: Children) -> Result<()> {
        self.dependencies.enter(made);
        let inside = Inside { group: made.number, role, depth: 0 };
        self.nodes(&group.nodes, inside, &mut children)?;
        let mut finally = Children::default();
        if !self.selection.no_finally {
            self.nodes(&group.finally, Inside { role: Role::Cleanup, ..inside }, &mut finally)?;
        } else if !group.finally.is_empty() {
            finally.notes.push(left_out("finally", "--no-finally", Some(&group.place)));
        }
        self.dependencies.leave();
        let first = children.steps.len();
        for note in &mut finally.notes {
            note.made = note.made.start + first..note.made.end + first;
            note.in_finally = true;
        }
        children.notes.append(&mut finally.notes);
        (made.steps, made.finally, made.notes) = (children.steps, finally.steps, children.notes);
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], inside: Inside, children: &mut Children) -> Result<()> {
        for node in nodes {
            match node {
                Node::Group(group) => children.steps.push(Step::Group(self.group(group, inside.role)?)),
                Node::Case(case) => children.steps.push(Step::Case(self.case(case, inside)?)),
                Node::Action(action) => self.action(action, inside, children),
                Node::Settled(settled) => {
                    let at = children.notes.len();
                    let first = children.steps.len();
                    children.notes.push(Note {
                        written: Some(settled.place.clone()),
                        what: settled.what.clone(),
                        did: settled.did.clone(),
                        depth: inside.depth,
                        made: first..first,
                        in_finally: false,
                    });
                    self.nodes(&settled.nodes, Inside { depth: inside.depth + 1, ..inside }, children)?;
                    children.notes[at].made.end = children.steps.len();
                }
            }
        }
        Ok(())
    }

    fn action(&mut self, action: &Action, inside: Inside, children: &mut Children) {
        // A clean-up stays one, whatever it does.
        let inside = if inside.role == Role::Cleanup { inside } else { Inside { role: Role::Action, ..inside } };
        match action {
            Action::Prepare { place } => self.prepare(inside, Some(place), children),
            Action::Sleep { place, duration } => {
                let step = self.act("sleep", Work::Sleep(*duration), inside, Some(place));
                children.steps.push(step);
            }
        }
    }

    /// What the sequence prepares: first `preprepare`, then `prepare`, each time.
    fn prepare(&mut self, inside: Inside, place: Option<&Place>, children: &mut Children) {
        for (name, topology) in [("preprepare", &self.sequence.preprepare), ("prepare", &self.sequence.prepare)] {
            let Some(topology) = topology.as_ref().filter(|asked| !asked.is_empty()) else { continue };
            let preparation = Arc::new(Preparation {
                topology: topology.clone(),
                hosts: !self.selection.no_host_prepare,
                scripts: self.sequence.scripts.clone(),
            });
            if self.selection.no_prepare {
                let mut note = left_out(name, "--noprepare", place);
                (note.depth, note.made) = (inside.depth, children.steps.len()..children.steps.len());
                children.notes.push(note);
                if place.is_none() {
                    self.plan.known.push(preparation);
                }
                continue;
            }
            let step = self.act(name, Work::Prepare(preparation), inside, place);
            children.steps.push(step);
        }
    }

    fn act(&mut self, name: &str, work: Work, inside: Inside, place: Option<&Place>) -> Step {
        let case = PlannedCase {
            role: inside.role,
            parent: inside.group,
            blocker: true,
            written: place.cloned().map(Arc::new),
            name: name.into(),
            ..PlannedCase::new(self.ids.next("", name), work, Args::new(), &[])
        };
        self.plan.cases.push(case);
        Step::Case(self.plan.cases.len() - 1)
    }

    fn case(&mut self, case: &Case, inside: Inside) -> Result<usize> {
        let resolved = match &case.marvin {
            Some(marvin) => self.unsupported(case, marvin),
            None => self.resolver.resolve(&case.id, &case.place, &mut self.found)?,
        };
        let mut machine = case.labels.guest.clone().or_else(|| case.labels.host.clone());
        let mut args = Args::new();
        let mut words: Vec<String> = case.args.iter().map(|a| a.text.clone()).collect();
        let mut meta = None;
        if let Resolved::Testcase(testcase) = &resolved {
            meta = Some(&testcase.meta);
            if !matches!(testcase.origin, Origin::Program(_)) {
                let given = resolve::arguments(testcase, &case.args, &mut self.found);
                (args, words) = (given.args, given.words);
                machine = given.machine.or(machine);
            }
        }
        let (group, name) = (group_of(case), name_of(case, &resolved));
        let class = self.class(&name, meta.and_then(|m| m.exclusive.as_deref()));
        let (blocker, timeout) = (meta.is_some_and(|m| m.blocker), meta.and_then(|m| m.timeout));
        let place = self.plan.cases.len();
        self.dependencies.add(place, (&group, &name), case, inside.role, &mut self.found);
        let id = self.ids.next(&group, &name);
        self.plan.cases.push(PlannedCase {
            group: shared(&group),
            name: shared(&name),
            role: inside.role,
            parent: inside.group,
            priority: case.labels.priority,
            tc: case.labels.tc.as_deref().map(Arc::from),
            sku: case.labels.sku.as_deref().map(Arc::from),
            ttype: case.labels.ttype.as_deref().map(Arc::from),
            blocker: case.blocker.unwrap_or(blocker),
            timeout: case.timeout.or(timeout),
            retries: case.retries.unwrap_or_default(),
            class,
            place: machine.map(Arc::from),
            written: Some(Arc::new(case.place.clone())),
            ..PlannedCase::new(id, resolved.work(&case.id), args, &words)
        });
        Ok(place)
    }

    /// The class that a testcase shares with others of which only some run at a time.
    fn class(&mut self, name: &str, exclusive: Option<&str>) -> Option<Arc<str>> {
        let own = exclusive.unwrap_or(name).to_lowercase();
        if exclusive.is_some() {
            self.plan.semaphores.entry(own.clone()).or_insert(1);
        }
        self.plan.semaphores.contains_key(&own).then(|| own.into())
    }

    fn unsupported(&mut self, case: &Case, marvin: &Marvin) -> Resolved {
        let what = format!("`{}` is a test of the Marvin runner, which is not supported", marvin.class);
        let help = "write it as a testcase of its own, for example a program that runs it";
        self.found.wrong("unsupported-marvin", &case.place, what.clone(), Some(help.into()));
        Resolved::Missing(Error::new(Kind::Unsupported, what).blame(Blame::Author).help(help))
    }
}

fn left_out(what: &str, option: &str, written: Option<&Place>) -> Note {
    Note {
        written: written.cloned(),
        what: what.to_string(),
        did: format!("left out ({option})"),
        depth: 0,
        made: 0..0,
        in_finally: false,
    }
}

/// The reporting group of a testcase.
fn group_of(case: &Case) -> String {
    let of_marvin = || case.marvin.as_ref().map(|marvin| last_of(&marvin.path));
    case.labels.group.clone().or_else(of_marvin).unwrap_or_default()
}

/// The name of a testcase: its own, or else the last part of its id as the author wrote it.
fn name_of(case: &Case, resolved: &Resolved) -> String {
    if let Some(name) = case.name.as_ref().filter(|name| !name.is_empty()) {
        return name.clone();
    }
    if let Some(marvin) = &case.marvin {
        return last_of(&marvin.class);
    }
    let is_program = matches!(resolved, Resolved::Testcase(t) if matches!(t.origin, Origin::Program(_)));
    let last = case.id.rsplit('/').next().unwrap_or(&case.id);
    if is_program {
        return last.to_string();
    }
    let last = last.strip_suffix(".rhai").unwrap_or(last);
    last.rsplit('.').next().filter(|name| !name.is_empty()).unwrap_or(last).to_string()
}

/// What the original shows of a long name.
fn last_of(text: &str) -> String {
    const SHOWN: usize = 32;
    let skipped = text.chars().count().saturating_sub(SHOWN);
    text.chars().skip(skipped).collect()
}
