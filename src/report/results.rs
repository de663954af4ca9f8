//! The original's `results.xml` of a whole run, for what reads it.
//!
//! The form: `sequenceresults` holds the `name` of the sequence, `jobdetails` with the machines, `sequence` and `regression` (`PASS` or
//! `FAIL`), and a `testgroup` for each group with a `test` for everything planned. A `test` has a `name`, a `state`, the `reason`, each
//! `value` measured, and its subcases in `group`s. The states are `pass` (flaky too), `partial`, `fail`, `error`, `skipped` and `notrun`
//! (blocked, or without a result).
//!
//! Not written: a `results.xml` for each testcase, which has nothing that this one has not, and the `version` of the product, which only
//! a variable of a site tells.

use super::reports::{Opening, Report, Written};
use super::text::printable;
use super::{Case, Subcase, Summary};
use crate::error::{Error, Kind, Result, Whereabouts};
use crate::event::Outcome;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::collections::HashMap;
use std::io::Result as Io;
use std::path::Path;

type Xml = Writer<Vec<u8>>;

pub(super) fn open(path: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    Ok(Box::new(Written::new("results", path, opening, |summary, _, out| out.write_all(&results(summary)?).at("write it"))))
}

/// The report as XML.
fn results(summary: &Summary) -> Result<Vec<u8>> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    write(&mut xml, summary).map_err(|e| Error::new(Kind::Internal, "the XML of the results cannot be written").because(e))?;
    let mut bytes = xml.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn write(xml: &mut Xml, summary: &Summary) -> Io<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let run = summary.run();
    let judged = summary.judgement();
    within(xml, "sequenceresults", |xml| {
        if let Some(name) = &run.sequence {
            text(xml, "name", name)?;
        }
        within(xml, "jobdetails", |xml| run.targets.iter().try_for_each(|target| text(xml, "host", target)))?;
        text(xml, "sequence", if judged.sequence { "PASS" } else { "FAIL" })?;
        text(xml, "regression", if judged.regression { "PASS" } else { "FAIL" })?;
        for (group, cases) in grouped(summary.cases().iter(), |case| case.id.group()) {
            within(xml, "testgroup", |xml| {
                text(xml, "name", group)?;
                cases.into_iter().try_for_each(|case| test(xml, case))
            })?;
        }
        Ok(())
    })
}

fn test(xml: &mut Xml, case: &Case) -> Io<()> {
    within(xml, "test", |xml| {
        text(xml, "name", case.id.name())?;
        text(xml, "state", case.outcome.map_or("notrun", state))?;
        if let Some(why) = case.why().filter(|_| !case.is_plain_pass()) {
            text(xml, "reason", why)?;
        }
        for metric in &case.notes().metrics {
            let element = xml.create_element("value").with_attribute(("param", &*printable(&metric.name)));
            let unit = printable(&metric.unit);
            let element = if unit.is_empty() { element } else { element.with_attribute(("units", &*unit)) };
            element.write_text_content(BytesText::new(&metric.value.to_string()))?;
        }
        for (group, subcases) in grouped(case.notes().subcases.iter(), |s| if s.group.is_empty() { "DEFAULT" } else { &s.group }) {
            within(xml, "group", |xml| {
                text(xml, "name", group)?;
                subcases.into_iter().try_for_each(|s| subcase(xml, s))
            })?;
        }
        Ok(())
    })
}

fn subcase(xml: &mut Xml, subcase: &Subcase) -> Io<()> {
    within(xml, "test", |xml| {
        text(xml, "name", &subcase.name)?;
        text(xml, "state", state(subcase.outcome))?;
        subcase.why().filter(|_| subcase.outcome != Outcome::Passed).map_or(Ok(()), |why| text(xml, "reason", why))
    })
}

fn state(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed | Outcome::Flaky => "pass",
        Outcome::Partial => "partial",
        Outcome::Failed => "fail",
        Outcome::Errored => "error",
        Outcome::Skipped => "skipped",
        Outcome::Blocked => "notrun",
    }
}

/// Those of the same name together, in the order in which each name came first.
fn grouped<'a, T>(all: impl Iterator<Item = &'a T>, name: impl Fn(&'a T) -> &'a str) -> Vec<(&'a str, Vec<&'a T>)> {
    let mut groups: Vec<(&str, Vec<&T>)> = Vec::new();
    let mut places = HashMap::new();
    for it in all {
        let place = *places.entry(name(it)).or_insert(groups.len());
        if place == groups.len() {
            groups.push((name(it), Vec::new()));
        }
        groups[place].1.push(it);
    }
    groups
}

fn within(xml: &mut Xml, name: &str, inside: impl FnOnce(&mut Xml) -> Io<()>) -> Io<()> {
    xml.create_element(name).write_inner_content(inside).map(drop)
}

fn text(xml: &mut Xml, name: &str, content: &str) -> Io<()> {
    xml.create_element(name).write_text_content(BytesText::new(&printable(content))).map(drop)
}
