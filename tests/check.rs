//! `xrt check` and `xrt manual`: mistakes and what is said about them, correct scripts about which nothing is said, and the
//! pages.

use crate::support::xrt::Xrt;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use xenrt::script::{Manual, Scripts, Sort, check};

/// A script with mistakes, and what must be said about it: `line:column: severity: message [rule] | help`.
struct Mistake {
    title: &'static str,
    script: &'static str,
    told: &'static [&'static str],
}

/// What the scripts of the tables import.
const MODULES: [(&str, &str); 5] = [
    ("lib/plain.rhai", "fn f() { 1 }\n"),
    ("lib/tools.rhai", "export const SIZE = 5;\nfn help(a) { a }\nprivate fn hidden() { other() }\nfn other() { hidden() }\n"),
    ("lib/circle.rhai", "import \"lib/circle2\" as c;\nfn f() { c::g() }\n"),
    ("lib/circle2.rhai", "import \"lib/circle\" as c;\nfn g() { c::f() }\n"),
    ("lib/broken.rhai", "fn f() { lgo(\"x\"); }\n"),
];

/// Scripts, with a directory that has the modules as their root.
fn with_modules() -> (TempDir, Arc<Scripts>) {
    let dir = TempDir::with_prefix("xrt-check-").unwrap();
    std::fs::create_dir(dir.path().join("lib")).unwrap();
    for (name, text) in MODULES {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let scripts = Scripts::new(vec![dir.path().to_path_buf()], None).unwrap();
    (dir, scripts)
}

fn told(scripts: &Arc<Scripts>, root: &Path, text: &str) -> Vec<String> {
    let found = check(scripts, &scripts.reader(), "t", text).diagnostics;
    let line = |d: &xenrt::diagnostic::Diagnostic| {
        let help = d.help.as_ref().map(|h| format!(" | {h}")).unwrap_or_default();
        let line = format!("{}{help}", d.headline()).replace(&format!("{}/", root.display()), "");
        line.strip_prefix("t:").unwrap_or(&line).to_string()
    };
    found.iter().map(line).collect()
}

/// As a file has it: a text in a table begins on the line after its quote.
fn plain(script: &str) -> &str {
    script.strip_prefix('\n').unwrap_or(script)
}

#[test]
fn mistakes_are_told_in_their_place() {
    let (dir, scripts) = with_modules();
    for mistake in MISTAKES {
        let said = told(&scripts, dir.path(), plain(mistake.script));
        assert_eq!(said, mistake.told, "\n{}\n{}", mistake.title, mistake.script);
    }
}

#[test]
fn correct_scripts_are_left_alone() {
    let (dir, scripts) = with_modules();
    for (title, script) in CORRECT {
        assert_eq!(told(&scripts, dir.path(), plain(script)), [""; 0], "\n{title}\n{script}");
    }
}

/// Whatever a person is in the middle of typing is looked at without a panic and without an endless loop.
#[test]
fn torn_scripts_are_no_trouble() {
    let (dir, scripts) = with_modules();
    let texts = CORRECT.iter().map(|(_, text)| *text).chain(MISTAKES.iter().map(|m| m.script));
    for text in texts.map(plain) {
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).step_by(9).collect();
        for (number, end) in ends.iter().enumerate() {
            told(&scripts, dir.path(), &text[..*end]);
            told(&scripts, dir.path(), &text[*end..]);
            let without = ends.get(number + 1).map_or("", |next| &text[*next..]);
            told(&scripts, dir.path(), &format!("{}{without}", &text[..*end]));
        }
    }
}

#[test]
fn shipped_scripts_are_left_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = ["scripts", "examples", "stdlib"].map(|dir| root.join(dir).display().to_string());
    let ran = Xrt::new().args("check --json").args(&paths.join(" ")).run().ends(0);
    assert_eq!(ran.stdout, "[]\n");
}

/// That they run is seen in `bindings.rs`.
#[test]
fn examples_of_the_manual_are_left_alone() {
    let scripts = Scripts::new(Vec::new(), None).unwrap();
    let manual = Manual::of(&scripts).unwrap();
    let ours = manual.entries().iter().filter(|e| e.chapter != "language");
    for (entry, example) in ours.flat_map(|e| e.examples.iter().map(move |x| (e, x))) {
        let said = told(&scripts, Path::new("/nowhere"), &format!("fn run(args) {{\n{example}\n}}"));
        assert_eq!(said, [""; 0], "{}\n{example}", entry.signature());
    }
}

#[test]
fn every_name_can_be_written_in_a_script() {
    let scripts = Scripts::new(Vec::new(), None).unwrap();
    let engine = scripts.bare_engine();
    for entry in Manual::of(&scripts).unwrap().entries() {
        let name = &entry.name;
        let text = match entry.sort {
            Sort::Function => format!("{name}()"),
            Sort::Method => format!("let x = 1; x.{name}()"),
            Sort::Property => format!("let x = 1; x.{name}"),
            Sort::Constant => name.clone(),
            Sort::Key => format!("#{{ {name}: 1 }}"),
            Sort::Hook => format!("fn {name}() {{ }}"),
        };
        // The language's own may be words of the language: print, type_of.
        let is_fine = entry.chapter == "language" || engine.compile(&text).is_ok();
        assert!(is_fine, "{text}: {:?}", engine.compile(&text).err());
    }
}

#[test]
fn check_shows_the_lines_and_counts() {
    let xrt = Xrt::new().file("scripts/good.rhai", "fn run(args) { }\n");
    let ran = xrt.clone().args("check").run().ends(0);
    assert_eq!(ran.stderr, "1 file checked, nothing found\n");
    let xrt = xrt.file("scripts/bad.rhai", "fn run(args) {\n    lgo(\"x\");\n    return;\n    log(1);\n}\n");
    let ran = xrt.args("check").run().ends(2);
    let expected = "\
error[unknown-function]: no function `lgo`
  ╭▸ scripts/bad.rhai:2:5
  │
1 │ fn run(args) {
2 │     lgo(\"x\");
  ╰╴    ━━━
  help:    did you mean `log`?

warning[unreachable-code]: this is never reached: `return` comes before it
  ╭▸ scripts/bad.rhai:4:5
  │
3 │     return;
4 │     log(1);
  ╰╴    ━━━

1 error, 1 warning in 1 of 2 files
";
    assert_eq!(ran.stderr, expected);
    assert_eq!(ran.stdout, "");
}

#[test]
fn check_tells_programs_everything() {
    let ran = Xrt::new().file("a.rhai", "fn run(args) {\n    lgo(1);\n}\n").args("check --json a.rhai").run().ends(2);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = serde_json::json!([{
        "severity": "error",
        "rule": "unknown-function",
        "place": { "file": "a.rhai", "line": 2, "column": 5 },
        "message": "no function `lgo`",
        "help": "did you mean `log`?",
    }]);
    assert_eq!(found, expected);
}

#[test]
fn check_needs_something_to_check() {
    let xrt = Xrt::new().file("empty/readme", "").file("latin.rhai", b"// caf\xe9\nfn run(args) { }");
    for (words, expected) in [
        ("check", "error: nothing to check: there is no directory `scripts` or `sequences` here\n  help: xrt check PATH…\n"),
        (
            "check nowhere",
            "error: no file or directory `nowhere`\n  help: name .rhai and .seq files, or directories that hold them\n",
        ),
        ("check empty", "error: no .rhai or .seq file in `empty`\n"),
        ("check latin.rhai", "error: `latin.rhai` is not UTF-8 text (byte 6)\n"),
    ] {
        assert_eq!(xrt.clone().args(words).run().ends(2).stderr, expected, "{words}");
    }
}

#[test]
fn a_run_refuses_a_script_with_mistakes_before_anything_runs() {
    let xrt = Xrt::new()
        .file("a.rhai", "fn run(args) { save_file(\"ran\", \"\"); }")
        .file("b.rhai", "fn run(args) { if args.is_empty() { return; } lgo(1); }");
    let both = xrt.clone().testcase("a.rhai").testcase("b.rhai");
    let ran = both.clone().run().ends(2);
    assert!(ran.stderr.starts_with("error[unknown-function]: no function `lgo`"), "{}", ran.stderr);
    assert!(ran.results.as_os_str().is_empty(), "nothing ran");
    both.arg("--no-check").run().ends(0);
    // A warning is no reason not to run.
    xrt.script("c.rhai", "fn run(args) { return; log(1); }").run().ends(0);
}

#[test]
fn constants_of_the_library_are_seen_everywhere() {
    let text = "fn big() { GIB }\nfn run(args) { check(big() == timed_size(), \"same\"); timed(|| check(KIB < MIB && HOUR == 3600, \"h\")); }\nfn timed_size() { let f = || 1 * GIB; f.call() }";
    Xrt::new().script("a.rhai", text).run().ends(0);
}

#[test]
fn the_manual_shows_chapters_and_pages() {
    let xrt = Xrt::new();
    let of = |words: &str| xrt.clone().args(words).run().ends(0).stdout;
    let all = of("manual");
    for line in ["flow: steps, loops, waits", "  target()  ", "  guest.exec(command, options)  ", "  fn run(args)  ", "  timeout  "]
    {
        assert!(all.contains(line), "{line}\n{all}");
    }
    let exec = of("manual guest.exec");
    assert!(exec.starts_with("guest.exec(command: text) -> text\n\n  Runs a command"), "{exec}");
    assert!(exec.contains("\n      let kernel = target().exec(\"uname -r\");\n"), "{exec}");
    assert!(of("manual exec").starts_with(&exec), "other objects have it, too");
    let guest = of("manual guest");
    for of_any_chapter in ["guest.exec(", "guest.reboot(", "guest.read_file(", "\nguest(name: text) -> Guest\n"] {
        assert!(guest.contains(of_any_chapter), "{of_any_chapter}\n{guest}");
    }
    assert!(of("manual text.split").starts_with("text.split() -> list\n"));
    let entries: serde_json::Value = serde_json::from_str(&of("manual --json timed")).unwrap();
    assert_eq!(entries[0]["params"], serde_json::json!([{ "name": "body", "type": "closure" }]));
    let ran = xrt.clone().args("manual guset.exce").run().ends(2);
    assert_eq!(ran.stderr, "error: nothing in the manual is called `guset.exce`\n  help: did you mean `guest.exec`?\n");
}

#[test]
fn definitions_are_written_for_editors() {
    let ran = Xrt::new().args("manual --definitions defs").run().ends(0);
    let flow = std::fs::read_to_string(ran.dir().join("defs/flow.d.rhai")).unwrap();
    assert!(flow.contains("/// Runs a closure and gives the seconds it took.\n"), "{flow}");
    assert!(flow.contains("\nfn timed(body: FnPtr) -> float;\n"), "{flow}");
    let data = std::fs::read_to_string(ran.dir().join("defs/data.d.rhai")).unwrap();
    assert!(data.contains("fn gib(n: ?) -> int;\n"), "{data}");
    let guest = std::fs::read_to_string(ran.dir().join("defs/guest.d.rhai")).unwrap();
    assert!(guest.contains("\nfn exec(guest: Guest, command: String) -> String;\n"), "{guest}");
    assert!(guest.contains("\nfn get name(guest: Guest) -> String;\n"), "{guest}");
}

/// At least fifty scripts with mistakes.
const MISTAKES: &[Mistake] = &[
    Mistake {
        title: "an unknown function",
        script: r##"fn run(args) { lgo("x"); }"##,
        told: &[r#"1:16: error: no function `lgo` [unknown-function] | did you mean `log`?"#],
    },
    Mistake {
        title: "an unknown function without a near name",
        script: r##"fn run(args) { frobnicate(1); }"##,
        told: &[r#"1:16: error: no function `frobnicate` [unknown-function]"#],
    },
    Mistake {
        title: "several at once, in order",
        script: r##"
fn run(args) {
    lgo("a");
    fial("b");
    warn();
}
"##,
        told: &[
            r#"2:5: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"3:5: error: no function `fial` [unknown-function] | did you mean `fail`?"#,
            r#"4:5: error: `warn` takes 1 argument, 0 given [wrong-arguments] | it is warn(text)"#,
        ],
    },
    Mistake {
        title: "an unknown method of a text",
        script: r##"fn run(args) { log("abc".to_uper()); }"##,
        told: &[r#"1:26: error: a text has no function `to_uper` [unknown-method] | did you mean `.to_upper(…)`?"#],
    },
    Mistake {
        title: "an unknown method of something",
        script: r##"fn run(args) { let all = guests(); for vm in all { vm.push_itt(1); } }"##,
        told: &[r#"1:55: error: nothing has a function `push_itt` [unknown-method]"#],
    },
    Mistake {
        title: "an unknown method of a machine",
        script: r##"fn run(args) { let vm = target(); vm.exce("uname"); }"##,
        told: &[r#"1:38: error: a Guest has no function `exce` [unknown-method] | did you mean `.exec(…)`?"#],
    },
    Mistake {
        title: "a method of another type",
        script: r##"fn run(args) { target().to_upper(); guest("a").kill(); }"##,
        told: &[
            r#"1:25: error: a Guest has no function `to_upper` [unknown-method]"#,
            r#"1:48: error: a Guest has no function `kill` [unknown-method]"#,
        ],
    },
    Mistake {
        title: "in a closure",
        script: r##"fn run(args) { let vm = target(); timed(|| vm.exce("uname")); }"##,
        told: &[r#"1:47: error: a Guest has no function `exce` [unknown-method] | did you mean `.exec(…)`?"#],
    },
    Mistake {
        title: "a property called like a method",
        script: r##"fn run(args) { log(target().name()); }"##,
        told: &[r#"1:29: error: a Guest has no function `name` [unknown-method] | it is a property: write `.name`"#],
    },
    Mistake {
        title: "a machine's method written as a property",
        script: r##"fn run(args) { target().reboot; }"##,
        told: &[r#"1:25: error: a Guest has no property `reboot` [unknown-property] | it is a function: write `.reboot()`"#],
    },
    Mistake {
        title: "no command",
        script: r##"fn run(args) { target().exec(); }"##,
        told: &[
            r#"1:25: error: `exec` takes 1 or 2 arguments, 0 given [wrong-arguments] | it is guest.exec(command: text), guest.exec(command: text, options: map)"#,
        ],
    },
    Mistake {
        title: "options that are no map",
        script: r##"fn run(args) { target().exec("uname", 5); }"##,
        told: &[
            r#"1:25: error: `exec` does not take (text, integer) [wrong-arguments] | it is guest.exec(command: text), guest.exec(command: text, options: map)"#,
        ],
    },
    Mistake {
        title: "an unknown option of a method",
        script: r##"fn run(args) { target().exec("uname", #{ timeout: 5, queit: true }); }"##,
        told: &[r#"1:54: error: `exec` has no option `queit` [unknown-option] | did you mean `quiet`?"#],
    },
    Mistake {
        title: "a job",
        script: r##"fn run(args) { let job = target().run_job("true"); job.outptu(); log(job.rcc); }"##,
        told: &[
            r#"1:56: error: a Job has no function `outptu` [unknown-method] | did you mean `.output(…)`?"#,
            r#"1:74: error: a Job has no property `rcc` [unknown-property] | did you mean `.rc`?"#,
        ],
    },
    Mistake {
        title: "a property of a machine set",
        script: r##"fn run(args) { let vm = target(); vm.name = "x"; vm.nmae = "y"; }"##,
        told: &[
            r#"1:38: error: `name` of a Guest cannot be set [read-only-property]"#,
            r#"1:53: error: a Guest has no property `nmae` [unknown-property] | did you mean `.name`?"#,
        ],
    },
    Mistake {
        title: "machines in a loop",
        script: r##"fn run(args) { for vm in guests() { vm.exce("uname"); } }"##,
        told: &[r#"1:40: error: nothing has a function `exce` [unknown-method] | did you mean `.exec(…)`?"#],
    },
    Mistake {
        title: "in a string",
        script: r##"fn run(args) { log(`it is ${lgo("x")}`); }"##,
        told: &[r#"1:29: error: no function `lgo` [unknown-function] | did you mean `log`?"#],
    },
    Mistake {
        title: "a property of a text",
        script: r##"fn run(args) { let name = "a"; log(name.lenght); }"##,
        told: &[r#"1:41: error: a text has no property `lenght` [unknown-property]"#],
    },
    Mistake {
        title: "a method written as a property",
        script: r##"fn run(args) { log("abc".to_upper); }"##,
        told: &[r#"1:26: error: a text has no property `to_upper` [unknown-property] | it is a function: write `.to_upper()`"#],
    },
    Mistake {
        title: "a property of a machine",
        script: r##"fn run(args) { log(target().boot_di); }"##,
        told: &[r#"1:29: error: a Guest has no property `boot_di` [unknown-property] | did you mean `.boot_id`?"#],
    },
    Mistake {
        title: "too many arguments",
        script: r##"fn run(args) { log("a", "b", "c"); }"##,
        told: &[
            r#"1:16: error: `log` takes 1 or 2 arguments, 3 given [wrong-arguments] | it is log(text), log(x: number), log(x: number, base: number)"#,
        ],
    },
    Mistake {
        title: "too few arguments",
        script: r##"fn run(args) { value("a"); }"##,
        told: &[
            r#"1:16: error: `value` takes 2, 3 or 4 arguments, 1 given [wrong-arguments] | it is value(name: text, number), value(name: text, number, unit: text), value(name: text, number, unit: text, options: map)"#,
        ],
    },
    Mistake {
        title: "no arguments wanted",
        script: r##"fn run(args) { target("a"); }"##,
        told: &[r#"1:16: error: `target` takes no arguments, 1 given [wrong-arguments] | it is target()"#],
    },
    Mistake {
        title: "wrong count of an own function",
        script: r##"
fn helper(a, b) { a + b }
fn run(args) { log(helper(1)); }
"##,
        told: &[r#"2:20: error: `helper` takes 2 arguments, 1 given [wrong-arguments] | it is helper(a, b)"#],
    },
    Mistake {
        title: "wrong count of a method",
        script: r##"fn run(args) { let list = [1]; list.push(); }"##,
        told: &[r#"1:37: error: `push` takes 1 argument, 0 given [wrong-arguments] | it is list.push(item)"#],
    },
    Mistake {
        title: "wrong types",
        script: r##"fn run(args) { sleep("5s"); }"##,
        told: &[
            r#"1:16: error: `sleep` does not take (text) [wrong-arguments] | it is sleep(seconds: integer), sleep(seconds: number)"#,
        ],
    },
    Mistake {
        title: "wrong type of a method",
        script: r##"fn run(args) { log("a b".split([1])); }"##,
        told: &[
            r#"1:26: error: `split` does not take (list) [wrong-arguments] | it is text.split(), text.split(delimiter: char), text.split(delimiter: char, segments: integer), text.split(delimiter: text), … (6 forms)"#,
        ],
    },
    Mistake {
        title: "an undefined variable",
        script: r##"fn run(args) { let count = 1; log(cuont); }"##,
        told: &[r#"1:35: error: no variable `cuont` [unknown-variable] | did you mean `count`?"#],
    },
    Mistake {
        title: "two undefined variables",
        script: r##"fn run(args) { log(aaa1); log(bbb2); }"##,
        told: &[r#"1:20: error: no variable `aaa1` [unknown-variable]"#, r#"1:31: error: no variable `bbb2` [unknown-variable]"#],
    },
    Mistake {
        title: "an undefined variable in a closure",
        script: r##"fn run(args) { timed(|| log(nothing_here)); }"##,
        told: &[r#"1:29: error: no variable `nothing_here` [unknown-variable]"#],
    },
    Mistake {
        title: "out of its block",
        script: r##"fn run(args) { if true { let inner = 1; } log(inner); }"##,
        told: &[r#"1:47: error: no variable `inner` [unknown-variable]"#],
    },
    Mistake {
        title: "a file variable in a function",
        script: r##"
let shared_name = "x";
fn run(args) { log(shared_name); }
"##,
        told: &[
            r#"2:20: error: no variable `shared_name` [unknown-variable] | functions do not see the file's variables: give it as an argument, or make it `const shared_name` and write `global::shared_name`"#,
        ],
    },
    Mistake {
        title: "a file constant in a function",
        script: r##"
const LIMIT = 5;
fn run(args) { log(LIMIT); }
"##,
        told: &[r#"2:20: error: no variable `LIMIT` [unknown-variable] | a constant of the file is `global::LIMIT` in a function"#],
    },
    Mistake {
        title: "a global that is no constant",
        script: r##"
let limit = 5;
fn run(args) { log(global::limit); }
"##,
        told: &[
            r#"2:28: error: the file has no constant `limit` [unknown-variable] | only a constant is seen everywhere: write `const limit = …;` at the file's level"#,
        ],
    },
    Mistake {
        title: "a global that is not there",
        script: r##"
const LIMIT = 5;
fn run(args) { log(global::LIMT); }
"##,
        told: &[r#"2:28: error: the file has no constant `LIMT` [unknown-variable] | did you mean `LIMIT`?"#],
    },
    Mistake {
        title: "a near miss of a library constant",
        script: r##"fn run(args) { log(GIG); }"##,
        told: &[r#"1:20: error: no variable `GIG` [unknown-variable] | did you mean `GIB`?"#],
    },
    Mistake {
        title: "a missing import",
        script: r##"
import "lib/nothere" as nothere;
fn run(args) { nothere::f(); }
"##,
        told: &[
            r#"1:8: error: no script `lib/nothere` to import [unknown-module] | it is looked for beside the importing script and in the directories of --scripts"#,
        ],
    },
    Mistake {
        title: "an unknown alias",
        script: r##"fn run(args) { disk::fill(); }"##,
        told: &[r#"1:22: error: no module `disk` [unknown-module] | import "path/of/disk" as disk;"#],
    },
    Mistake {
        title: "a missing function of an import",
        script: r##"
import "lib/tools" as tools;
fn run(args) { tools::halp(1); }
"##,
        told: &[r#"2:23: error: `tools` has no function `halp` [unknown-function] | did you mean `help`?"#],
    },
    Mistake {
        title: "wrong count of an imported function",
        script: r##"
import "lib/tools" as tools;
fn run(args) { tools::help(); }
"##,
        told: &[r#"2:23: error: `tools::help` takes 1 argument, 0 given [wrong-arguments] | it is tools::help(a)"#],
    },
    Mistake {
        title: "a private function of an import",
        script: r##"
import "lib/tools" as tools;
fn run(args) { tools::hidden(); }
"##,
        told: &[r#"2:23: error: `tools` has no function `hidden` [unknown-function] | there is: help, other"#],
    },
    Mistake {
        title: "a variable that is not exported",
        script: r##"
import "lib/tools" as tools;
fn run(args) { log(tools::SISE); }
"##,
        told: &[r#"2:27: error: `tools` exports no `SISE` [unknown-variable] | did you mean `SIZE`?"#],
    },
    Mistake {
        title: "a circle of imports",
        script: r##"
import "lib/circle" as circle;
fn run(args) { circle::f(); }
"##,
        told: &[
            r#"lib/circle2.rhai:1:8: error: imports go in a circle: t → lib/circle.rhai → lib/circle2.rhai → lib/circle.rhai [circular-import]"#,
        ],
    },
    Mistake {
        title: "a broken import",
        script: r##"
import "lib/broken" as broken;
fn run(args) { broken::f(); }
"##,
        told: &[r#"lib/broken.rhai:1:10: error: no function `lgo` [unknown-function] | did you mean `log`?"#],
    },
    Mistake {
        title: "an unknown key in meta",
        script: r##"
fn meta() {
    #{ title: "t", timout: "5m" }
}
fn run(args) { }
"##,
        told: &[r#"2:20: error: unknown key `timout` in meta() [meta] | did you mean `timeout`?"#],
    },
    Mistake {
        title: "a wrong type in meta",
        script: r##"
fn meta() { #{ title: 5 } }
fn run(args) { }
"##,
        told: &[r#"1:16: error: `title` in meta() is 5, expected a text [meta]"#],
    },
    Mistake {
        title: "all faults of meta",
        script: r##"
fn meta() {
    #{
        titel: "t",
        target: "gest",
        args: #{ loops: 1 },
        help: #{ lops: "how often" },
        timeout: "5 parsecs"
    }
}
fn run(args) { }
"##,
        told: &[
            r#"3:9: error: unknown key `titel` in meta() [meta] | did you mean `title`?"#,
            r#"4:9: error: `target` in meta() is "gest" [meta] | did you mean `guest`?"#,
            r#"6:9: error: `help` explains `lops`, which is no argument [meta] | did you mean `loops`?"#,
            r#"7:9: error: `timeout` in meta(): `5 parsecs` is not a duration: unknown time unit "parsecs", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations) [meta] | write it as 90, 10m, 4h or 1h30m"#,
        ],
    },
    Mistake {
        title: "meta is no map",
        script: r##"
fn meta() { "title" }
fn run(args) { }
"##,
        told: &[r#"1:4: error: meta() returns "title", expected a map [meta]"#],
    },
    Mistake {
        title: "meta needs a machine",
        script: r##"
fn meta() { #{ title: target().name } }
fn run(args) { }
"##,
        told: &[
            r#"1:23: error: meta() fails: `target` cannot be used here: meta() is evaluated without a lab [meta] | move the call into prepare() or run()"#,
        ],
    },
    Mistake {
        title: "meta uses an unknown function",
        script: r##"
fn meta() { #{ title: titel_of("x") } }
fn run(args) { }
"##,
        told: &[r#"1:23: error: no function `titel_of` [unknown-function]"#],
    },
    Mistake {
        title: "this in meta",
        script: r##"
fn meta() { #{ title: this.title } }
fn run(args) { }
"##,
        told: &[
            r#"1:23: error: `this` is nothing in meta() [unbound-this] | meta() is asked before the testcase begins; write plain values there"#,
        ],
    },
    Mistake {
        title: "an unknown argument",
        script: r##"
fn meta() { #{ args: #{ loops: 3 } } }
fn run(args) { log(args.lops); }
"##,
        told: &[r#"2:25: error: the testcase has no argument `lops` [unknown-argument] | did you mean `loops`?"#],
    },
    Mistake {
        title: "an argument without meta",
        script: r##"fn run(args) { log(args.loops); }"##,
        told: &[
            r#"1:25: error: the testcase has no argument `loops` [unknown-argument] | add it to `args` in meta(): args: #{ loops: … }"#,
        ],
    },
    Mistake {
        title: "an unknown argument by arg()",
        script: r##"
fn meta() { #{ args: #{ loops: 3 } } }
fn run(args) { log(arg("lops")); }
"##,
        told: &[r#"2:24: error: the testcase has no argument `lops` [unknown-argument] | did you mean `loops`?"#],
    },
    Mistake {
        title: "an unknown argument by index, in a closure",
        script: r##"
fn meta() { #{ args: #{ loops: 3, size: "1G" } } }
fn prepare(args) { timed(|| log(args["sise"])); }
fn run(args) { }
"##,
        told: &[r#"2:38: error: the testcase has no argument `sise` [unknown-argument] | did you mean `size`?"#],
    },
    Mistake {
        title: "a hook without its parameter",
        script: r##"fn run() { log("x"); }"##,
        told: &[
            r#"1:4: error: `run` takes one parameter, the arguments; with 0 it is never called [hook-parameters] | write `fn run(args)`"#,
        ],
    },
    Mistake {
        title: "a hook with two parameters",
        script: r##"
fn prepare(args, more) { }
fn run(args) { }
"##,
        told: &[
            r#"1:4: error: `prepare` takes one parameter, the arguments; with 2 it is never called [hook-parameters] | write `fn prepare(args)`"#,
        ],
    },
    Mistake {
        title: "meta with a parameter",
        script: r##"
fn meta(args) { #{ title: "t" } }
fn run(args) { }
"##,
        told: &[r#"1:4: error: `meta` takes no parameters; with 1 it is never called [hook-parameters] | write `fn meta()`"#],
    },
    Mistake {
        title: "a mistyped hook",
        script: r##"
fn preprae(args) { }
fn run(args) { }
"##,
        told: &[r#"1:4: error: `preprae` is never called [unknown-hook] | did you mean the hook `prepare`?"#],
    },
    Mistake {
        title: "a mistyped run",
        script: r##"
fn meta() { #{ title: "t" } }
fn rnu(args) { }
"##,
        told: &[r#"2:4: error: `rnu` is never called [unknown-hook] | did you mean the hook `run`?"#],
    },
    Mistake {
        title: "no run",
        script: r##"
fn meta() { #{ title: "t" } }
fn prepare(args) { }
"##,
        told: &[r#"1:4: error: no function `run(args)`, so this is no testcase [no-run] | add `fn run(args) { … }`"#],
    },
    Mistake {
        title: "a private function nobody calls",
        script: r##"
private fn helper() { 1 }
fn run(args) { }
"##,
        told: &[r#"1:12: warning: nothing calls the private function `helper` [unused-function]"#],
    },
    Mistake {
        title: "code after return",
        script: r##"
fn run(args) {
    return;
    log("never");
    log("never either");
}
"##,
        told: &[r#"3:5: warning: this is never reached: `return` comes before it [unreachable-code]"#],
    },
    Mistake {
        title: "code after fail",
        script: r##"
fn run(args) {
    if args.is_empty() { fail("no"); log("never"); }
    throw "x";
    log("never");
}
"##,
        told: &[
            r#"2:38: warning: this is never reached: `fail` comes before it [unreachable-code]"#,
            r#"4:5: warning: this is never reached: `throw` comes before it [unreachable-code]"#,
        ],
    },
    Mistake {
        title: "code after break",
        script: r##"
fn run(args) {
    loop { break; log("never"); }
}
"##,
        told: &[r#"2:19: warning: this is never reached: `break` comes before it [unreachable-code]"#],
    },
    Mistake {
        title: "an object in its own closure",
        script: r##"
fn run(args) {
    let all = [1, 2];
    log(all.map(|v| v + all.len()));
}
"##,
        told: &[
            r#"3:25: error: the closure mentions `all`, which is in use while its `map` runs [data-race] | take what it needs as an argument, or copy it to another variable before: let copy = all;"#,
        ],
    },
    Mistake {
        title: "an object's part in its own closure",
        script: r##"
fn run(args) {
    let state = #{ list: [1] };
    state.list.for_each(|v| log(state.list.len()));
}
"##,
        told: &[
            r#"3:33: error: the closure mentions `state`, which is in use while its `for_each` runs [data-race] | take what it needs as an argument, or copy it to another variable before: let copy = state;"#,
        ],
    },
    Mistake {
        title: "this in a closure",
        script: r##"
fn run(args) {
    this.dir = "x";
    timed(|| log(this.dir));
}
"##,
        told: &[
            r#"3:18: error: `this` is nothing in a closure [unbound-this] | copy what you need before the closure: let dir = this.dir;"#,
        ],
    },
    Mistake {
        title: "this in a list of closures",
        script: r##"
fn run(args) {
    parallel([|| log(this.dir)]);
}
"##,
        told: &[
            r#"2:22: error: `this` is nothing in a closure [unbound-this] | copy what you need before the closure: let dir = this.dir;"#,
        ],
    },
    Mistake {
        title: "this in a helper",
        script: r##"
fn helper() { log(this.dir); }
fn run(args) { helper(); }
"##,
        told: &[
            r#"1:19: error: `this` is nothing in a function that is called without an object [unbound-this] | give the function what it needs as an argument"#,
        ],
    },
    Mistake {
        title: "an unknown option",
        script: r##"fn run(args) { eventually(#{ timout: 5 }, || true); }"##,
        told: &[r#"1:30: error: `eventually` has no option `timout` [unknown-option] | did you mean `timeout`?"#],
    },
    Mistake {
        title: "a reserved word as a variable",
        script: r##"fn run(args) { let default = 1; }"##,
        told: &[
            r#"1:20: error: 'default' is a reserved keyword [syntax] | `default` is a word of the language; in a map write "default": …"#,
        ],
    },
    Mistake {
        title: "a reserved word as a key",
        script: r##"
fn run(args) {
    let m = #{ shared: true };
}
"##,
        told: &[
            r#"2:16: error: 'shared' is a reserved keyword [syntax] | `shared` is a word of the language; in a map write "shared": …"#,
        ],
    },
    Mistake {
        title: "a missing semicolon",
        script: r##"
fn run(args) {
    let a = 1
    log(a);
}
"##,
        told: &[
            r#"3:5: error: expecting ';' to terminate this statement [syntax] | a `;` is missing at the end of the line before"#,
        ],
    },
    Mistake {
        title: "a missing brace",
        script: r##"
fn helper(a) {
    if a { log("x");
}
fn run(args) { helper(true); }
"##,
        told: &[
            r#"4:1: error: the function `helper` is not ended before the next one begins [syntax] | a `}` is missing in the function that begins on line 1"#,
        ],
    },
    Mistake {
        title: "a missing brace at the end",
        script: r##"
fn run(args) {
    if true { log("x");
}
"##,
        told: &[r#"4:1: error: expecting '}' to terminate this block [syntax]"#],
    },
    Mistake {
        title: "two syntax errors and a wrong name",
        script: r##"
fn one() { let a = ; }
fn two() { lgo("x"); }
fn run(args) { one(); two(); log(1 +); }
"##,
        told: &[
            r#"1:20: error: unexpected ';' [syntax]"#,
            r#"2:12: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"3:37: error: unexpected ')' [syntax]"#,
        ],
    },
    Mistake {
        title: "an unended text",
        script: r##"fn run(args) { log("abc); }"##,
        told: &[r#"1:20: error: open string is not terminated [syntax]"#],
    },
    Mistake {
        title: "an unclosed list",
        script: r##"fn run(args) { let a = [1, 2; }"##,
        told: &[r#"1:29: error: expecting ',' to separate the items of this array literal [syntax]"#],
    },
    Mistake {
        title: "assignment to a constant",
        script: r##"fn run(args) { const A = 1; A = 2; }"##,
        told: &[r#"1:29: error: cannot assign to constant A [syntax]"#],
    },
    Mistake {
        title: "a function twice",
        script: r##"
fn helper(a) { 1 }
fn helper(b) { 2 }
fn run(args) { helper(1); }
"##,
        told: &[r#"2:1: error: function helper with 1 parameter already exists [syntax]"#],
    },
    Mistake {
        title: "a key twice",
        script: r##"fn run(args) { let m = #{ a: 1, a: 2 }; }"##,
        told: &[r#"1:33: error: duplicated property for object map literal: a [syntax]"#],
    },
    Mistake {
        title: "eval",
        script: r##"fn run(args) { eval("1"); }"##,
        told: &[r#"1:16: error: reserved keyword 'eval' is disabled [syntax]"#],
    },
    Mistake {
        title: "calling a variable",
        script: r##"fn run(args) { let f = |x| x; f(1); }"##,
        told: &[r#"1:31: error: no function `f` [unknown-function] | `f` is a variable: a closure is called with `f.call(…)`"#],
    },
    Mistake {
        title: "a function by name",
        script: r##"
fn run(args) { let f = Fn("helpr"); f.call(); }
fn helper() { }
"##,
        told: &[r#"1:27: error: no function `helpr` [unknown-function] | did you mean `helper`?"#],
    },
    Mistake {
        title: "a break outside of a loop",
        script: r##"fn run(args) { break; }"##,
        told: &[r#"1:16: error: break statement should only be used inside a loop [syntax]"#],
    },
    Mistake {
        title: "a typed function of another type",
        script: r##"
fn Guest.twice() { this.name + this.name }
fn run(args) { log("a".twice()); log(twice()); }
"##,
        told: &[
            r#"2:24: error: a text has no function `twice` [unknown-method]"#,
            r#"2:38: error: no function `twice` [unknown-function] | it belongs to a type: call it on an object, `x.twice(…)`"#,
        ],
    },
    Mistake {
        title: "in a switch, a catch and a loop",
        script: r##"
fn run(args) {
    switch 1 { 1 => lgo("a"), _ => { lgo("b") } }
    try { lgo("c"); } catch (e) { lgo(e); }
    do { lgo("d"); } while false;
    for i in lgo("e") { lgo(i); }
    let m = #{ k: lgo("f") };
    m.k = lgo("g");
    return lgo("h");
}
"##,
        told: &[
            r#"2:21: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"2:38: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"3:11: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"3:35: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"4:10: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"5:14: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"5:25: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"6:19: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"7:11: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
            r#"8:12: error: no function `lgo` [unknown-function] | did you mean `log`?"#,
        ],
    },
    Mistake {
        title: "a property that cannot be set",
        script: r##"fn run(args) { let list = [1]; list.len = 3; }"##,
        told: &[r#"1:37: error: `len` of a list cannot be set [read-only-property]"#],
    },
    Mistake {
        title: "a tailing dot",
        script: r##"fn run(args) { target().; }"##,
        told: &[r#"1:25: error: expecting name of a property [syntax]"#],
    },
];

/// What looks wrong and is not.
const CORRECT: &[(&str, &str)] = &[
    (
        "one alias for two modules",
        r##"
fn one() { import "lib/tools" as m; m::help(1) }
fn two() { import "lib/plain" as m; m::f() }
fn run(args) { one(); two(); }
"##,
    ),
    ("all on one line", r#"fn prepare(args) { this.a = helper(1); } fn helper(n) { n } fn run(args) { log(this.a); }"#),
    (
        "everything of a first testcase",
        r##"
fn meta() { #{ title: "t", target: "guest", args: #{ loops: 3, size: "1GiB" }, timeout: "5m" } }
fn prepare(args) { this.dir = target().temp_dir(); }
fn run(args) {
    let dir = this.dir;
    let vm = target();
    defer(|| vm.remove_tree(dir));
    let times = [];
    repeat(args.loops, |i| { times.push(timed(|| vm.exec(`echo ${i} ${dir}`))); });
    values("EXEC", times, "s");
    log(bytes(args.size) / GIB);
}
fn pre_logs(args) { target().add_log_file("/var/log/x"); }
fn post_run(args) { if !passed() { warn(`left in ${this.dir}`); } }
"##,
    ),
    (
        "maps are free",
        r##"
fn run(args) {
    let m = #{ a: 1, "b c": [1, #{ d: 2 }] };
    m.new_key = 5;
    m["other"] = m.a + m["b c"][1].d;
    let parsed = parse_json(`{"jobs": []}`);
    log(parsed.jobs.len() + parsed.whatever.deep);
    log(m?.missing ?? "none");
    for key in m.keys() { log(m[key]); }
}
"##,
    ),
    (
        "closures in maps",
        r##"
fn run(args) {
    let ops = #{ double: |x| x * 2 };
    log(ops.double(4));
    let f = ops.double;
    log(f.call(3));
    let g = |a, b| a + b;
    log(g.curry(1).call(2));
}
"##,
    ),
    (
        "a variable of changing types",
        r##"
fn run(args) {
    let best = ();
    for vm in guests() {
        if best == () || best.cpus < vm.cpus { best = vm; }
    }
    if best != () { log(best.exec("uname")); }
    let last = 0;
    for n in 0..3 { if n > 0 { log(last.name); } last = target(); }
}
"##,
    ),
    (
        "functions called on objects",
        r##"
fn shout() { this.to_upper() + "!" }
fn greeted(word) { word + " " + this }
fn Guest.twice(command) { this.exec(command) + this.exec(command) }
fn run(args) {
    log("a".shout());
    log("b".greeted("hello"));
    log(target().twice("true"));
}
"##,
    ),
    (
        "overloads and own names",
        r##"
fn pick(a) { pick(a, 1) }
fn pick(a, b) { a + b }
fn log_all(list) { for item in list { log(item); } }
fn run(args) { log_all([pick(1), pick(1, 2)]); }
"##,
    ),
    (
        "list functions",
        r##"
fn run(args) {
    let list = [3, 1, 2];
    list.sort();
    list.sort(|a, b| b - a);
    let names = guests().map(|vm| vm.name).filter(|n| n != "").reduce(|sum, n| sum + n, "");
    list.for_each(|| this += 1);
    log(list.some(|v| v > 2) && list.all(|v| v > 0) && list.index_of(|v| v == 1) >= 0);
    let part = list.extract(1..2);
    log(list[0] + list[-1] + part.len + list.len());
    list[0] = 7;
    list.push([1]);
    log(list.contains(7) || 7 in list);
}
"##,
    ),
    (
        "texts and numbers",
        r##"
fn run(args) {
    let text = "a,b";
    log(text.split(",").len() + text.len() + text.len);
    text += "c";
    log(text.sub_string(1, 2).to_upper().trim());
    for c in text { log(c); }
    log(text[0] + text.index_of("b").to_string());
    log((7 / 2.0).floor().to_int() + 5.to_float() + parse_int("5") + abs(-3));
    log(1.5.to_string() + `${1 + 1}` + max(1, 2));
    if text.starts_with("a") && !text.is_empty { log("x" * 1); }
}
"##,
    ),
    (
        "control flow",
        r##"
fn run(args) {
    let i = 0;
    loop { i += 1; if i > 3 { break; } else { continue; } }
    while i > 0 { i -= 1; }
    do { i += 1; } until i == 3;
    for (item, index) in ["a"] { log(`${index}: ${item}`); }
    let word = switch i { 1 | 2 => "few", 3..10 if i > 4 => "some", _ => "none" };
    let size = if i > 2 { "big" } else { "small" };
    try { throw #{ kind: "mine" }; } catch (e) { log(e.kind); }
    try { fail("x"); } catch { log("again"); }
    let block = { let inner = i * 2; inner + 1 };
    log(word + size + block);
    if i == 3 { return; }
    log("reached");
}
"##,
    ),
    (
        "constants",
        r##"
const LIMIT = 3;
const NAMES = ["a", "b"];
fn limited(n) { if n > global::LIMIT { return false; } global::NAMES.len() > 0 }
fn run(args) { log(limited(GIB / MIB + KIB + HOUR)); timed(|| log(GIB + global::LIMIT)); }
"##,
    ),
    (
        "imports",
        r##"
import "lib/tools" as tools;
fn run(args) { log(tools::help(tools::SIZE)); timed(|| tools::help(1)); }
"##,
    ),
    ("an import in a function", r##"fn run(args) { import "lib/tools" as tools; log(tools::help(1)); }"##),
    (
        "an import with a computed path",
        r##"fn run(args) { let which = "tools"; import `lib/${which}` as tools; log(tools::help(1)); }"##,
    ),
    (
        "nested closures",
        r##"
fn run(args) {
    let vm = target();
    let out = [];
    subtest("a", || step("b", || parallel([|| out.push(vm.exec("true")), || repeat(2, |i| out.push(i))])));
    eventually(#{ timeout: "10s", every: 0.1, desc: "x" }, || out.len() > 0);
    eventually(|| vm.exec_rc("true", #{ timeout: 5 }) == 0);
}
"##,
    ),
    (
        "a copy for a closure",
        r##"
fn run(args) {
    let list = [1];
    let count = list.len();
    log(list.map(|v| v + count));
    let state = #{ list: [1], n: 2 };
    let n = state.n;
    log(state.list.map(|v| v + n));
}
"##,
    ),
    (
        "functions by name",
        r##"
fn helper(x) { x }
fn run(args) { log(Fn("helper").call(1)); log(type_of(args) == "map" && is_def_fn("helper", 1)); print("x"); debug(args); }
"##,
    ),
    (
        "arguments as a map",
        r##"
fn meta() { #{ args: #{ loops: 3, "odd-name": 1 } } }
fn show(all) { log(all.anything); }
fn run(args) {
    show(args);
    for key in args.keys() { log(args[key]); }
    log(args.len() + args["odd-name"] + arg("loops"));
    args.extra = 5;
    log(args.extra);
    let own = args;
    own.more = 1;
    if "x" in args { log("x"); }
}
"##,
    ),
    ("an argument that is given another value", r##"fn run(args) { args = #{ a: 1 }; log(args.a); }"##),
    (
        "meta with helpers",
        r##"
fn title() { "a " + "title" }
fn meta() { let t = title(); #{ title: t, args: #{ size: 5 * MIB, list: [1, 2] } } }
fn run(args) { log(args.size + args.list[0]); }
"##,
    ),
    (
        "a module with functions like hooks",
        r##"
/// Prepares a disk.
fn prepare(vm, disk) { vm.exec(`mkfs ${disk}`) }
fn check_disk() { this.exec("fsck") }
export const PATH = "/mnt";
"##,
    ),
    (
        "a function of two names",
        r##"
fn wait(vm) { vm.wait_ready(); vm }
fn run(args) { let vm = wait(target()); log(vm.anything_at_all); wait(vm).exec("true"); }
"##,
    ),
    ("the same closure twice", r##"fn run(args) { let a = || 1; let b = || 1; log(a.call() + b.call()); }"##),
    (
        "errors as maps",
        r##"
fn run(args) {
    try { target().exec("false"); } catch (e) {
        if e.kind == "refused" && e.code == 1 { log(e.stderr); } else { throw e; }
    }
    let end = target().exec_full("true");
    log(end.code + end.stdout.len() + end.took);
}
"##,
    ),
    (
        "jobs",
        r##"
fn run(args) {
    let job = target().run_job("sleep 1");
    eventually(#{ timeout: 10 }, || job.done);
    log(job.rc ?? -1);
    job.wait(#{ timeout: 5 });
    if !job.done { job.kill(); }
}
"##,
    ),
    (
        "times",
        r##"fn run(args) { let t = timestamp(); log(t.elapsed + t.elapsed()); let r = 0..5; log(r.start + r.end); for x in range(0, 5, 2) { log(x); } }"##,
    ),
    (
        "a comment that looks like a function",
        r##"
// fn run() is what this is not
/* fn prepare() {
fn prepare() { */
fn run(args) { log("fn meta()"); }
"##,
    ),
    (
        "shadowing",
        r##"fn run(args) { let log_it = 1; let args = #{ z: 1 }; log(args.z + log_it); let vm = target(); let vm = "text"; log(vm.len()); }"##,
    ),
    (
        "methods of blobs and characters",
        r##"fn run(args) { let b = blob(3, 0); b[0] = 1; b.push(5); log(b.len() + 'x'.to_int()); }"##,
    ),
];
