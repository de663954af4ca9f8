//! What a call of XAPI costs on loopback, with the simulated pool at the other end.
//!
//! `cargo bench --bench xapi`; the budgets are 0.5 ms for a call, and 0.3 s for the list of a thousand guests.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends there")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use xenrt::sim::Simulator;
use xenrt::time::Cancel;
use xenrt::toolstack::xapi::{Login, Xapi};
use xenrt::toolstack::{Toolstack, Verb, Watch};
use xenrt::wire::ssh::HostKeys;
use xenrt::wire::tls::Trust;

fn pool(options: &str) -> (Simulator, Xapi) {
    let simulator = Simulator::start(options.parse().unwrap()).unwrap();
    let login = Login {
        address: simulator.url().parse().unwrap(),
        passwords: vec![simulator.password().clone()],
        trust: Trust { policy: HostKeys::Ignore, record: None },
        connect_timeout: Duration::from_secs(10),
    };
    (simulator, Xapi::new(login).unwrap())
}

fn xapi(criterion: &mut Criterion) {
    let cancel = Cancel::new();
    let watch = Watch::silent(&cancel, Duration::from_secs(60));
    for (options, way) in [("seed=1", "HTTP"), ("seed=1,tls=yes", "HTTPS")] {
        let (_simulator, xapi) = pool(options);
        xapi.pool(watch).unwrap();
        criterion.bench_function(&format!("a call over {way}"), |b| b.iter(|| xapi.pool(watch).unwrap()));
    }
    let (_simulator, small) = pool("seed=1");
    let guest = small.guests(watch).unwrap().remove(0).reference;
    criterion.bench_function("a guest's hard reboot, as a task", |b| {
        b.iter(|| small.act(&Verb::HardReboot(guest.clone()), watch).unwrap());
    });
    let (_simulator, large) = pool("seed=1,hosts=8,guests=1000,memory=1024G");
    let mut group = criterion.benchmark_group("large");
    group.sample_size(10);
    group.bench_function("a thousand guests listed", |b| b.iter(|| assert_eq!(large.guests(watch).unwrap().len(), 1000)));
    group.finish();
}

criterion_group!(benches, xapi);
criterion_main!(benches);
