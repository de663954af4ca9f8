//! Sequences before they run: what is shown of them, what is written from templates, and what the program ships.

use crate::support::xrt::Xrt;

#[test]
fn aliases_are_listed_by_name_with_what_they_stand_for() {
    let ran = Xrt::new()
        .file("scripts/a.rhai", "fn meta() { #{ title: \"One\", aliases: [\"old.TCOne\", \"TCBoth\"] } }\nfn run(args) {}")
        .file("scripts/b.rhai", "fn meta() { #{ title: \"Two\", aliases: [\"TCBoth\"] } }\nfn run(args) {}")
        .args("list --aliases TCBoth")
        .run()
        .ends(0);
    insta::assert_snapshot!(ran.stdout, @r"
    ALIAS   TESTCASE  TITLE
    TCBoth  a         One
    TCBoth  b         Two
    ");
    let json: serde_json::Value = serde_json::from_str(&ran.then("list --aliases --json old.").stdout).unwrap();
    let expected = serde_json::json!([
        { "alias": "old.TCOne", "testcase": "a", "file": "scripts/a.rhai", "title": "One" },
    ]);
    assert_eq!(json, expected);
}

#[test]
fn a_new_sequence_goes_where_it_was_asked_for_and_over_nothing() {
    let ran = Xrt::new().args("new sequence nightly --title Every----night").run().ends(0);
    let text = |name: &str| std::fs::read_to_string(ran.dir().join(name)).unwrap();
    assert!(text("nightly.seq").starts_with("<!-- Every- - - -night\n"), "no two hyphens in a comment: {}", text("nightly.seq"));
    assert!(ran.stderr.contains("xrt --guest local -s nightly.seq"), "{}", ran.transcript());
    ran.then("new sequences/mine.seq").ends(0);
    assert!(text("sequences/mine.seq").starts_with("<!-- Mine\n"));
    assert!(ran.then("new sequence nightly").ends(2).stderr.contains("nightly.seq"));
    assert!(ran.then("new sequence nightly.rhai").ends(2).stderr.contains("does not end in .seq"));
    assert!(ran.then("new mine").ends(0).dir().join("mine.rhai").is_file());
}
