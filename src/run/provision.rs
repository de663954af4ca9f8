//! What a sequence asks for, made before its tests.

use super::Runner;
use super::plan::Preparation;
use crate::context::Context;
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Level;
use crate::lab::prepare::{Afterwards, End, Graph, Maker, Means, Prepared, clean, record};
use crate::lab::{ExecOptions, Lab, USUAL_MODE};
use crate::script::{Case, Scripts, call_on};
use crate::sequence::topology::VmStep;
use crate::time::Cancel;
use crate::vars::Variables;
use std::sync::Arc;

/// How many failures an error names.
const NAMED: usize = 5;

/// What is called on VMs: the functions that scripts have, and the scripts that the sequence has read.
struct Library<'a> {
    runner: &'a Runner,
    preparation: &'a Preparation,
}

impl Afterwards for Library<'_> {
    fn call(&self, guest: &str, step: &VmStep, context: &Context) -> Result<()> {
        let Runner { lab, scripts, settings, .. } = self.runner;
        let guest = lab.guest(guest, context)?;
        match step {
            VmStep::Call(call) => {
                let scripts: Arc<Scripts> = scripts.clone();
                let case = Case::new(context.clone(), lab.clone(), crate::script::Args::new(), settings.variables.clone(), scripts);
                call_on(&Arc::new(case), guest, call)
            }
            VmStep::Script(name) => {
                let script = self.preparation.scripts.get(name);
                let script = script.ok_or_else(|| Error::new(Kind::NotFound, format!("the sequence has no script `{name}`")))?;
                if !guest.is_windows()? {
                    let error =
                        Error::new(Kind::Unsupported, format!("the script {name} is for Windows, and {} is none", guest.name()));
                    return Err(error.blame(Blame::Author));
                }
                let (ending, program) = if script.language == "vbs" { ("vbs", "cscript //nologo") } else { ("cmd", "cmd /c") };
                let stem: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                let path = format!("C:\\Windows\\Temp\\xrt-{stem}.{ending}");
                guest.write_file(&path, script.text.as_bytes(), USUAL_MODE)?;
                guest.exec(&format!("{program} {path}"), &ExecOptions::default()).map(drop)
            }
        }
    }
}

/// Makes everything that a sequence asks for, where it is not there already. What failed is in the result.
///
/// # Errors
/// Nothing could be prepared: a toolstack does not answer, or a variable makes no sense.
pub fn provision(runner: &Runner, preparation: &Preparation, context: &Context) -> Result<Prepared> {
    context.cancel().check()?;
    let variables: Variables = runner.settings.variables.read(Clone::clone);
    let library = Library { runner, preparation };
    let maker = Maker::new(means(runner, &variables, context, &library));
    let graph = maker.graph(&preparation.topology, preparation.hosts)?;
    let prepared = maker.prepare(graph);
    // What it had in hand of guests is nobody's any more; what it has made stays.
    runner.lab.keep(context);
    runner.lab.give_back(context);
    prepared
}

/// The steps of a preparation, with what there is of each. Nothing is changed.
///
/// # Errors
/// Those of the toolstacks.
pub fn survey(lab: &Lab, variables: &Variables, context: &Context, preparation: &Preparation) -> Result<Graph> {
    let nobody = Nobody;
    let means = Means { lab, variables, context, afterwards: &nobody, run: "", results: context.dir() };
    Maker::new(means).graph(&preparation.topology, preparation.hosts)
}

/// Does nothing with VMs.
struct Nobody;

impl Afterwards for Nobody {
    fn call(&self, _: &str, _: &VmStep, _: &Context) -> Result<()> {
        Err(Error::new(Kind::Internal, "nothing is called while things are compared"))
    }
}

/// Removes what this run has prepared. What is left is a warning.
pub fn clean_up(runner: &Runner) {
    let results = &runner.settings.results;
    if !record::is_there(results) {
        return;
    }
    // It outlives what stopped the run, with a limit of its own.
    let cancel = Cancel::new().child_with_limit("clean-up", runner.settings.cleanup);
    let context = Context::new(runner.bus.clone(), None, results.clone(), cancel);
    let result = record::read(results).and_then(|made| {
        let left = clean(&runner.lab, &made, &context).left;
        for left in &left {
            context.log(Level::Warning, format!("left behind: {}: {}", left.made.what, left.why));
        }
        record::keep(results, &left.into_iter().map(|left| left.made).collect::<Vec<_>>())
    });
    if let Err(error) = result {
        context.log(Level::Warning, format!("what was prepared is left behind: {}", error.what));
    }
}

/// Gives what is there already the names that a sequence has for it: in a run that goes on, or in which nothing is prepared. What cannot
/// be seen is a warning.
pub fn recall(runner: &Runner, preparation: &Preparation) {
    if runner.lab.estates().is_empty() || preparation.topology.is_empty() {
        return;
    }
    let context = Context::new(runner.bus.clone(), None, runner.settings.results.clone(), runner.cancel.clone());
    let variables: Variables = runner.settings.variables.read(Clone::clone);
    let library = Library { runner, preparation };
    let maker = Maker::new(means(runner, &variables, &context, &library));
    let recalled = maker.graph(&preparation.topology, preparation.hosts).and_then(|graph| maker.recall(&graph));
    if let Err(error) = recalled {
        context.log(Level::Warning, format!("what the sequence prepares may not be found by its names: {}", error.what));
    }
}

fn means<'a>(runner: &'a Runner, variables: &'a Variables, context: &'a Context, afterwards: &'a dyn Afterwards) -> Means<'a> {
    let (run, results) = (&runner.settings.run, &runner.settings.results);
    Means { lab: &runner.lab, variables, context, afterwards, run, results }
}

/// The error that a preparation is in which something failed; nothing if nothing did.
pub fn failure(prepared: &Prepared) -> Option<Error> {
    let failures: Vec<_> = prepared.failures().collect();
    let never = prepared.ends.iter().filter(|end| matches!(end, End::Never)).count();
    let Some((_, first)) = failures.first() else {
        return (never > 0).then(|| Error::new(Kind::Cancelled, format!("{never} steps were never begun")));
    };
    let mut told: Vec<String> = failures.iter().take(NAMED).map(|(step, error)| format!("{}: {}", step.id, error.what)).collect();
    if failures.len() > NAMED {
        told.push(format!("and {} more", failures.len() - NAMED));
    }
    let mut error = Error::new(first.kind, told.join("; "));
    // One that the product is to blame for is not hidden by one that it is not.
    let is_products = failures.iter().any(|(_, error)| error.blame == Blame::Product);
    error.blame = if is_products { Blame::Product } else { first.blame };
    (error.help, error.details, error.source) = (first.help.clone(), first.details.clone(), first.source.clone());
    Some(error)
}
