//! Runs of `xrt` as a person makes them: outcomes, exit statuses, limits, Ctrl-C, results.

use crate::support::xrt::Xrt;
use xenrt::event::Outcome;

#[test]
fn a_testcase_that_returns_has_passed() {
    let ran = Xrt::new().script("a.rhai", "fn run(args) { log(\"here\"); }").run().ends(0);
    assert_eq!(ran.outcome("a"), Outcome::Passed, "{}", ran.transcript());
    assert_eq!(ran.said("a"), ["here"]);
}
