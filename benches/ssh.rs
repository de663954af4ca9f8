//! What a command costs over SSH on loopback: on a warm connection, on a new one, and on a hundred machines at once.
//!
//! `cargo bench --bench ssh`; the budgets are 3 ms for `true` on a warm connection, and 1.2 s for a hundred cold ones.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends there")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use support::sshd::{Options, Sshd};
use xenrt::time::Cancel;
use xenrt::wire::ssh::Ssh;
use xenrt::wire::{Command, Transport};

#[expect(dead_code, reason = "the fixture serves the tests first")]
#[path = "../tests/support"]
mod support {
    pub mod poll;
    pub mod process;
    pub mod skip;
    pub mod sshd;
}

const MACHINES: usize = 100;

fn exec(ssh: &Ssh, text: &str) {
    let output = ssh.exec(&Command::new(text, Duration::from_secs(60)), &Cancel::new()).expect("the machine answers");
    assert!(output.is_success(), "{output:?}");
}

/// A hundred machines are one server with a hundred connections: what is measured is this side's cost and the handshakes.
fn at_once(sshd: &Sshd) {
    std::thread::scope(|scope| {
        for _ in 0..MACHINES {
            scope.spawn(|| exec(&sshd.ssh(), "true"));
        }
    });
}

fn ssh(criterion: &mut Criterion) {
    let Some(sshd) = Options::default().config("LogLevel INFO").start() else { return };
    let warm = sshd.ssh();
    exec(&warm, "true");
    criterion.bench_function("true on a warm connection", |b| b.iter(|| exec(&warm, "true")));
    criterion.bench_function("8 MB of output", |b| b.iter(|| exec(&warm, "head -c 8000000 /dev/zero")));
    let mut group = criterion.benchmark_group("cold");
    group.sample_size(10);
    group.bench_function("true on a new connection", |b| b.iter(|| exec(&sshd.ssh(), "true")));
    group.bench_function("true on a hundred at once", |b| b.iter(|| at_once(&sshd)));
    group.finish();
}

criterion_group!(benches, ssh);
criterion_main!(benches);
