//! Ids into testcases, and words into arguments.

use super::Found;
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Place;
use crate::run::Work;
use crate::script::{Args, Catalog, Testcase, typed_args};
use crate::sequence::Argument;
use std::collections::HashMap;
use std::sync::Arc;

/// What an id comes to.
#[derive(Clone)]
pub enum Resolved {
    Testcase(Arc<Testcase>),
    Unusable(Error),
}

impl Resolved {
    pub fn work(self, id: &str) -> Work {
        match self {
            Resolved::Testcase(testcase) => Work::Testcase(testcase),
            Resolved::Unusable(error) => Work::Unusable { testcase: id.to_string(), error },
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
        let resolved = match self.known.get(id) {
            Some(resolved) => resolved.clone(),
            None => {
                let resolved = match self.catalog.one(id) {
                    Ok(Ok(testcase)) => Resolved::Testcase(Arc::new(testcase)),
                    Ok(Err(diagnostics)) => {
                        let first = diagnostics.first().map(|d| d.headline());
                        diagnostics.into_iter().for_each(|d| found.add(d));
                        let error =
                            Error::new(Kind::Malformed, format!("the script of `{id}` cannot be used")).blame(Blame::Author);
                        Resolved::Unusable(Error { help: first, ..error })
                    }
                    Err(error) if error.blame == Blame::User => Resolved::Unusable(error.blame(Blame::Author)),
                    Err(error) => return Err(error),
                };
                self.known.insert(id.to_string(), resolved.clone());
                resolved
            }
        };
        if let Resolved::Unusable(error) = &resolved {
            let rule = if error.kind == Kind::NotFound { "unknown-testcase" } else { "unusable-testcase" };
            found.wrong(rule, place, error.what.clone(), error.help.clone());
        }
        Ok(resolved)
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
    let mut taken = Given { args: defaults.clone(), words: Vec::new(), machine: None };
    for argument in given {
        if let Some(machine) = argument.text.strip_prefix("guest=").filter(|_| !defaults.contains_key("guest")) {
            taken.machine = Some(machine.to_string());
            continue;
        }
        taken.words.push(argument.text.clone());
        match typed_args(name, defaults, &taken.words) {
            Ok(args) => taken.args = args,
            Err(error) => {
                taken.words.pop();
                found.wrong("bad-argument", &argument.place, error.what, error.help);
            }
        }
    }
    taken
}
