//! The simulated pool as others see it: through the XenAPI package of PyPI and the xen-api package of npm, and over plain HTTP.

use crate::support::skip::skip;
use std::path::{Path, PathBuf};
use std::process::Command;
use xenrt::sim::{Options, Simulator};

/// Where `tests/run` puts the packages of others.
fn clients(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients").join(name)
}

fn simulator(options: &str) -> Simulator {
    Simulator::start(options.parse::<Options>().unwrap()).unwrap()
}

/// What a client prints: the names of its walks, as each is done.
fn walk(mut client: Command, simulator: &Simulator) -> Vec<String> {
    client.args([&simulator.url(), simulator.user(), simulator.password().reveal()]);
    let output = client.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.lines().map(str::to_string).collect()
}

fn python(script: &str) -> Option<Command> {
    let dir = clients("python");
    if !dir.join("XenAPI").is_dir() {
        skip("XRT_REQUIRE_CLIENTS", "the XenAPI package of PyPI is not in target/clients/python (tests/run gets it)");
        return None;
    }
    let mut command = Command::new("python3");
    // What it imports from beside it leaves nothing there.
    command.arg(script).env("PYTHONPATH", dir).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

#[test]
fn the_xenapi_package_of_pypi_works_with_it() {
    let Some(client) = python("tests/sim/client.py") else { return };
    let walked = walk(client, &simulator(""));
    assert_eq!(walked, ["login_and_errors", "listing", "life_cycle", "disks", "tasks_and_events"]);
}

#[test]
fn time_that_passes_changes_nothing_but_the_time() {
    let Some(client) = python("tests/sim/client.py") else { return };
    let walked = walk(client, &simulator("speed=200"));
    assert_eq!(walked.len(), 5);
}

#[test]
fn the_xen_api_package_of_npm_works_with_it() {
    let dir = clients("node");
    if !dir.join("node_modules/xen-api").is_dir() {
        return skip("XRT_REQUIRE_CLIENTS", "the xen-api package of npm is not in target/clients/node (tests/run gets it)");
    }
    for options in ["spare=1", "spare=1,tls=yes"] {
        let mut client = Command::new("node");
        client.arg("tests/sim/client.mjs").arg(&dir);
        let walked = walk(client, &simulator(options));
        assert_eq!(walked, ["listing", "events", "tasks", "errors", "copies", "plugins", "migration to another pool"]);
    }
}

#[test]
fn hosts_storage_and_networks_behave_as_those_of_a_real_pool() {
    let Some(client) = python("tests/sim/pool.py") else { return };
    let walked = walk(client, &simulator("spare=1"));
    let expected = [
        "evacuation",
        "members",
        "join_and_eject",
        "loss_of_a_host",
        "high_availability",
        "storage",
        "copies_plugins_and_redirects",
        "networking",
    ];
    assert_eq!(walked, expected);
}

#[test]
fn trouble_time_and_cancelling_are_seen_by_a_client() {
    let Some(client) = python("tests/sim/trouble.py") else { return };
    let walked = walk(client, &simulator("speed=20"));
    let expected =
        ["calls_that_fail", "calls_that_are_lost", "calls_that_take_long", "tasks_that_are_cancelled", "guests_that_die"];
    assert_eq!(walked, expected);
}

#[test]
fn guests_go_from_pool_to_pool_with_their_disks() {
    let Some(client) = python("tests/sim/cross.py") else { return };
    let walked = walk(client, &simulator("spare=1"));
    assert_eq!(walked, ["refusals", "live", "halted_suspended_and_copies", "within_the_pool"]);
}
