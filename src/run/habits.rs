//! What variables say about how testcases are run.

use crate::error::Result;
use crate::vars::Live;

/// How testcases are run, by the variables that older sequences set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// A blocker that was skipped blocks too (`OPTION_BLOCK_ON_SKIP`).
    pub block_on_skip: bool,
    /// No `pre_logs` (`CLIOPTIONS/NOPRELOGS`).
    pub no_pre_logs: bool,
    /// No `post_run` (`CLIOPTIONS/NOPOSTRUN`).
    pub no_post_run: bool,
    /// No logs from the machines (`NOLOGS`).
    pub no_logs: bool,
    /// A value that is more than 10 % worse than before, or out of its window, fails its testcase (`PERF_STRICT`).
    pub perf_strict: bool,
}

impl Habits {
    /// # Errors
    /// As [`Live::boolean`].
    pub fn of(variables: &Live) -> Result<Habits> {
        let is_set = |name| Ok(variables.boolean(name)?.unwrap_or(false));
        Ok(Habits {
            block_on_skip: is_set("OPTION_BLOCK_ON_SKIP")?,
            no_pre_logs: is_set("CLIOPTIONS/NOPRELOGS")?,
            no_post_run: is_set("CLIOPTIONS/NOPOSTRUN")?,
            no_logs: is_set("NOLOGS")?,
            perf_strict: is_set("PERF_STRICT")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vars::Variables;

    #[test]
    fn variables_are_read_by_the_one_parser() {
        let habits = |name: &str, value: &str| {
            let variables = Live::new(Variables::default());
            variables.set(name, value, "x.seq:4").unwrap();
            Habits::of(&variables).map_err(|e| e.what)
        };
        let none = Habits::default();
        assert_eq!(habits("OPTION_BLOCK_ON_SKIP", "y"), Ok(Habits { block_on_skip: true, ..none }));
        assert_eq!(habits("CLIOPTIONS/NOPRELOGS", "1"), Ok(Habits { no_pre_logs: true, ..none }));
        assert_eq!(habits("CLIOPTIONS/NOPOSTRUN", "Yes"), Ok(Habits { no_post_run: true, ..none }));
        assert_eq!(habits("PERF_STRICT", "true"), Ok(Habits { perf_strict: true, ..none }));
        assert_eq!(habits("NOLOGS", "no"), Ok(none));
        assert_eq!(habits("NOLOGS", "maybe"), Err("the variable `NOLOGS` (x.seq:4): `maybe` is neither yes nor no".into()));
    }
}
