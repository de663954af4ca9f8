//! From a sequence to a plan: which testcases, with which arguments, names, limits and places, in which order, and what is left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use tempfile::TempDir;
use xenrt::diagnostic::Diagnostic;
use xenrt::event::{Order, Role};
use xenrt::run::{Group, Plan, PlannedCase, Rounds, Selection, Step, Work, settle};
use xenrt::script::{Catalog, Scripts, plain_text};
use xenrt::sequence::{Asked, Filter, Library, Mode};
use xenrt::vars::{Layer, Variables};

/// The scripts that the sequences here name.
const SCRIPTS: &[(&str, &str)] = &[
    ("disk/a.rhai", "aliases: [\"old.TCA\", \"guestops.srm.TCMigrate\"], args: #{ loops: 5, fast: false }, tags: [\"smoke\"]"),
    ("b.rhai", "blocker: true, timeout: \"1h\""),
    ("exclusive.rhai", "exclusive: \"Disk\""),
    ("guest.rhai", "args: #{ guest: \"none\" }"),
    ("one.rhai", "aliases: [\"TCBoth\"]"),
    ("two.rhai", "aliases: [\"TCBoth\"]"),
];

/// Settles sequences.
struct Settle {
    scripts: TempDir,
    flags: Vec<(&'static str, &'static str)>,
    mode: Mode,
    asked: Asked,
    selection: Selection,
    seed: Option<u64>,
    rounds: Option<u32>,
}

/// What a sequence came to.
struct Settled {
    plan: Plan,
    told: Vec<String>,
    rounds: Rounds,
    /// The directory of the scripts, which has another name each time.
    scripts: String,
}

impl Settle {
    fn new() -> Settle {
        let scripts = TempDir::with_prefix("xrt-test-").unwrap();
        for (name, meta) in SCRIPTS {
            let path = scripts.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("fn meta() {{ #{{ {meta} }} }}\nfn run(args) {{}}")).unwrap();
        }
        fs::write(scripts.path().join("broken.rhai"), "fn run(args) { exce(1); }").unwrap();
        let (flags, mode, asked, selection) = (Vec::new(), Mode::Strict, Asked::default(), Selection::default());
        Settle { scripts, flags, mode, asked, selection, seed: None, rounds: None }
    }

    fn lenient(mut self) -> Settle {
        self.mode = Mode::Lenient;
        self
    }

    fn set(mut self, name: &'static str, value: &'static str) -> Settle {
        self.flags.push((name, value));
        self
    }

    fn asked(mut self, ask: impl FnOnce(&mut Asked)) -> Settle {
        ask(&mut self.asked);
        self
    }

    fn selection(mut self, select: impl FnOnce(&mut Selection)) -> Settle {
        select(&mut self.selection);
        self
    }

    fn rounds(mut self, seed: Option<u64>, rounds: Option<u32>) -> Settle {
        (self.seed, self.rounds) = (seed, rounds);
        self
    }

    /// Settles what stands in a `testsequence`.
    fn tests(self, inside: &str) -> Settled {
        self.file(&format!("<xenrt><testsequence>{inside}</testsequence></xenrt>"))
    }

    fn file(self, text: &str) -> Settled {
        let mut variables = Variables::default();
        for (name, value) in &self.flags {
            variables.set_from(Layer::Flag, name, *value, "-D").unwrap();
        }
        let filter = Filter::new(&self.asked, &variables).unwrap();
        let loaded = Library::default().load_text("t.seq", text, variables, self.mode);
        let catalog = Catalog::new(Scripts::new(vec![self.scripts.path().to_path_buf()], None).unwrap());
        let selection = Selection { mode: self.mode, filter, ..self.selection };
        let (plan, found) = settle(&loaded.sequence, &loaded.variables, &catalog, &selection).unwrap();
        let scripts = self.scripts.path().display().to_string();
        let told = loaded.diagnostics.iter().chain(&found).map(|d| shown(d).replace(&scripts, "scripts")).collect();
        let mut rounds = Rounds::new(plan, self.seed, self.rounds);
        let plan = if self.rounds.is_none() && self.seed.is_some() { rounds.next().unwrap() } else { rounds.rest() };
        Settled { plan, told, rounds, scripts }
    }
}

fn shown(diagnostic: &Diagnostic) -> String {
    let help = diagnostic.help.as_ref().map_or(String::new(), |help| format!(" | {help}"));
    format!("{}{help}", diagnostic.headline().trim_start_matches("t.seq:"))
}

impl Settled {
    /// The tree, when nothing is wrong.
    #[track_caller]
    fn tree(&self) -> String {
        assert_eq!(self.told, Vec::<String>::new());
        self.shown()
    }

    fn shown(&self) -> String {
        tree(&self.plan).replace(&self.scripts, "scripts")
    }

    /// The ids of all cases in the order of the plan.
    fn ids(&self) -> Vec<&str> {
        ids(&self.plan)
    }

    /// The ids of those that are to be run.
    fn runs(&self) -> Vec<&str> {
        self.plan.cases.iter().filter(|case| case.skip.is_none()).map(|case| case.id.as_str()).collect()
    }
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.cases.iter().map(|case| case.id.as_str()).collect()
}

fn tree(plan: &Plan) -> String {
    let mut out = String::new();
    group(&mut out, "", &plan.root, plan);
    out
}

fn group(out: &mut String, indent: &str, of: &Group, plan: &Plan) {
    let order = if of.order == Order::Serial { "serial" } else { "parallel" };
    let mut line = format!("{order} {}", of.number);
    line += &if of.label.is_empty() { String::new() } else { format!(" {}", of.label) };
    line += &of.workers.map_or(String::new(), |workers| format!(" workers={workers}"));
    line += if of.blocker { " blocker" } else { "" };
    line += &of.timeout.map_or(String::new(), |timeout| format!(" timeout={timeout:?}"));
    writeln!(out, "{indent}{line}").unwrap();
    for note in &of.notes {
        let (indent, depth) = (format!("{indent}  "), "  ".repeat(note.depth));
        writeln!(out, "{indent}{depth}({}: {}: {:?})", note.what, note.did, note.made).unwrap();
    }
    for (name, steps) in [("", &of.steps), ("finally", &of.finally)] {
        if steps.is_empty() {
            continue;
        }
        let mut indent = format!("{indent}  ");
        if !name.is_empty() {
            writeln!(out, "{indent}{name}").unwrap();
            indent.push_str("  ");
        }
        for step in steps {
            match step {
                Step::Group(inner) => group(out, &indent, inner, plan),
                Step::Case(place) => {
                    assert_eq!(plan.cases[*place].parent, of.number, "a case knows its group");
                    writeln!(out, "{indent}{}", case(&plan.cases[*place], plan)).unwrap();
                }
            }
        }
    }
}

fn case(case: &PlannedCase, plan: &Plan) -> String {
    let work = match &case.work {
        Work::Testcase(testcase) => testcase.name.clone(),
        Work::Unusable(unusable) => format!("no {} ({})", unusable.testcase, unusable.error.what),
        Work::Prepare(what) => format!("prepares{}", if what.hosts { " all" } else { " VMs" }),
        Work::Sleep(duration) => format!("sleeps {duration:?}"),
    };
    let mut line = format!("{}: {work}", case.id);
    for (key, value) in &case.args {
        line += &format!(" {key}={}", plain_text(value));
    }
    line += match case.role {
        Role::Testcase => "",
        Role::Cleanup => " clean-up",
        Role::Action => " action",
    };
    line += &case.priority.map_or(String::new(), |priority| format!(" P{priority}"));
    line += if case.blocker { " blocker" } else { "" };
    line += &case.timeout.map_or(String::new(), |timeout| format!(" timeout={timeout:?}"));
    line += &if case.retries > 0 { format!(" retries={}", case.retries) } else { String::new() };
    line += &case.class.as_ref().map_or(String::new(), |class| format!(" class={class}"));
    line += &case.place.as_ref().map_or(String::new(), |place| format!(" on={place}"));
    for needed in &case.depends {
        line += &format!(" after={}", plan.cases[*needed].id);
    }
    line += &case.skip.as_ref().map_or(String::new(), |skip| format!(" SKIP {skip}"));
    line
}

#[test]
fn ids_are_found_as_they_were_always_written() {
    let settled = Settle::new().tests(
        r#"
        <testcase id="disk/a"/>
        <testcase id="disk.a" name="Dotted"/>
        <testcase id="old.TCA"/>
        <testcase id="testcases.guestops.srm.TCMigrate"/>
        <testcase id="testcases.disk.a" name="Packed"/>
        <testcase id="dummy.TCSleep" group="g"><arg>seconds=0.5</arg></testcase>
        "#,
    );
    insta::assert_snapshot!(settled.tree(), @r"
    serial 0
      a: disk/a fast=false loops=5
      Dotted: disk/a fast=false loops=5
      TCA: disk/a fast=false loops=5
      TCMigrate: disk/a fast=false loops=5
      Packed: disk/a fast=false loops=5
      g/TCSleep: dummy/sleep fail=false seconds=0.5
    ");
}

#[test]
fn what_a_testcase_says_and_what_the_sequence_says_come_together() {
    let settled = Settle::new().file(
        r#"<xenrt>
        <semaphores><TCMigrate count="2"/></semaphores>
        <testsequence host="h" prio="3">
            <parallel workers="4" group="g">
                <testcase id="disk/a" prio="1" retries="2" timeout="10m"><arg>loops=7</arg><arg>fast</arg></testcase>
                <testcase id="b"/>
                <testcase id="b" name="free" blocker="no" timeout="5" host="other"/>
                <serial guest="vm" group="s" blocker="yes" timeout="1h">
                    <testcase id="exclusive"/>
                    <testcase id="guestops.srm.TCMigrate" prio="2"/>
                    <testcase id="disk/a" name="tcmigrate"><arg>guest=vm9</arg></testcase>
                    <testcase id="guest"><arg>guest=vm9</arg></testcase>
                    <action action="sleep"><arg>3</arg></action>
                    <finally><testcase id="b" name="end" guest="vm8"/><testcase id="b" name="end"/></finally>
                </serial>
            </parallel>
        </testsequence></xenrt>"#,
    );
    insta::assert_snapshot!(settled.tree(), @r"
    serial 0
      parallel 1 g workers=4
        g/a: disk/a fast=true loops=7 P1 timeout=600s retries=2 on=h
        g/b: b P3 blocker timeout=3600s on=h
        g/free: b P3 timeout=5s on=other
        serial 2 s blocker timeout=3600s
          s/exclusive: exclusive P3 class=disk on=vm
          s/TCMigrate: disk/a fast=false loops=5 P2 class=tcmigrate on=vm
          s/tcmigrate: disk/a fast=false loops=5 P3 class=tcmigrate on=vm9
          s/guest: guest guest=vm9 P3 on=vm
          sleep: sleeps 3s action blocker
          finally
            s/end: b clean-up P3 blocker timeout=3600s on=vm8
            s/end#2: b clean-up P3 blocker timeout=3600s on=vm
    ");
    assert_eq!(settled.plan.semaphores, BTreeMap::from([("tcmigrate".into(), 2), ("disk".into(), 1)]));
}

#[test]
fn everything_wrong_is_told_at_once_and_nothing_is_lost_in_lenient_mode() {
    let tests = r#"
        <testcase id="disk/aa"/>
        <testcase id="broken"/>
        <testcase id="broken" name="again"/>
        <testcase id="TCBoth"/>
        <testcase id="disk/a"><arg>lops=3</arg><arg>loops=many</arg><arg>loops=4</arg></testcase>
        <testcase id="disk/a"/>
        <for iter="X" values="1,2"><testcase id="b"/></for>
        <testcase id="b" name="x" depends="d:a"/>
        <testcase id="b" name="y" depends=":z"/>
        <testcase id="b" name="z" depends=":a"/>
        <parallel>
          <testcase id="b" name="p"/><testcase id="b" name="q" depends=":p"/>
          <finally><testcase id="b" name="r" depends=":q"/></finally>
        </parallel>
        <marvintests path="some/long/path/of/marvin/tests/test_x.py" class="TestX" tags="advanced"/>"#;
    let strict = Settle::new().tests(tests);
    insta::assert_snapshot!(strict.told.join("\n"), @r"
    2:9: error: no testcase `disk/aa` [unknown-testcase] | did you mean `disk/a`?
    scripts/broken.rhai:1:16: error: no function `exce` [unknown-function] | did you mean `.exec(…)` of an object?
    5:9: error: `TCBoth` is an alias of 2 testcases: `one`, `two` [unusable-testcase] | name one of them; an alias belongs to one testcase
    6:36: error: `disk/a` has no argument `lops` [bad-argument] | did you mean `loops`?
    6:53: error: `loops=many` for `disk/a`: expected a whole number [bad-argument] | the default is loops=5
    7:9: error: `a` is planned a second time; the first is at t.seq:6:9 [duplicate-name] | give one of them a `name`
    8:36: error: `b` is planned more than once [duplicate-name] | put the variable of the loop into its `name` or its group
    9:44: error: `depends` names `d:a`, which is not in this sequence [unknown-dependency] | did you mean `:a`?
    10:44: error: `depends` names `:z`, which does not come before it [late-dependency] | put it after what it depends on
    13:73: error: `depends` names `:p`, which runs side by side with it [late-dependency] | put both into one serial, in order
    16:9: error: `TestX` is a test of the Marvin runner, which is not supported [unsupported-marvin] | write it as a testcase of its own, for example a program that runs it
    ");
    let lenient = Settle::new().lenient().tests(tests);
    let warnings: Vec<String> = strict.told.iter().map(|told| told.replacen("error:", "warning:", 1)).collect();
    assert_eq!(lenient.told, warnings);
    insta::assert_snapshot!(lenient.shown(), @r"
    serial 0
      (for X: 2 rounds: 1, 2: 6..8)
      aa: no disk/aa (no testcase `disk/aa`)
      broken: no broken (the script of `broken` cannot be used: scripts/broken.rhai:1:16: error: no function `exce` [unknown-function])
      again: no broken (the script of `broken` cannot be used: scripts/broken.rhai:1:16: error: no function `exce` [unknown-function])
      TCBoth: no TCBoth (`TCBoth` is an alias of 2 testcases: `one`, `two`)
      a: disk/a fast=false loops=4
      a#2: disk/a fast=false loops=5
      b: b blocker timeout=3600s
      b#2: b blocker timeout=3600s
      x: b blocker timeout=3600s SKIP depends on d:a, which is not in this sequence
      y: b blocker timeout=3600s SKIP depends on :z, which does not come before it
      z: b blocker timeout=3600s after=a#2
      parallel 1
        p: b blocker timeout=3600s
        q: b blocker timeout=3600s SKIP depends on :p, which runs side by side with it
        finally
          r: b clean-up blocker timeout=3600s after=q
      g/path/of/marvin/tests/test_x.py/TestX: no TestX (`TestX` is a test of the Marvin runner, which is not supported)
    ");
}

#[test]
fn the_preparation_comes_first_and_actions_prepare_in_the_same_order() {
    let file = r#"<xenrt>
        <preprepare><host id="1"/></preprepare><prepare><host id="0"/></prepare>
        <testsequence>
            <testcase id="disk/a"/><action action="prepare"/><testcase id="disk/a" name="two"/>
            <finally><testcase id="b"/></finally>
        </testsequence></xenrt>"#;
    insta::assert_snapshot!(Settle::new().file(file).tree(), @r"
    serial 0
      preprepare: prepares all action blocker
      prepare: prepares all action blocker
      a: disk/a fast=false loops=5
      preprepare#2: prepares all action blocker
      prepare#2: prepares all action blocker
      two: disk/a fast=false loops=5
      finally
        b: b clean-up blocker timeout=3600s
    ");
    let without = Settle::new().selection(|s| (s.no_prepare, s.no_finally) = (true, true)).file(file);
    insta::assert_snapshot!(without.tree(), @r"
    serial 0
      (preprepare: left out (--noprepare): 0..0)
      (prepare: left out (--noprepare): 0..0)
      (preprepare: left out (--noprepare): 1..1)
      (prepare: left out (--noprepare): 1..1)
      (finally: left out (--no-finally): 2..2)
      a: disk/a fast=false loops=5
      two: disk/a fast=false loops=5
    ");
    let without_hosts = Settle::new().selection(|s| s.no_host_prepare = true).file(file);
    assert!(without_hosts.tree().contains("prepare: prepares VMs action blocker"), "{}", without_hosts.tree());
}

#[test]
fn criteria_come_from_variables_and_are_held_to_their_form() {
    let criteria = |variables: &str, tests: &str| {
        let settled = Settle::new().file(&format!("<xenrt><variables>{variables}</variables>{tests}</xenrt>"));
        let criteria = &settled.plan.criteria;
        (criteria.rates.clone(), criteria.strict, criteria.expects_tests, settled.told.join("; "))
    };
    let tests = "<testsequence><testcase id='b'/></testsequence>";
    assert_eq!(criteria("", tests), (vec![], true, true, String::new()));
    let told = criteria("<PASS_CRITERIA>100, 50.5,,0%</PASS_CRITERIA><PASS_RATE_STRICT>no</PASS_RATE_STRICT>", tests);
    assert_eq!(told, (vec![100.0, 50.5, 100.0, 0.0], false, true, String::new()));
    let (rates, strict, _, told) =
        criteria("<PASS_CRITERIA>100,101</PASS_CRITERIA><PASS_RATE_STRICT>maybe</PASS_RATE_STRICT>", tests);
    assert_eq!((rates, strict), (vec![], true));
    assert!(told.contains("`PASS_CRITERIA` is `100,101`, expected percentages from 0 to 100"), "{told}");
    assert!(told.contains("`maybe` is neither yes nor no"), "{told}");
    assert!(criteria("", "<testsequence/>").2, "an empty testsequence is to fail");
}

#[test]
fn filters_leave_clean_ups_and_actions_alone() {
    let tests = r#"
        <serial group="g" sku="s">
          <testcase id="disk/a" tc="TC-17"/><testcase id="b" prio="2"/><action action="sleep"><arg>1</arg></action>
          <finally><testcase id="b" name="end" prio="9"/></finally>
        </serial>
        <testcase id="disk/a" group="h" name="c" ttype="t"/>"#;
    let check = |ask: &dyn Fn(&mut Asked), expected: &[&str]| {
        let settled = Settle::new().asked(|asked| ask(asked)).tests(tests);
        assert_eq!((settled.runs(), &settled.told[..]), (expected.to_vec(), &[][..]));
    };
    check(&|a| a.run = vec!["TC17".into()], &["g/a", "sleep", "g/end"]);
    check(&|a| a.skip = vec!["g/b".into()], &["g/a", "sleep", "g/end", "h/c"]);
    check(&|a| a.skip_group = vec!["g".into()], &["sleep", "g/end", "h/c"]);
    check(&|a| a.run_sku = vec!["s".into()], &["g/a", "g/b", "sleep", "g/end"]);
    check(&|a| a.priority = Some(1), &["g/a", "sleep", "g/end", "h/c"]);
    check(&|a| a.only = vec!["tag:smoke & !group:h".into()], &["g/a", "sleep", "g/end"]);
    let wrong = Settle::new().asked(|a| a.run = vec!["h/d".into(), "end".into()]).tests(tests);
    insta::assert_snapshot!(wrong.told.join("\n"), @r"
    command line: error: `--run h/d` names no testcase here [unknown-name] | did you mean `h/c`?
    command line: error: `--run end` names no testcase here [unknown-name] | it names a clean-up, and no filter leaves those out but --no-finally
    ");
    let by_job = Settle::new().lenient().set("SKIP_elsewhere", "yes").tests(tests);
    assert_eq!(
        by_job.told,
        ["command line: warning: `-D SKIP_elsewhere=yes` names no testcase here [idle-filter] | there is: TC17, a, b, c"]
    );
}

#[test]
fn what_the_filter_says_is_the_reason_even_of_what_could_not_run() {
    let settled = Settle::new()
        .lenient()
        .asked(|a| a.skip = vec!["x".into()])
        .tests(r#"<testcase id="b"/><testcase id="disk/a" name="x" depends=":z"/>"#);
    assert_eq!(settled.plan.cases[1].skip.as_deref(), Some("left out by --skip x"));
}

/// Ten testcases, a blocker in the middle, a dependency, an action, and a serial among them.
const SHUFFLED: &str = r#"
    <testcase id="disk/a" name="1"/><testcase id="disk/a" name="2"/><testcase id="disk/a" name="3" depends=":1"/><testcase id="disk/a" name="4"/>
    <testcase id="b" name="blocker"/>
    <for iter="X" values="5,6,7"><testcase id="disk/a" name="${X}"/></for>
    <serial group="s"><testcase id="disk/a" name="8"/><testcase id="disk/a" name="9"/><finally><testcase id="b" name="e"/><testcase id="b" name="f"/></finally></serial>
    <action action="sleep"><arg>1</arg></action>
    <testcase id="disk/a" name="10" depends="s:8"/>"#;

#[test]
fn a_shuffled_order_keeps_what_others_rely_on() {
    let settled = Settle::new().tests(SHUFFLED);
    let shuffled = |seed: u64| Rounds::new(settled.plan.clone(), Some(seed), None).next().unwrap();
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let plan = shuffled(seed);
        let ids: Vec<String> = ids(&plan).iter().map(ToString::to_string).collect();
        let at = |id: &str| ids.iter().position(|other| other == id).unwrap();
        assert!(at("1") < at("3"), "{ids:?}");
        assert!(["1", "2", "3", "4"].iter().all(|id| at(id) < at("blocker")), "{ids:?}");
        assert!(["5", "6", "7", "s/8", "s/9"].iter().all(|id| at("blocker") < at(id) && at(id) < at("sleep")), "{ids:?}");
        assert!(at("s/e") + 1 == at("s/f") && at("s/f") == at("s/8").max(at("s/9")) + 2, "{ids:?}");
        assert_eq!(ids[13], "10");
        assert_eq!(plan.cases[at("3")].depends, [at("1")]);
        assert_eq!((plan.seed, plan.root.notes[0].made.clone()), (Some(seed), 0..0));
        orders.insert(ids);
    }
    assert!(orders.len() > 100, "{} orders", orders.len());
    // On every machine.
    insta::assert_snapshot!(ids(&shuffled(1)).join(" "), @r"
    4 2 1 3 blocker 6 5 7 s/8 s/9 s/e s/f sleep 10
    ");
}

#[test]
fn the_same_testcase_has_the_same_id_in_any_order() {
    let tests = r#"<testcase id="disk/a"><arg>loops=1</arg></testcase><testcase id="disk/a"><arg>loops=2</arg></testcase>"#;
    let settled = Settle::new().lenient().tests(tests);
    for seed in 0..20 {
        for case in Rounds::new(settled.plan.clone(), Some(seed), None).next().unwrap().cases {
            assert_eq!(case.id.as_str().ends_with("#2"), plain_text(&case.args["loops"]) == "2");
        }
    }
}

#[test]
fn each_round_is_a_part_of_its_own() {
    let tests = r#"<testcase id="disk/a"/><serial group="g"><testcase id="b" depends=":a"/></serial><finally><testcase id="b" name="end"/></finally>"#;
    insta::assert_snapshot!(Settle::new().rounds(None, Some(2)).tests(tests).tree(), @r"
    serial 0
      serial 1 round 1
        a: disk/a fast=false loops=5
        serial 2 g
          g/b: b blocker timeout=3600s after=a
        finally
          end: b clean-up blocker timeout=3600s
      serial 3 round 2
        a#2: disk/a fast=false loops=5
        serial 4 g
          g/b#2: b blocker timeout=3600s after=a#2
        finally
          end#2: b clean-up blocker timeout=3600s
    ");
    assert_eq!(Settle::new().rounds(None, Some(1)).tests(tests).tree(), Settle::new().tests(tests).tree());
}

#[test]
fn further_rounds_go_on_with_ids_and_numbers() {
    let mut settled =
        Settle::new().rounds(Some(7), None).tests(r#"<testcase id="disk/a"/><serial group="g"><testcase id="b"/></serial>"#);
    let mut all: Vec<String> = settled.ids().iter().map(ToString::to_string).collect();
    let mut numbers: Vec<u32> = settled.plan.root.planned().iter().map(|step| step.step).collect();
    for plan in settled.rounds.by_ref().take(3) {
        all.extend(ids(&plan).iter().map(ToString::to_string));
        numbers.extend(plan.root.planned().iter().map(|step| step.step));
    }
    all.sort();
    assert_eq!(all, ["a", "a#2", "a#3", "a#4", "g/b", "g/b#2", "g/b#3", "g/b#4"]);
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
}
