//! The shape of a testcase: its hooks, and functions that nothing calls.

use super::Subject;
use super::source::Head;
use crate::diagnostic::Diagnostic;
use crate::name;
use crate::script::Hook;

/// Whether a function of this name means something to the harness.
pub fn is_hook(name: &str) -> bool {
    name == "meta" || Hook::ALL.iter().any(|hook| hook.name() == name)
}

/// Whether a file with these functions is meant to be run, and not to be imported.
pub fn is_testcase(heads: &[Head]) -> bool {
    let free = || heads.iter().filter(|h| h.this_type.is_none());
    free().any(|h| match h.name.as_str() {
        "meta" => true,
        "run" => h.params.len() < 2,
        name => is_hook(name) && h.params == ["args"],
    })
}

/// What is wrong with the hooks.
pub fn check(subject: &Subject) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for head in subject.source.heads.iter().filter(|h| h.this_type.is_none()) {
        let fault = match is_hook(&head.name) && subject.is_testcase {
            true => hook(subject, head),
            false => other(subject, head),
        };
        found.extend(fault);
    }
    found.extend(no_run(subject, !found.is_empty()));
    found
}

fn hook(subject: &Subject, head: &Head) -> Option<Diagnostic> {
    let expected = usize::from(head.name != "meta");
    let given = head.params.len();
    if given == expected || subject.facts.called.contains(&head.name) {
        return None;
    }
    let (takes, write) = match expected {
        0 => ("no parameters", "fn meta()".to_string()),
        _ => ("one parameter, the arguments", format!("fn {}(args)", head.name)),
    };
    let what = format!("`{}` takes {takes}; with {given} it is never called", head.name);
    Some(subject.error("hook-parameters", head.position, what).help(Some(format!("write `{write}`"))))
}

/// A function that nothing calls: nearly a hook, or private.
fn other(subject: &Subject, head: &Head) -> Option<Diagnostic> {
    let facts = &subject.facts;
    if facts.called.contains(&head.name) || facts.called_on.contains(&head.name) {
        return None;
    }
    let looks_like_hook = subject.is_testcase && (head.params.is_empty() || head.params == ["args"]);
    let hooks = Hook::ALL.map(Hook::name).into_iter().chain(["meta"]);
    if let Some(near) = name::nearest(&head.name, hooks.filter(|_| looks_like_hook)) {
        let what = format!("`{}` is never called", head.name);
        return Some(subject.error("unknown-hook", head.position, what).help(Some(format!("did you mean the hook `{near}`?"))));
    }
    if head.is_private {
        let what = format!("nothing calls the private function `{}`", head.name);
        return Some(subject.error("unused-function", head.position, what).warning());
    }
    None
}

fn no_run(subject: &Subject, is_told: bool) -> Option<Diagnostic> {
    let heads = &subject.source.heads;
    if !subject.is_testcase || is_told || heads.iter().any(|h| h.name == "run" && h.this_type.is_none()) {
        return None;
    }
    let first = heads.iter().find(|h| is_hook(&h.name))?;
    let what = "no function `run(args)`, so this is no testcase";
    Some(subject.error("no-run", first.position, what).help(Some("add `fn run(args) { … }`".into())))
}
