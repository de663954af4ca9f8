//! Ids into testcases, and words into arguments.

use super::found::Found;
use crate::diagnostic::Diagnostic;
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Place;
use crate::run::{Unusable, Work};
use crate::script::{Args, Catalog, Testcase, typed_args};
use crate::sequence::Argument;
use std::collections::HashMap;
use std::sync::Arc;

/// What an id comes to.
#[derive(Clone)]
pub enum Resolved {
    Testcase(Arc<Testcase>),
    /// There is none of that name, or none of a sort that can be run.
    Missing(Error),
    /// Something is wrong with its script.
    Broken(Error),
}

impl Resolved {
    pub fn work(self, id: &str) -> Work {
        match self {
            Resolved::Testcase(testcase) => Work::Testcase(testcase),
            Resolved::Missing(error) | Resolved::Broken(error) => {
                Work::Unusable(Box::new(Unusable { testcase: id.to_string(), error }))
            }
        }
    }
}

/// Finds testcases, each once.
pub struct Resolver<'a> {
    catalog: &'a Catalog,
    known: HashMap<String, Resolved>,
}

impl<'a> Resolver<'a> {
    pub fn new(catalog: &'a Catalog) -> Resolver<'a> {
        Resolver { catalog, known: HashMap::new() }
    }

    /// The testcase that an id names, or why there is none, which is told.
    ///
    /// # Errors
    /// A directory with scripts cannot be read.
    pub fn resolve(&mut self, id: &str, place: &Place, found: &mut Found<'_>) -> Result<Resolved> {
        if !self.known.contains_key(id) {
            let resolved = self.find(id, place, found)?;
            self.known.insert(id.to_string(), resolved);
        }
        let resolved = &self.known[id];
        // What is wrong with a script was told when it was read; a wrong name is told wherever it stands.
        if let Resolved::Missing(error) = resolved {
            let rule = if error.kind == Kind::NotFound { "unknown-testcase" } else { "unusable-testcase" };
            found.wrong(rule, place, error.what.clone(), error.help.clone());
        }
        Ok(resolved.clone())
    }

    fn find(&self, id: &str, place: &Place, found: &mut Found<'_>) -> Result<Resolved> {
        // Looking for what may be meant takes its time, and nobody is told any more.
        if found.is_full() && !self.catalog.knows(id)? {
            return Ok(Resolved::Missing(Error::new(Kind::NotFound, format!("no testcase `{id}`")).blame(Blame::Author)));
        }
        match self.catalog.one(id) {
            Ok(Ok(testcase)) => Ok(Resolved::Testcase(testcase)),
            Ok(Err(diagnostics)) => {
                let first = diagnostics.first().map_or_else(String::new, Diagnostic::headline);
                diagnostics.into_iter().for_each(|diagnostic| found.add(place, diagnostic));
                let what = format!("the script of `{id}` cannot be used: {first}");
                Ok(Resolved::Broken(Error::new(Kind::Malformed, what).blame(Blame::Author)))
            }
            Err(error) if error.blame == Blame::User => Ok(Resolved::Missing(error.blame(Blame::Author))),
            Err(error) => Err(error),
        }
    }
}

/// What the `<arg>` elements of a testcase come to.
pub struct Given {
    pub args: Args,
    /// The words that were taken.
    pub words: Vec<String>,
    /// The machine that one of them names.
    pub machine: Option<String>,
}

/// The arguments of a testcase; what it cannot take is told and left out.
///
/// In old sequences the word `guest=NAME` says where a testcase runs. A testcase that has no such argument of its own runs there.
pub fn arguments(testcase: &Testcase, given: &[Argument], found: &mut Found<'_>) -> Given {
    let (name, defaults) = (&testcase.name, &testcase.meta.args);
    let mut taken = Given { args: Args::new(), words: Vec::new(), machine: None };
    for argument in given {
        if let Some(machine) = argument.text.strip_prefix("guest=").filter(|_| !defaults.contains_key("guest")) {
            taken.machine = Some(machine.to_string());
            continue;
        }
        match typed_args(name, defaults, std::slice::from_ref(&argument.text)) {
            Ok(_) => taken.words.push(argument.text.clone()),
            Err(error) => found.wrong("bad-argument", &argument.place, error.what, error.help),
        }
    }
    // Each of the words can be taken, so all can.
    taken.args = typed_args(name, defaults, &taken.words).unwrap_or_else(|_| defaults.clone());
    taken
}
