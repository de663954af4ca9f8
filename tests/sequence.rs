//! What sequence files say: the tree that each construct makes, what is wrong with a file, and files that mean harm.

use std::fmt::Write as _;
use xenrt::event::Order;
use xenrt::sequence::{Action, Case, Group, Labels, Library, Loaded, Mode, Node, load};
use xenrt::vars::{Layer, Variables};

/// Reads a text in strict mode with these variables from the command line.
fn read(text: &str, flags: &[(&str, &str)], mode: Mode) -> Loaded {
    let mut variables = Variables::default();
    for (name, value) in flags {
        variables.set(Layer::Flag, name, *value).unwrap();
    }
    Library::default().load_text("t.seq", text, variables, mode)
}

/// What was told: `line:column: severity: message [rule]` with its help.
fn told(loaded: &Loaded) -> Vec<String> {
    let line = |d: &xenrt::diagnostic::Diagnostic| {
        let help = d.help.as_ref().map_or(String::new(), |help| format!(" | {help}"));
        format!("{}{help}", d.headline().strip_prefix("t.seq:").unwrap_or(&d.headline()))
    };
    loaded.diagnostics.iter().map(line).collect()
}

/// The tree as text, a line a node.
fn tree(loaded: &Loaded) -> String {
    let mut out = String::new();
    if let Some(root) = &loaded.sequence.root {
        group(&mut out, "", root);
    }
    out
}

fn nodes(out: &mut String, indent: &str, all: &[Node]) {
    for node in all {
        match node {
            Node::Group(inner) => group(out, indent, inner),
            Node::Case(inner) => case(out, indent, inner),
            Node::Action(Action::Prepare { .. }) => writeln!(out, "{indent}prepare").unwrap(),
            Node::Action(Action::Sleep { duration, .. }) => writeln!(out, "{indent}sleep {duration:?}").unwrap(),
            Node::Settled(settled) => {
                writeln!(out, "{indent}({}: {})", settled.what, settled.did).unwrap();
                nodes(out, &format!("{indent}  "), &settled.nodes);
            }
        }
    }
}

fn group(out: &mut String, indent: &str, group: &Group) {
    let order = if group.order == Order::Serial { "serial" } else { "parallel" };
    let mut line = format!("{order}{}", labels(&group.labels));
    line += &group.workers.map_or(String::new(), |workers| format!(" workers={workers}"));
    line += if group.blocker { " blocker" } else { "" };
    line += &group.timeout.map_or(String::new(), |timeout| format!(" timeout={timeout:?}"));
    writeln!(out, "{indent}{line}").unwrap();
    nodes(out, &format!("{indent}  "), &group.nodes);
    if !group.finally.is_empty() {
        writeln!(out, "{indent}  finally").unwrap();
        nodes(out, &format!("{indent}    "), &group.finally);
    }
}

fn case(out: &mut String, indent: &str, case: &Case) {
    let mut line = case.id.clone();
    line += &case.name.as_ref().map_or(String::new(), |name| format!(" name={name}"));
    line += &labels(&case.labels);
    line += &case.blocker.map_or(String::new(), |blocker| format!(" blocker={blocker}"));
    line += &case.timeout.map_or(String::new(), |timeout| format!(" timeout={timeout:?}"));
    line += &case.retries.map_or(String::new(), |retries| format!(" retries={retries}"));
    for depends in &case.depends {
        line += &format!(" after={}:{}", depends.group, depends.name);
    }
    if let Some(marvin) = &case.marvin {
        line += &format!(" marvin={} {} {}", marvin.path, marvin.class, marvin.tags);
    }
    if !case.args.is_empty() {
        line += &format!(" [{}]", case.args.iter().map(|arg| arg.text.as_str()).collect::<Vec<_>>().join(", "));
    }
    writeln!(out, "{indent}{line}").unwrap();
}

fn labels(labels: &Labels) -> String {
    let priority = labels.priority.map(|priority| priority.to_string());
    let all = [
        ("group", &labels.group),
        ("host", &labels.host),
        ("guest", &labels.guest),
        ("prio", &priority),
        ("ttype", &labels.ttype),
        ("tc", &labels.tc),
        ("sku", &labels.sku),
    ];
    all.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!(" {name}={value}"))).collect()
}

/// A sequence of these nodes.
fn tests(nodes: &str) -> String {
    format!("<xenrt><testsequence>{nodes}</testsequence></xenrt>")
}

/// The tree that a correct sequence makes, without the line of its root.
fn check(text: &str, flags: &[(&str, &str)], expected: &[&str]) {
    let loaded = read(text, flags, Mode::Strict);
    assert_eq!(told(&loaded), [""; 0], "{text}");
    let tree = tree(&loaded);
    let lines: Vec<&str> = tree.lines().skip(1).map(|line| &line[2..]).collect();
    assert_eq!(lines, expected, "{text}");
}

/// What is told of a sequence in strict mode: all errors, but for the rules that only warn.
fn check_told(text: &str, expected: &[&str]) -> Loaded {
    let strict = told(&read(text, &[], Mode::Strict));
    assert_eq!(strict, expected, "{text}");
    read(text, &[], Mode::Lenient)
}

#[test]
fn the_sequences_that_come_with_the_program_load() {
    let dir = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/sequences"));
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let all: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "seq")).collect();
    assert!(all.len() >= 5, "{all:?}");
    for path in all {
        let loaded = load(&Library::default(), path.to_str().unwrap(), Variables::default(), Mode::Strict).unwrap();
        assert_eq!(loaded.diagnostics, [], "{}", path.display());
        let name = format!("builtin:{}", path.file_name().unwrap().to_str().unwrap());
        let built_in = load(&Library::default(), &name, Variables::default(), Mode::Strict).unwrap();
        assert_eq!(tree(&built_in), tree(&loaded), "{name}");
    }
}

#[test]
fn a_testcase_keeps_everything_that_is_said_of_it() {
    let text = r#"<testcase id=" xenserver.tc.foo.TCBar " name="n" group="g" host="h" guest="v" prio="3" ttype="t" tc="TC-1" sku="s"
        blocker="yes" depends="Install:debian, g2:x,alone" timeout="90" retries="2">
        <arg>one=1</arg><arg/><arg>  </arg><arg> two words </arg></testcase>"#;
    check(
        &tests(text),
        &[],
        &["xenserver.tc.foo.TCBar name=n group=g host=h guest=v prio=3 ttype=t tc=TC-1 sku=s blocker=true timeout=90s retries=2 \
           after=Install:debian after=g2:x after=:alone [one=1, two words]"],
    );
    check(&tests(r#"<testcase id="x" name="" group="" blocker="no"/>"#), &[], &["x blocker=false"]);
    check(
        &tests(r#"<marvintests path="a/b" class="C" tags="t" tc="TC-1"><arg>x</arg></marvintests>"#),
        &[],
        &["C tc=TC-1 marvin=a/b C t [x]"],
    );
}

#[test]
fn groups_hold_their_children_in_order() {
    let text = r#"<serial blocker="yes" timeout="1h"><testcase id="a"/><parallel workers="2"><testcase id="b"/><testcase id="c"/></parallel>
        <testcase id="d"/></serial><parallel blocker="t"><serial/></parallel><testcase id="e"/>"#;
    check(
        &tests(text),
        &[],
        &[
            "serial blocker timeout=3600s",
            "  a",
            "  parallel workers=2",
            "    b",
            "    c",
            "  d",
            "parallel blocker",
            "  serial",
            "e",
        ],
    );
    let text = r#"<testcase id="a"/><action action="prepare"/><action action="sleep"><arg>1.5</arg></action>"#;
    check(&tests(text), &[], &["a", "prepare", "sleep 1.5s"]);
}

#[test]
fn labels_are_inherited_and_overridden() {
    let text = r#"<xenrt><testsequence group="g" host="h" guest="v" prio="2" ttype="t" sku="s" tc="TC-0">
      <testcase id="a"/>
      <serial group="g2" tc="TC-1"><testcase id="b"/><serial><testcase id="c"/><testcase id="d" sku="s2" tc="TC-2"/></serial>
        <for iter="X" values="1"><testcase id="e"/></for>
        <finally><testcase id="f"/></finally></serial>
      <parallel prio="1" host="h2" guest="v2" ttype="t2" sku="s3"><testcase id="g" prio="4"/></parallel>
    </testsequence></xenrt>"#;
    check(
        text,
        &[],
        &[
            "a group=g host=h guest=v prio=2 ttype=t tc=TC-0 sku=s",
            "serial group=g2 host=h guest=v prio=2 ttype=t tc=TC-1 sku=s",
            "  b group=g2 host=h guest=v prio=2 ttype=t tc=TC-1 sku=s",
            "  serial group=g2 host=h guest=v prio=2 ttype=t sku=s",
            "    c group=g2 host=h guest=v prio=2 ttype=t sku=s",
            "    d group=g2 host=h guest=v prio=2 ttype=t tc=TC-2 sku=s2",
            "  (for X: 1 round: 1)",
            "    e group=g2 host=h guest=v prio=2 ttype=t tc=TC-1 sku=s",
            "  finally",
            "    f group=g2 host=h guest=v prio=2 ttype=t sku=s",
            "parallel group=g host=h2 guest=v2 prio=1 ttype=t2 sku=s3",
            "  g group=g host=h2 guest=v2 prio=4 ttype=t2 sku=s3",
        ],
    );
    let tickets = [("TESTRUN_TC", "TC-9"), ("TESTRUN_TCSKU", "S9")];
    let text = tests(r#"<testcase id="a"/><serial><testcase id="b"/></serial>"#);
    check(&text, &tickets, &["a tc=TC-9 sku=S9", "serial sku=S9", "  b sku=S9"]);
}

#[test]
fn several_testsequences_are_one() {
    let text = r#"<xenrt><testsequence group="g" blocker="yes" timeout="60"><testcase id="a"/></testsequence>
      <testsequence group="g2" prio="1"><testcase id="b"/><finally><testcase id="c"/></finally></testsequence></xenrt>"#;
    let loaded = read(text, &[], Mode::Strict);
    assert_eq!(
        tree(&loaded),
        "serial group=g2 prio=1 blocker timeout=60s\n  a group=g\n  b group=g2 prio=1\n  finally\n    c group=g2 prio=1\n"
    );
}

#[test]
fn finally_steps_belong_to_the_group_around() {
    let text = r#"<parallel><finally><testcase id="z"/></finally><testcase id="a"/>
      <for iter="V" values="1,2"><ifeq x="1" y="1"><testcase id="b"/><finally><testcase id="y${V}"/></finally></ifeq></for>
      <finally group="late"><serial><testcase id="x"/><finally><testcase id="w"/></finally></serial></finally></parallel>"#;
    check(
        &tests(text),
        &[],
        &[
            "parallel",
            "  a",
            "  (for V: 2 rounds: 1, 2)",
            "    (ifeq: yes: `1` is `1`)",
            "      b",
            "    (ifeq: yes: `1` is `1`)",
            "      b",
            "  finally",
            "    z",
            "    y1",
            "    y2",
            "    serial group=late",
            "      x group=late",
            "      finally",
            "        w group=late",
        ],
    );
}

#[test]
fn loops_make_rounds() {
    let with = |attributes: &str| tests(&format!(r#"<for {attributes}><testcase id="x"><arg>${{A}}</arg></testcase></for>"#));
    for (attributes, expected) in [
        (r#"iter="A" values="1,2,3""#, vec!["(for A: 3 rounds: 1, 2, 3)", "  x [1]", "  x [2]", "  x [3]"]),
        (r#"iter="A" values="1,2,3" offset="1""#, vec!["(for A: 2 of 3 rounds: 2, 3)", "  x [2]", "  x [3]"]),
        (r#"iter="A" values="1,2,3" offset="1" limit="1""#, vec!["(for A: 1 of 3 rounds: 2)", "  x [2]"]),
        (r#"iter="A" values="1,2" offset="-" limit="-""#, vec!["(for A: 2 rounds: 1, 2)", "  x [1]", "  x [2]"]),
        (r#"iter="A" values="1,2" limit="9""#, vec!["(for A: 2 rounds: 1, 2)", "  x [1]", "  x [2]"]),
        (r#"iter="A,B,C" values="(1,a,x),(2,b,y)""#, vec!["(for A,B,C: 2 rounds: (1, a, x), (2, b, y))", "  x [1]", "  x [2]"]),
        (r#"iter="B,A" values="(1),(2,b)" defaults="p,q""#, vec!["(for B,A: 2 rounds: (1, q), (2, b))", "  x [q]", "  x [b]"]),
    ] {
        check(&with(attributes), &[], &expected);
    }
    let text =
        r#"<for iter="A,B" values="(0,1),(1,2)"><for iter="N" values="${A},${B}x"><testcase id="${A}${B}.${N}"/></for></for>"#;
    check(
        &tests(text),
        &[],
        &[
            "(for A,B: 2 rounds: (0, 1), (1, 2))",
            "  (for N: 2 rounds: 0, 1x)",
            "    01.0",
            "    01.1x",
            "  (for N: 2 rounds: 1, 2x)",
            "    12.1",
            "    12.2x",
        ],
    );
    let many: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let loaded = read(&with(&format!(r#"iter="A" values="{}""#, many.join(","))), &[], Mode::Strict);
    assert!(tree(&loaded).contains("(for A: 10 rounds: 0, 1, 2, 3, 4, 5, 6, 7, and 2 more)"));
}

#[test]
fn conditions_choose() {
    let both = |element: &str, attributes: &str| {
        tests(&format!(r#"<{element} {attributes}><testcase id="x"/></{element}><testcase id="y"/>"#))
    };
    for (element, attributes, holds, did) in [
        ("ifin", r#"item="b" list="a,b""#, true, "yes: `b` is in `a,b`"),
        ("ifin", r#"item="c" list="a, b""#, false, "no: `c` is not in `a, b`"),
        ("ifnotin", r#"item="c" list="a,b""#, true, "yes: `c` is not in `a,b`"),
        ("ifnotin", r#"item="b" list="a, b""#, false, "no: `b` is in `a, b`"),
        ("ifin", r#"item="" list="""#, true, "yes: `` is in ``"),
        ("ifeq", r#"x="a" y="a""#, true, "yes: `a` is `a`"),
        ("ifeq", r#"x="a" y="A""#, false, "no: `a` is not `A`"),
        ("ifnoteq", r#"x="a" y="""#, true, "yes: `a` is not ``"),
        ("ifnoteq", r#"x="a" y="a""#, false, "no: `a` is `a`"),
    ] {
        let line = format!("({element}: {did})");
        let expected: Vec<&str> = if holds { vec![&line, "  x", "y"] } else { vec![&line, "y"] };
        check(&both(element, attributes), &[], &expected);
    }
}

#[test]
fn collections_are_included_with_parameters() {
    let text = r#"<xenrt><default name="G" value="outer"/>
      <collection name="inner"><testcase id="i" name="${G}-${H}"/></collection>
      <collection name="ops"><testcase id="a" guest="${G}"/><serial filter="slow"><testcase id="b"/></serial>
        <include collection="inner"><param name="H" value="${G}!"/></include><finally><testcase id="c"/></finally></collection>
      <testsequence><serial>
        <include collection="ops"><param name="G" value="g1"/></include>
        <include collection="ops" exclude="slow, other"/>
        <testcase id="d" name="${G}"/>
      </serial></testsequence></xenrt>"#;
    check(
        text,
        &[],
        &[
            "serial",
            "  (include ops: with G=g1)",
            "    a guest=g1",
            "    serial",
            "      b",
            "    (include inner: with H=g1!)",
            "      i name=g1-g1!",
            "  (include ops: as it is)",
            "    a guest=outer",
            "    (serial with filter slow: left out by the include's exclude)",
            "    (include inner: with H=outer!)",
            "      i name=outer-outer!",
            "  d name=outer",
            "  finally",
            "    c",
            "    c",
        ],
    );
}

#[test]
fn variables_are_those_of_the_strongest_who_set_them() {
    let text = r#"<xenrt><variables><V>seq</V><TREE><A>1</A><B>2</B></TREE><EMPTY/></variables>
      <default name="P" value="default"/><default name="V" value="default"/><default name="LATE" value="%V%"/>
      <testsequence><testcase id="x"><arg>${P} ${V} %V% %P% %TREE:B% ${LATE}</arg></testcase>
        <for iter="P" values="loop"><testcase id="x"><arg>${P} %P%</arg></testcase></for></testsequence></xenrt>"#;
    check(text, &[], &["x [default seq seq default 2 seq]", "(for P: 1 round: loop)", "  x [loop default]"]);
    let flags = [("P", "flag"), ("V", "flag"), ("TREE/B", "flag")];
    check(text, &flags, &["x [flag flag flag flag flag flag]", "(for P: 1 round: loop)", "  x [loop flag]"]);

    let mut variables = Variables::default();
    variables.set(Layer::Site, "P", "site").unwrap();
    variables.set(Layer::Site, "V", "site").unwrap();
    let loaded = Library::default().load_text("t.seq", text, variables, Mode::Strict);
    assert!(tree(&loaded).contains("x [site seq seq site 2 seq]"), "{}", tree(&loaded));
    let of =
        |name: &str| loaded.variables.origin(name).map(|(layer, setting)| (layer, setting.value.clone(), setting.origin.clone()));
    assert_eq!(of("TREE:A"), Some((Layer::Sequence, "1".into(), "t.seq:1".into())));
    assert_eq!(of("LATE"), Some((Layer::Default, "%V%".into(), "t.seq:2".into())));
    assert_eq!(of("SEQUENCE_NAME"), Some((Layer::Sequence, "t".into(), "t.seq:1".into())));
    assert_eq!(of("EMPTY"), None);
    assert_eq!(loaded.sequence.name, "t");
}

#[test]
fn what_stands_beside_the_tests_is_kept() {
    let text = r#"<xenrt><default name="PAR" value="3"/><semaphores><TCMigrate count="${PAR}"/><TCOther/></semaphores>
      <prepare/>
      <perfcheck><limits><testcase name="TCx"><metric name="TX" min="1" max="2.5"/><metric name="RX" min="-4"/></testcase></limits></perfcheck>
      <scheduler><resources>memory&gt;=4G</resources><resources1>disk</resources1><flags>privvlan</flags><pool>P</pool>
        <param>MACHINES_REQUIRED=2</param><delay>10</delay></scheduler></xenrt>"#;
    let loaded = read(text, &[], Mode::Strict);
    assert_eq!(told(&loaded), [""; 0]);
    let sequence = loaded.sequence;
    assert_eq!(sequence.semaphores.into_iter().collect::<Vec<_>>(), [("tcmigrate".into(), 3), ("tcother".into(), 1)]);
    assert!(sequence.root.is_none() && sequence.prepare.is_some() && sequence.preprepare.is_none());
    let windows: Vec<_> = sequence.windows.iter().map(|w| (w.testcase.as_str(), w.metric.as_str(), w.least, w.most)).collect();
    assert_eq!(windows, [("TCx", "TX", Some(1.0), Some(2.5)), ("TCx", "RX", Some(-4.0), None)]);
    let scheduler = sequence.scheduler;
    assert_eq!(scheduler.resources, ["memory>=4G", "1: disk"]);
    assert_eq!((scheduler.flags, scheduler.pools, scheduler.delay), (vec!["privvlan".into()], vec!["P".into()], Some("10".into())));
    assert_eq!(scheduler.params, [("MACHINES_REQUIRED".into(), "2".into())]);
}

/// Files beside each other, and the sequence among them that is read.
fn in_files(files: &[(&str, &str)]) -> (tempfile::TempDir, Loaded) {
    let dir = tempfile::TempDir::with_prefix("xrt-sequence-").unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let path = dir.path().join(files[0].0);
    let loaded = load(&Library::default(), path.to_str().unwrap(), Variables::default(), Mode::Strict).unwrap();
    (dir, loaded)
}

/// What was told of files in a directory, without its name.
fn told_in(dir: &tempfile::TempDir, loaded: &Loaded) -> Vec<String> {
    let prefix = format!("{}/", dir.path().display());
    told(loaded).iter().map(|line| line.replace(&prefix, "")).collect()
}

#[test]
fn files_can_be_included() {
    let main = r#"<xenrt><default name="A" value="main"/><include filename="lib/one.inc"/><script filename="s.cmd"/>
      <script filename="t.vbs" type="vbs"/><testsequence><include collection="c"/></testsequence></xenrt>"#;
    let one = r#"<xenrt><variables><V>one</V></variables><default name="A" value="one"/><default name="B" value="${A}+"/>
      <include filename="two.inc"/><collection name="unused"/></xenrt>"#;
    let two = r#"<xenrt><semaphores><TCx/></semaphores><collection name="c"><testcase id="x"><arg>${A} ${B} %V%</arg></testcase></collection></xenrt>"#;
    let script = ("s.cmd", "echo 1");
    let (dir, loaded) = in_files(&[("m.seq", main), ("lib/one.inc", one), ("lib/two.inc", two), script, ("t.vbs", "x")]);
    assert_eq!(told_in(&dir, &loaded), [""; 0]);
    assert_eq!(tree(&loaded), "serial\n  (include c: as it is)\n    x [main main+ one]\n");
    let scripts: Vec<_> =
        loaded.sequence.scripts.iter().map(|(name, s)| (name.as_str(), s.language.as_str(), s.text.as_str())).collect();
    assert_eq!(scripts, [("s.cmd", "cmd", "echo 1"), ("t.vbs", "vbs", "x")]);
    let texts: Vec<_> = loaded.sequence.texts.keys().map(|name| name.rsplit('/').next().unwrap()).collect();
    assert_eq!(texts, ["one.inc", "two.inc", "m.seq"]);
    assert_eq!(loaded.variables.get("B"), None, "a default of an included file is no variable");
}

#[test]
fn what_is_wrong_in_included_files_is_told_there() {
    let main = "<xenrt><include filename='a.inc'/><include filename='none.inc'/>\n<include/><testsequence><include collection='c'/></testsequence></xenrt>";
    let a = "<xenrt>\n <collection name='c'><testcase id='x' nmae='y'/></collection>\n <testsequence/><prepare/></xenrt>";
    let (dir, loaded) = in_files(&[("m.seq", main), ("a.inc", a)]);
    let included = "| of an included file count: variables, default, semaphores, collection, include";
    assert_eq!(
        told_in(&dir, &loaded),
        [
            "m.seq:1:54: error: there is no file `none.inc` [unreadable-file] | it is looked for beside the sequence, and where sequences are"
                .into(),
            "m.seq:2:1: error: `<include>` needs an attribute `filename` [missing-attribute]".into(),
            "a.inc:2:40: error: `<testcase>` has no attribute `nmae` [unknown-attribute] | did you mean `name`?".into(),
            format!("a.inc:3:2: error: `<testsequence>` in an included file means nothing [not-included] {included}"),
            format!("a.inc:3:17: error: `<prepare>` in an included file means nothing [not-included] {included}"),
        ]
    );
    let broken =
        in_files(&[("m.seq", "<xenrt><prepare/><include filename='b.inc'/></xenrt>"), ("b.inc", "<xenrt>\n<default</xenrt>")]);
    assert_eq!(told_in(&broken.0, &broken.1).len(), 1, "{:?}", told(&broken.1));
    assert!(told_in(&broken.0, &broken.1)[0].starts_with("b.inc:2:"));
}

#[test]
fn files_that_include_each_other_are_told_with_their_names() {
    let include = |name: &str| format!("<xenrt><include filename='{name}'/></xenrt>");
    let (dir, loaded) = in_files(&[("a.seq", &include("b.inc")), ("b.inc", &include("c.inc")), ("c.inc", &include("a.seq"))]);
    let said = "c.inc:1:27: error: files include each other without an end: a.seq, b.inc, c.inc, a.seq [include-cycle]";
    assert_eq!(told_in(&dir, &loaded), [said]);
    let chain: Vec<(String, String)> = (0..40).map(|n| (format!("{n}.seq"), include(&format!("{}.seq", n + 1)))).collect();
    let chain: Vec<(&str, &str)> = chain.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (dir, loaded) = in_files(&chain);
    assert_eq!(told_in(&dir, &loaded), ["15.seq:1:27: error: files include each other more than 16 deep [include-depth]"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of them are what is expected")]
fn what_is_wrong_is_told_all_at_once() {
    for (text, expected) in [
        (
            "<xenrt>\n<variable/>\n<serial><testcase id='x'/></serial>\n<prepare/></xenrt>",
            vec![
                "2:1: error: there is no `<variable>` in `<xenrt>` [unknown-element] | did you mean `variables`?",
                "3:1: error: `<serial>` directly in `<xenrt>` never runs [never-runs] | put it into `<testsequence>`",
            ],
        ),
        (
            "<xenrt><testsequence>\n<testcase id='x' blokcer='yes'>hello<arg/></testcase>\n<paralel/>\n<testcase name='y'/></testsequence></xenrt>",
            vec![
                "2:18: error: `<testcase>` has no attribute `blokcer` [unknown-attribute] | did you mean `blocker`?",
                "2:32: error: text in `<testcase>` means nothing: \"hello\" [stray-text]",
                "3:1: error: there is no `<paralel>` in `<testsequence>` [unknown-element] | did you mean `parallel`?",
                "4:1: error: `<testcase>` needs an attribute `id` [missing-attribute]",
            ],
        ),
        (
            "<xenrt><testsequence>\n<testcase id='${ID}' prio='high' timeout='soon' retries='-1' blocker='1'/>\n<testcase id='%ID%' prio='0' timeout='0'/></testsequence></xenrt>",
            vec![
                "2:15: error: nothing gives `${ID}` a value here [unknown-parameter] | give it a `<default>`; `${` that is text is written `$${`",
                "2:28: error: `prio`: `high` is not a number [not-a-number] | write a whole number from 0 up",
                "2:43: error: `timeout`: `soon` is not a duration: expected number at 0 [not-a-duration] | write it as 90, 10m, 4h or 1h30m",
                "2:58: error: `retries`: `-1` is not a number [not-a-number] | write a whole number from 0 up",
                "2:71: error: `blocker`: the digit 1 means no in old files [blocker-digit] | write blocker=\"no\", or the other if you meant it",
                "3:15: error: there is no variable `ID` [unknown-variable] | set it in `<variables>` or with -D ID=…; a percent sign that is text is written `%%`",
                "3:27: error: `prio`: 1 is the highest priority [not-a-number]",
                "3:39: error: `timeout`: nothing ends in no time [not-a-duration] | leave it out for no limit",
            ],
        ),
        (
            "<xenrt><testsequence>\n<for iter='A' values=''><testcase id='x'/></for>\n<for iter='A' values='a' offset='1'><testcase id='x'/></for>\n<for iter='A,B' values='(a)'><testcase id='${B}'/></for>\n<for iter='A' values='%X%'/>\n<for iter='A,A' values='-'/></testsequence></xenrt>",
            vec![
                "2:23: error: the list of values is empty, so the loop makes no rounds [empty-loop] | take the loop away, or put it into a condition",
                "3:23: error: `offset` and `limit` leave none of the 1 rounds [empty-loop] | take the loop away, or put it into a condition",
                "4:25: error: `(a)` has no value for `B` [short-tuple] | give it one, or give `defaults` with one for each name",
                "5:23: error: there is no variable `X` [unknown-variable] | set it in `<variables>` or with -D X=…; a percent sign that is text is written `%%`",
                "6:12: error: `iter` names `A` twice [iter]",
                "6:25: error: the list of values is empty, so the loop makes no rounds [empty-loop] | take the loop away, or put it into a condition",
            ],
        ),
        (
            "<xenrt><collection name='used'><param/></collection>\n<collection name='idle'/><semaphores><T count='0'/></semaphores>\n<testsequence><include collection='used'><param name='A' value=''/></include>\n<include collection='usde'/><parallel workers='0'/><ifeq x='1'/></testsequence></xenrt>",
            vec![
                "1:32: error: there is no `<param>` in `<collection>` [unknown-element] | there is: testcase, serial, parallel, finally, for, include, action, ifin, ifnotin, ifeq, ifnoteq, marvintests",
                "2:1: warning: nothing includes the collection `idle` [unused-collection]",
                "2:48: error: with a count of 0 no `T` would ever run [no-workers] | write 1 or more",
                "3:1: error: there is nothing to run in it [no-tests]",
                "3:65: error: the parameter `A` has no value, and is not set [empty-value]",
                "4:22: error: there is no collection `usde` [unknown-collection] | did you mean `used`?",
                "4:48: error: with no workers nothing in it would ever run [no-workers] | write 1 or more",
                "4:52: error: `<ifeq>` needs an attribute `y` [missing-attribute]",
            ],
        ),
        (
            "<xenrt><testsequence>\n<action action='prepear'/><action action='sleep'/><action action='sleep'><arg>long</arg></action>\n<finally><finally><testcase id='x' depends=','/></finally></finally></testsequence></xenrt>",
            vec![
                "1:8: error: there is nothing to run in it [no-tests]",
                "2:17: error: there is no action `prepear` [action] | did you mean `prepare`?",
                "2:27: error: `sleep` takes one argument: how long [action] | write <action action=\"sleep\"><arg>10</arg></action>",
                "2:51: error: `sleep`: `long` is not a duration: expected number at 0 [action] | write it as 90, 10m, 4h or 1h30m",
                "3:10: error: a finally block in a finally block has nothing to come after [finally] | put its steps into the finally block around",
                "3:45: error: `depends`: `` names no test [depends] | write the group and name of each test, as depends=\"Install:debian,Install:win\"",
            ],
        ),
        (
            "<xenrt><default name='A'/><default value='1'/><default name='B' value='1'/>\n<default name='B' value='2'/><variables><V w='1'>a<W>b</W></V><V>c</V></variables><prepare/><prepare/></xenrt>",
            vec![
                "1:8: error: `<default>` needs an attribute `value` [missing-attribute]",
                "1:27: error: `<default>` needs an attribute `name` [missing-attribute]",
                "2:16: error: `B` has a default already, which stands [duplicate-default]",
                "2:44: error: `<V>` has no attribute `w` [unknown-attribute] | it has no attributes",
                "2:50: error: text in `<V>` means nothing: \"a\" [stray-text]",
                "2:63: error: `V` is not a value: `V/W` is below it, from t.seq:2 [bad-variable] | name one of those below it",
                "2:93: error: this `<prepare>` replaces the one before [duplicate-element] | put both into one",
            ],
        ),
        (
            "<xenrt><perfcheck><limits><testcase name='x'><metric name='m'/><metric name='n' min='3' max='2'/><metric min='x'/></testcase></limits></perfcheck>\n<scheduler><param>A</param><resourcesx/></scheduler><prepare/><script filename='x' type='sh'/></xenrt>",
            vec![
                "1:46: error: no value of `m` can be outside of this window, or none inside [window] | write min, max or both, the smaller one as min",
                "1:64: error: no value of `n` can be outside of this window, or none inside [window] | write min, max or both, the smaller one as min",
                "1:98: error: `<metric>` needs an attribute `name` [missing-attribute]",
                "2:19: error: `A` is no parameter [scheduler] | write NAME=VALUE",
                "2:28: error: there is no `<resourcesx>` in `<scheduler>` [unknown-element] | did you mean `resources`?",
                "2:81: error: there is no file `x` [unreadable-file] | it is looked for beside the sequence, and where sequences are",
                "2:90: error: `sh` is no type of script [script-type] | there is: cmd, vbs",
            ],
        ),
        ("<xenrt/>", vec!["1:1: error: there is nothing to run in it [no-tests]"]),
        ("<xenrt><testsequence><serial/></testsequence></xenrt>", vec!["1:8: error: there is nothing to run in it [no-tests]"]),
        (
            "<sequence/>",
            vec!["1:1: error: the top element is `<sequence>` [not-a-sequence] | a sequence is one `<xenrt>…</xenrt>` element"],
        ),
        ("<xenrt>", vec!["1:1: error: `<xenrt>` is not closed [malformed]"]),
    ] {
        check_told(text, &expected);
    }
}

#[test]
fn lenient_reading_goes_on_without_what_is_wrong() {
    let text = r#"<xenrt><serial/><testsequence odd="1"><odd/>
      <testcase id="a" blocker="0" prio="x" timeout="?"/><testcase id="b" blocker="1"/><testcase id="c" blocker="yep"/><testcase/>
      <testcase id="d"><arg>${X} 50% and 60% of %Y%</arg></testcase>
      <for iter="A" values="-"><testcase id="e"/></for>
      <for iter="A" values="%LIST%"><testcase id="e"/></for>
      <for iter="A,B" values="(1)"><testcase id="${A}${B}"/></for>
      <parallel workers="0"><testcase id="f"/></parallel></testsequence></xenrt>"#;
    let loaded = read(text, &[], Mode::Lenient);
    assert!(!loaded.has_errors(), "{:?}", told(&loaded));
    assert!(loaded.diagnostics.len() >= 12, "{:?}", told(&loaded));
    assert_eq!(
        tree(&loaded).lines().skip(1).collect::<Vec<_>>(),
        [
            "  a blocker=true",
            "  b blocker=false",
            "  c blocker=true",
            "  ",
            "  d [${X} 50% and 60% of %Y%]",
            "  (for A: no rounds)",
            "  (for A: no rounds)",
            "  (for A,B: 1 round: (1, XXX))",
            "    1XXX",
            "  parallel workers=1",
            "    f",
        ]
    );
    // What is missing then is not known, or there is no tree at all.
    for text in ["<xenrt>", "<x/>", &tests(r#"<include collection="c"/>"#), "<xenrt><include filename='none.inc'/></xenrt>"] {
        assert!(read(text, &[], Mode::Lenient).has_errors(), "{text}");
    }
}

#[test]
fn files_that_mean_harm_are_refused_soon() {
    let million = vec!["1"; 1_000_000].join(",");
    let hundred = vec!["1"; 100].join(",");
    let loops = |depth: usize, values: &str, body: &str| {
        let open: String = (0..depth).map(|n| format!(r#"<for iter="A{n}" values="{values}">"#)).collect();
        tests(&format!("{open}{body}{}", "</for>".repeat(depth)))
    };
    let doubling: String = (1..40).map(|n| format!(r#"<for iter="A{n}" values="${{A{}}}${{A{}}}">"#, n - 1, n - 1)).collect();
    let doubling = tests(&format!(r#"<for iter="A0" values="x">{doubling}<testcase id="${{A39}}"/>{}</for>"#, "</for>".repeat(39)));
    let bush: String = (0..40)
        .map(|n| {
            format!(r#"<collection name="c{n}"><include collection="c{}"/><include collection="c{}"/></collection>"#, n + 1, n + 1)
        })
        .collect();
    let chain: String =
        (0..5000).map(|n| format!(r#"<collection name="c{n}"><include collection="c{}"/></collection>"#, n + 1)).collect();
    let included = r#"<testsequence><include collection="c0"/></testsequence></xenrt>"#;
    for (title, text, rule) in [
        ("a million rounds", loops(1, &million, r#"<testcase id="x"/>"#), "too-large"),
        (
            "a hundred thousand rounds of four",
            loops(1, &million[..200_000], r#"<testcase id="x"/><testcase id="x"/>"#),
            "too-large",
        ),
        ("loops in loops", loops(5, &hundred, r#"<testcase id="x"/>"#), "too-large"),
        ("loops in loops of nothing", loops(8, &hundred, ""), "too-large"),
        ("loops in loops of what is unknown", loops(8, &hundred, "<odd/><odd/>"), "too-large"),
        ("a text that doubles", doubling, "too-large"),
        ("deep elements", tests(&format!("{}{}", "<serial>".repeat(80), "</serial>".repeat(80))), "too-large"),
        ("collections that double", format!("<xenrt>{bush}<collection name=\"c40\"/>{included}"), "too-large"),
        ("a chain of collections", format!("<xenrt>{chain}<collection name=\"c5000\"/>{included}"), "too-large"),
        (
            "a collection in itself",
            format!(r#"<xenrt><collection name="c0"><include collection="c0"/></collection>{included}"#),
            "include-cycle",
        ),
        ("an entity bomb", "<!DOCTYPE x [<!ENTITY a 'aa'><!ENTITY b '&a;&a;'>]><xenrt>&b;</xenrt>".into(), "definitions"),
        ("a great file", " ".repeat(17 << 20), "too-large"),
    ] {
        for mode in [Mode::Strict, Mode::Lenient] {
            let loaded = read(&text, &[], mode);
            let errors: Vec<_> = loaded.diagnostics.iter().filter(|d| d.severity == xenrt::diagnostic::Severity::Error).collect();
            assert!(errors.iter().any(|d| d.rule == rule), "{title}: {:?}", told(&loaded));
            assert!(loaded.diagnostics.len() < 600, "{title}: {} told", loaded.diagnostics.len());
        }
    }
}

#[test]
fn what_is_no_text_is_told_with_its_place() {
    let dir = tempfile::TempDir::with_prefix("xrt-sequence-").unwrap();
    let path = dir.path().join("x.seq");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        load(&Library::default(), path.to_str().unwrap(), Variables::default(), Mode::Lenient).unwrap()
    };
    let loaded = read(b"<xenrt>\n caf\xe9</xenrt>");
    assert_eq!(told_in(&dir, &loaded), ["x.seq:2:5: error: this is not text in UTF-8 [malformed] | save the file as UTF-8"]);
    let loaded =
        read(b"<?xml version='1.0' encoding='ISO-8859-1'?><xenrt><testsequence><testcase id='caf\xe9'/></testsequence></xenrt>");
    assert_eq!((told(&loaded).len(), tree(&loaded).as_str()), (0, "serial\n  caf\u{e9}\n"));
    // A file of 100 MB that takes no room on the disk.
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(100 << 20).unwrap();
    let loaded = load(&Library::default(), path.to_str().unwrap(), Variables::default(), Mode::Lenient).unwrap();
    assert!(told_in(&dir, &loaded)[0].starts_with("x.seq: error: the file is too large [too-large]"), "{:?}", told(&loaded));
}

#[test]
fn sequences_are_found_by_their_names() {
    let dir = tempfile::TempDir::with_prefix("xrt-sequence-").unwrap();
    std::fs::create_dir(dir.path().join("deep")).unwrap();
    for name in ["mine.seq", "deep/other.seq", "smoke.seq"] {
        std::fs::write(dir.path().join(name), "<xenrt/>").unwrap();
    }
    let library = Library { paths: vec![dir.path().to_path_buf()] };
    let found = |name: &str| library.find(name).map(|file| file.to_string().replace(dir.path().to_str().unwrap(), "DIR"));
    for (name, expected) in [
        ("mine.seq", "DIR/mine.seq"),
        ("mine", "DIR/mine.seq"),
        ("deep/other", "DIR/deep/other.seq"),
        ("guestops", "sequences/guestops.seq"),
        ("builtin:smoke.seq", "builtin:smoke.seq"),
    ] {
        assert_eq!(found(name).unwrap(), expected, "{name}");
    }
    for (name, what, help) in [
        ("mien.seq", "there is no sequence `mien.seq`", "did you mean `mine.seq`?"),
        ("mien", "there is no sequence `mien`", "did you mean `mine.seq`?"),
        ("builtin:none", "there is no sequence `builtin:none`", "there is: benchmarks.seq, "),
        ("src", "`src` is a directory, not a sequence", "`xrt check src` checks all sequences in it"),
    ] {
        let error = found(name).unwrap_err();
        assert_eq!(error.what, what);
        assert!(error.help.as_ref().unwrap().starts_with(help), "{:?}", error.help);
    }
    let all: Vec<String> = library.all().unwrap().into_iter().map(|(name, _)| name).collect();
    for name in ["mine.seq", "deep/other.seq", "smoke.seq", "constructs.seq"] {
        assert_eq!(all.iter().filter(|n| *n == name).count(), 1, "{name} in {all:?}");
    }
}
