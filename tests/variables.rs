//! Variables from all sides: files, sequence, environment, command line; who wins, what is shown, what is kept secret.

use crate::support::plan::{Bench, says};
use crate::support::xrt::Xrt;
use proptest::prelude::*;
use xenrt::config::read_text;
use xenrt::diagnostic::Severity;
use xenrt::vars::{KNOWN, Layer, Live, Reader, Variables};

/// Sets X on every side there is; each is stronger than those before it.
const SIDES: [&str; 7] = ["default", "site", "project", "config", "sequence", "environment", "command line"];

/// A command line with X set on those sides.
fn with(sides: &[&str]) -> Xrt {
    let has = |side: &str| sides.contains(&side);
    let file = |side: &str| format!("<xenrt>{}</xenrt>", if has(side) { format!("<X>{side}</X>") } else { String::new() });
    let default = if has("default") { r#"<default name="X" value="default"/>"# } else { "" };
    let variables = if has("sequence") { "<variables><X>sequence</X></variables>" } else { "" };
    let sequence =
        format!("<xenrt>{default}{variables}<testsequence><testcase id='a'><arg>say=%X%</arg></testcase></testsequence></xenrt>");
    let mut xrt = Xrt::new()
        .file("site.xml", file("site"))
        .file("xenrt.xml", file("project"))
        .file("c.xml", file("config"))
        .file("s.seq", sequence)
        .file("scripts/a.rhai", "fn meta() { #{ args: #{ say: \"\" } } } fn run(args) { log(args.say); log(config(\"X\")); }")
        .env("XRT_SITE_CONFIG", "site.xml")
        .args("-s s.seq -c c.xml");
    if has("environment") {
        xrt = xrt.env("XRT_X", "environment");
    }
    if has("command line") {
        xrt = xrt.arg("-D").arg("X=command line");
    }
    xrt
}

#[test]
fn of_all_that_set_a_variable_the_strongest_wins_everywhere() {
    for end in 1..=SIDES.len() {
        let ran = with(&SIDES[..end]).run().ends(0);
        let strongest = SIDES[end - 1];
        assert_eq!(ran.said("a"), [strongest, strongest], "in the sequence as for the testcase");
    }
    // And whatever is missing between.
    for side in SIDES {
        let ran = with(&["default", side]).run().ends(0);
        assert_eq!(ran.said("a"), [side, side]);
    }
}

#[test]
fn who_set_what_is_shown_layer_by_layer() {
    let ran = with(&SIDES).run().ends(0).then("vars X --origin -s s.seq -c c.xml -D X=flag").ends(0);
    let rows: Vec<Vec<&str>> =
        ran.stdout.lines().map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect()).collect();
    let expected: [&[&str]; 8] = [
        &["NAME", "VALUE", "LAYER", "WHERE"],
        &["X", "flag", "command line", "-D"],
        &["environment", "environment (overridden)", "XRT_X"],
        &["sequence", "sequence (overridden)", "s.seq:1"],
        &["config", "config (overridden)", "c.xml:1"],
        &["project", "project (overridden)", "xenrt.xml:1"],
        &["site", "site (overridden)", "site.xml:1"],
        &["default", "default (overridden)", "s.seq:1"],
    ];
    assert_eq!(rows, expected, "{}", ran.stdout);
    let json: serde_json::Value = serde_json::from_str(&ran.then("vars X -c c.xml --json").ends(0).stdout).unwrap();
    assert_eq!((&json[0]["value"], &json[0]["layer"]), (&"environment".into(), &"environment".into()));
    assert_eq!(json[0]["history"].as_array().unwrap().len(), 4);
}

#[test]
fn one_value_can_be_looked_up() {
    let xrt = Xrt::new().file("xenrt.xml", "<xenrt><A><B>1</B></A><U>http://${A:B}/</U><BAD>${GONE}</BAD></xenrt>");
    let xrt = xrt.file("s.seq", "<xenrt><variables><U>from the sequence</U></variables><prepare><host/></prepare></xenrt>");
    for (words, exit, text) in [
        ("--lookup A/B", 0, "1\n"),
        ("--lookup A:B", 0, "1\n"),
        ("--lookup U", 0, "http://1/\n"),
        ("--lookup U -s s.seq", 0, "from the sequence\n"),
        ("--lookup U -D U=%20", 0, "%20\n"),
        ("--lookup A/B -D OUTPUT_JSON=yes", 0, "{\"A/B\":\"1\"}\n"),
        ("--lookup DB_PASSWORD -D DB_PASSWORD=hunter22", 0, "hunter22\n"),
        ("--lookup NOT", 2, "error: the variable `NOT` is not set"),
        ("--lookup PREPARE_WORKER", 2, "did you mean `PREPARE_WORKERS`?"),
        ("--lookup JOBID", 2, "it means: the number of the job"),
        ("--lookup A", 2, "error: `A` is not a value: `A/B` is below it, from xenrt.xml:1"),
        ("--lookup BAD", 2, "error: the value of `BAD` (xenrt.xml:1) refers to `${GONE}`, which is not set"),
        ("--lookup U -s gone.seq", 2, "error: there is no sequence `gone.seq`"),
    ] {
        let ran = xrt.clone().args(words).run().ends(exit);
        match exit {
            0 => assert_eq!(ran.stdout, text, "{words}"),
            _ => assert!(ran.stderr.contains(text) && ran.stdout.is_empty(), "{words}\n{}", ran.transcript()),
        }
        assert!(!ran.dir().join("results").exists(), "nothing is run");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told_and_nothing_is_done() {
    let ran = |xrt: Xrt| xrt.script("a.rhai", "fn run(args) {}").run().ends(2);
    for (file, text, expected) in [
        ("xenrt.xml", "<xenrt>\n<A b='1'>x</A>\n<C d='1'/></xenrt>", "`<A>` has no attribute `b`"),
        ("xenrt.xml", "<xenrt><A>1</A><A><B>2</B></A></xenrt>", "cannot set `A/B`: `A` has a value of its own, from xenrt.xml:1"),
        ("xenrt.xml", "<xenrt><A>", "`<A>` is not closed"),
        ("xenrt.xml", "{\"A\": [{}]}", "`A`: a list is one of plain values"),
    ] {
        let ran = ran(Xrt::new().file(file, text));
        assert!(ran.stderr.contains(expected) && ran.stderr.contains("nothing was done"), "{}", ran.transcript());
    }
    let both = ran(Xrt::new().file("xenrt.xml", "<xenrt>\n<A b='1'>x</A>\n<C d='1'>x</C></xenrt>"));
    assert!(both.stderr.contains("xenrt.xml:2:4") && both.stderr.contains("xenrt.xml:3:4"), "all at once\n{}", both.transcript());
    assert!(ran(Xrt::new().args("-c gone.xml")).stderr.contains("cannot read the configuration file `gone.xml`"));
    assert!(ran(Xrt::new().env("XRT_SITE_CONFIG", "gone")).stderr.contains("cannot read the configuration file `gone`"));
    assert!(ran(Xrt::new().file("b", [0xff, 0xfe]).args("-c b")).stderr.contains("is not UTF-8 text (byte 0)"));
    assert!(ran(Xrt::new().args("-D A/B=1 -D A=2")).stderr.contains("`A` is not a value: `A/B` is below it, from -D"));
    assert!(ran(Xrt::new().args("-D =1")).stderr.contains("a variable needs a name"));
}

#[test]
fn a_persons_own_settings_are_read_after_those_of_the_machine() {
    // Without XRT_SITE_CONFIG; the machine's own file, if it has one, does not set this.
    let xrt = Xrt::new().file("home/.config/xenrt/site.xml", "<xenrt><FROM_HOME>1</FROM_HOME></xenrt>").env("XRT_SITE_CONFIG", "");
    assert_eq!(xrt.clone().args("--lookup FROM_HOME").run().ends(0).stdout, "1\n");
    let elsewhere = xrt.file("xdg/xenrt/site.xml", "{FROM_HOME: 2}").env("XDG_CONFIG_HOME", "xdg");
    assert_eq!(elsewhere.args("--lookup FROM_HOME").run().ends(0).stdout, "2\n");
}

#[test]
fn secrets_are_shown_nowhere() {
    let script = r#"fn run(args) {
        log(`password ${config("DB_PASSWORD")}, key ${config("ACCESS_KEY")}, url ${config("URL")}, on ${config("JOB_PASSWORD")}`);
    }"#;
    let xrt = Xrt::new()
        .file("xenrt.xml", "<xenrt><DB_PASSWORD>hunter22</DB_PASSWORD><URL>http://u:${DB_PASSWORD}@h</URL></xenrt>")
        .script("a.rhai", script)
        .env("XRT_ACCESS_KEY", "hunter33")
        .args("-D ROOT_PASSWORDS=hunter44,hunter55 -D JOB_PASSWORD=true -D EXPORT_ISO_CIFS=u:hunter66:p");
    let ran = xrt.run().ends(0);
    let said = ran.said("a").join("");
    assert_eq!(said, "password ••••••, key ••••••, url http://u:••••••@h, on true", "a plain yes is no secret");
    let words = "vars --origin -D ROOT_PASSWORDS=hunter44,hunter55 -D EXPORT_ISO_CIFS=u:hunter66:p";
    for shown in [ran.then(words).ends(0), ran.then(&format!("{words} --json")).ends(0)] {
        assert!(!shown.stdout.contains("hunter") && shown.stdout.contains("••••••"), "{}", shown.stdout);
        assert!(shown.stdout.contains("http://u:${DB_PASSWORD}@h"), "{}", shown.stdout);
    }
    for entry in walkdir::WalkDir::new(&ran.results).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file()) {
        let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        assert!(!text.contains("hunter"), "{}", entry.path().display());
    }
}

#[test]
fn a_change_while_the_run_goes_on_is_seen_by_config() {
    let mut variables = Variables::default();
    variables.set(Layer::Flag, "GO", "no").unwrap();
    let live = Live::new(variables);
    let (steering, seen) = (live.clone(), live.clone());
    // `a` waits until GO is yes, which it is set to once `a` has begun.
    let bench = Bench::new("s(a:v)").with(|settings| settings.variables = live);
    let ran = bench.watched(move |event| {
        if says(event, "a", "began") {
            steering.set("GO", "yes", "the test").unwrap();
        }
    });
    assert_eq!(ran.run().verdict.exit().code(), 0);
    assert_eq!(seen.read(|v| v.origin("GO").map(|(layer, s)| (layer, s.value.clone()))), Some((Layer::Live, "yes".into())));
}

#[test]
fn what_the_table_says_is_read_is_named_in_the_code() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut code = String::new();
    for entry in walkdir::WalkDir::new(root).into_iter().map(Result::unwrap) {
        let is_code = entry.path().extension().is_some_and(|e| e == "rs") && !entry.path().ends_with("vars/known.rs");
        if is_code && entry.file_type().is_file() {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            code += text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        }
    }
    let is_named = |name: &str| {
        let start = name.split('<').next().unwrap();
        code.contains(&format!("\"{start}\"")) || name.contains('<') && code.contains(&format!("\"{start}{{"))
    };
    // The one that only the environment sets has another name there.
    let is_named = |name: &str| is_named(name) || code.contains(&format!("\"XRT_{name}\""));
    let wrong: Vec<&str> = KNOWN
        .iter()
        .filter(|known| matches!(known.reader, Reader::Run | Reader::Preparation | Reader::Machines) != is_named(known.name))
        .filter(|known| known.reader != Reader::Testcases)
        .map(|known| known.name)
        .collect();
    assert!(wrong.is_empty(), "said to be read, or not to be, and the code says otherwise: {wrong:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever stands in a configuration file: it ends, and what is not set is told.
    #[test]
    fn a_configuration_of_any_content_is_read_or_refused(text in r#"[<>/a-c{}\[\]:,"'%$ \n&#*!|-]{0,60}"#) {
        let mut variables = Variables::default();
        let found = read_text("x", &text, Layer::Config, &mut variables);
        for name in variables.names() {
            prop_assert!(variables.origin(name).unwrap().1.origin.starts_with("x:"));
        }
        prop_assert!(found.iter().all(|d| d.severity == Severity::Warning || !d.message.is_empty()));
    }

    /// Whatever values refer to: lookup ends, with a value or the reason why there is none.
    #[test]
    fn references_of_any_shape_end(values in proptest::collection::vec(r"(\$\{[A-E]\}|x|\$|\{){0,6}", 5)) {
        let mut variables = Variables::default();
        for (name, value) in ["A", "B", "C", "D", "E"].iter().zip(&values) {
            variables.set(Layer::Flag, name, value).unwrap();
        }
        for name in ["A", "B", "C", "D", "E"] {
            match variables.lookup(name) {
                Ok(value) => prop_assert!(value.is_some()),
                Err(error) => prop_assert!(error.what.contains("refers to itself"), "{}", error.what),
            }
        }
    }
}
