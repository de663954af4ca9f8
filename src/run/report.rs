//! What a program's standard output says of its tests, whichever of the known forms it has.

use super::part::Part;
use super::{junit, tap};
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::event::Outcome;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A larger document is refused, as it is read as a whole.
const LARGEST_DOCUMENT: u64 = 64 << 20;

/// As far into the output a document must have shown what it is.
const BEGINNING: u64 = 64 << 10;

/// Further bytes of a line are passed over.
const LONGEST_LINE: u64 = 64 << 10;

/// The tests that a program reports.
#[derive(Debug, Default)]
pub struct Report {
    /// Whether the output has a report at all.
    pub is_there: bool,
    pub parts: Vec<Part>,
    /// What is wrong with the report itself.
    pub problems: Vec<Part>,
    /// Why there is nothing in it.
    pub skipped: Option<String>,
}

impl Report {
    pub fn is_bad(&self) -> bool {
        !self.problems.is_empty() || self.parts.iter().any(|part| part.outcome.is_bad())
    }

    fn broken(form: &str, error: &Error) -> Report {
        let problem = Part::new("", form, Outcome::Errored, error.what.clone());
        Report { is_there: true, problems: vec![problem], ..Report::default() }
    }
}

/// Reads the report in a file with a program's output. Output without one is an empty report; a broken one is a problem in it.
pub fn read(output: &Path) -> Report {
    match beginning(output) {
        // It never ran.
        Err(_) => Report::default(),
        Ok(beginning) if junit::is_meant(&beginning) => document(output).unwrap_or_else(|error| Report::broken("JUnit", &error)),
        Ok(_) => lines(output).unwrap_or_else(|error| Report::broken("TAP", &error)),
    }
}

fn beginning(output: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(output)?.take(BEGINNING).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn document(output: &Path) -> Result<Report> {
    let mut bytes = Vec::new();
    let file = File::open(output).at("read the program's output")?;
    file.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes).at("read the program's output")?;
    if bytes.len() as u64 > LARGEST_DOCUMENT {
        let what = format!("the JUnit XML on its output is larger than {}", crate::unit::show_size(LARGEST_DOCUMENT));
        return Err(Error::new(Kind::Malformed, what).blame(Blame::Author));
    }
    let parts = junit::read(&String::from_utf8_lossy(&bytes))?;
    let skipped = parts.is_empty().then(|| "its JUnit XML has no test".to_string());
    Ok(Report { is_there: true, parts, problems: Vec::new(), skipped })
}

fn lines(output: &Path) -> Result<Report> {
    let mut file = BufReader::new(File::open(output).at("read the program's output")?);
    let tap = tap::read(std::iter::from_fn(|| line(&mut file).at("read the program's output").transpose()))?;
    Ok(tap.map_or_else(Report::default, |tap| Report {
        is_there: true,
        parts: tap.tests,
        problems: tap.problems,
        skipped: tap.skipped,
    }))
}

/// The next line, bounded; bytes that are not UTF-8 become the replacement character.
fn line(file: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if file.take(LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.last() != Some(&b'\n') {
        file.skip_until(b'\n')?;
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
