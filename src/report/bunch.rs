//! What was not run in a row, for one reason: a filter can leave out thousands, and one line says it.

use super::Case;
use crate::event::{Outcome, Role};
use crate::name::CaseId;
use crate::time::Timestamp;

/// As many as these are named each by its own line.
pub(super) const NAMED: usize = 3;

/// Cases that ended alike.
#[derive(Default)]
pub(super) struct Bunch {
    alike: Option<Alike>,
    /// The first ones, each with its time and how many testcases were through by then.
    first: Vec<(Timestamp, CaseId, usize)>,
    last: Option<(Timestamp, CaseId, usize)>,
    number: usize,
}

/// What cases have in common that are told of in one line.
#[derive(PartialEq, Eq, Hash, Clone)]
pub(super) struct Alike {
    pub outcome: Option<Outcome>,
    pub role: Role,
    pub why: Box<str>,
}

impl Alike {
    pub fn of(case: &Case) -> Alike {
        Alike { outcome: case.outcome, role: case.role, why: case.why().unwrap_or_default().into() }
    }
}

impl Bunch {
    /// Whether the case is another of the same sort, or the first of any.
    pub fn takes(&self, case: &Case) -> bool {
        self.alike.as_ref().is_none_or(|alike| *alike == Alike::of(case))
    }

    pub fn add(&mut self, at: Timestamp, case: &Case, finished: usize) {
        self.alike.get_or_insert_with(|| Alike::of(case));
        self.number += 1;
        let one = (at, case.id.clone(), finished);
        if self.first.len() < NAMED {
            self.first.push(one.clone());
        }
        self.last = Some(one);
    }

    /// Those that get a line of their own.
    pub fn named(&self) -> &[(Timestamp, CaseId, usize)] {
        if self.number > NAMED { &[] } else { &self.first }
    }

    /// All of them in one line, when they are too many to be named.
    pub fn line(&self) -> Option<BunchLine<'_>> {
        let (alike, (_, first, _), (at, last, finished)) = (self.alike.as_ref()?, self.first.first()?, self.last.as_ref()?);
        let line = BunchLine { at: *at, finished: *finished, alike, number: self.number, first, last };
        (self.number > NAMED).then_some(line)
    }
}

/// What a line about many says.
pub(super) struct BunchLine<'a> {
    pub at: Timestamp,
    /// How many testcases were through by then.
    pub finished: usize,
    pub alike: &'a Alike,
    pub number: usize,
    pub first: &'a CaseId,
    pub last: &'a CaseId,
}
