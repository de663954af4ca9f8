//! What reading sequences costs: the largest real shape to its plan, and many small files.
//!
//! `cargo bench --bench sequence`; the budgets are 10 ms for 250 testcases in 100 KB with nested loops, and 5 s for 5,000 files of 1 to
//! 4 KB, which is 1 ms for one on one processor.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends there")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::fmt::Write as _;
use std::hint::black_box;
use xenrt::run::{Selection, settle};
use xenrt::script::{Catalog, Scripts};
use xenrt::sequence::{Library, Loaded, Mode};
use xenrt::vars::Variables;

const HEAD: &str = r#"<xenrt>
  <variables><PRODUCT_VERSION>Tampa</PRODUCT_VERSION><DISTROS>debian12,rocky9</DISTROS></variables>
  <default name="PARALLEL" value="2"/><default name="PAUSE" value="0.01"/>
  <prepare><pool><host id="0"/><host id="1"/><storage type="nfs" name="nfs" default="true"/>
    <vm name="web"><distro>debian12</distro><memory>2048</memory><network device="0"/><postinstall action="installDrivers"/></vm></pool></prepare>
  <testsequence><parallel workers="${PARALLEL}">
"#;

/// One testcase as real files have it, of about 350 bytes.
fn testcase(out: &mut String, number: usize) {
    writeln!(
        out,
        "        <testcase id=\"dummy.TCDummySleep\" name=\"Test{number}-${{D}}${{N}}\" tc=\"TC-{number}\" prio=\"3\">\n          \
         <arg>seconds=${{PAUSE}}</arg>\n        </testcase>\n        <!-- {} -->",
        "a comment of some length ".repeat(8)
    )
    .unwrap();
}

/// 250 testcases in a loop in a loop: a thousand are planned.
fn large() -> String {
    let mut text = HEAD.to_string();
    for group in 0..10 {
        write!(
            text,
            r#"<for iter="D" values="%DISTROS%"><for iter="N,X" values="(0,a),(1,b)"><serial group="g{group}-${{D}}-${{N}}">"#
        )
        .unwrap();
        (0..25).for_each(|number| testcase(&mut text, group * 25 + number));
        text.push_str(r#"<finally><testcase id="dummy.TCDummySleep"/></finally></serial></for></for>"#);
    }
    text + "</parallel></testsequence></xenrt>"
}

fn small() -> String {
    let mut text = HEAD.to_string();
    text.push_str(r#"<for iter="D,N" values="(a,1)"><serial group="${D}" guest="web">"#);
    (0..6).for_each(|number| testcase(&mut text, number));
    text + "</serial></for></parallel></testsequence></xenrt>"
}

fn read(text: &str) -> Loaded {
    let loaded = Library::default().load_text("bench.seq", text, Variables::default(), Mode::Strict);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    loaded
}

fn sequences(criterion: &mut Criterion) {
    let catalog = Catalog::new(Scripts::new(Vec::new(), None).unwrap());
    let selection = Selection { no_prepare: true, ..Selection::default() };
    let plan = |text: &str, catalog: &Catalog| {
        let loaded = read(text);
        let (plan, found) = settle(&loaded.sequence, &loaded.variables, catalog, &selection).unwrap();
        assert!(found.is_empty(), "{found:?}");
        plan.cases.len()
    };
    let (large, small) = (large(), small());
    println!("large: {} KB, {} cases; small: {} bytes", large.len() >> 10, plan(&large, &catalog), small.len());
    criterion.bench_function("read 100 KB", |b| b.iter(|| black_box(read(&large))));
    criterion.bench_function("read and plan 100 KB", |b| b.iter(|| plan(&large, &catalog)));
    criterion.bench_function("read 3 KB", |b| b.iter(|| black_box(read(&small))));
    criterion.bench_function("read and plan 3 KB", |b| b.iter(|| plan(&small, &catalog)));
}

criterion_group!(benches, sequences);
criterion_main!(benches);
