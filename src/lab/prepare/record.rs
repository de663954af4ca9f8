//! What a preparation has made, written down as it is made: who cleans up needs nothing else, even after the run was killed.

use crate::error::{Error, Kind, Result, Whereabouts};
use crate::toolstack::{Addressing, Class};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file of it below the results of a run.
pub const FILE: &str = "prepared.jsonl";

/// Something that was made or changed, a line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// The run that made it.
    pub run: String,
    /// The pool that it is in, by the uuid that pools have.
    pub pool: String,
    /// Its own uuid; of a change, that of what was changed.
    pub uuid: String,
    /// For people: "VM web".
    pub what: String,
    #[serde(flatten)]
    pub undo: Undo,
}

impl Made {
    /// Whether it is a thing that takes room, and not a change of one.
    pub fn is_thing(&self) -> bool {
        matches!(self.undo, Undo::Remove { class: Class::Guest | Class::Sr | Class::Network | Class::Bond } | Undo::Eject)
    }
}

/// How it is undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub enum Undo {
    /// It was to be made, and nobody has come to say that it was: it has no uuid yet. It is known by a name that only this run gives; what
    /// has no name of its own (a bond, a VLAN), by the network that it is on and by its host. `at` is the SR of a volume, or that host.
    Begun {
        class: Class,
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
    /// It goes.
    Remove { class: Class },
    /// The host leaves the pool.
    Eject,
    /// The pool has another default SR again, by its uuid, or none.
    DefaultSr { before: Option<String> },
    /// The network has its name and size of frames again.
    Network { name: String, mtu: u32 },
    /// The interface is addressed as before. A static address is not known well enough to be given again.
    Address { before: Addressing, was_management: Option<String> },
}

/// The file, as it is written.
pub struct Record {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl Record {
    /// Nothing is written, and no file made, before something was made.
    pub fn new(results: &Path) -> Record {
        Record { path: results.join(FILE), file: Mutex::new(None) }
    }

    /// Writes down that something was made, down to the disk.
    ///
    /// # Errors
    /// It cannot be written: then nothing more should be made.
    pub fn add(&self, made: &Made) -> Result<()> {
        let line = serde_json::to_string(made).map_err(|e| Error::new(Kind::Internal, "what was made is no JSON").because(e))?;
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let place = || format!("write `{}`", self.path.display());
        let file = match &mut *slot {
            Some(file) => file,
            none => none.insert(OpenOptions::new().create(true).append(true).open(&self.path).at(place())?),
        };
        file.write_all(format!("{line}\n").as_bytes()).at(place())?;
        file.sync_data().at(place())
    }
}

/// Whether a run has made anything that is not removed.
pub fn is_there(results: &Path) -> bool {
    results.join(FILE).exists()
}

/// Keeps only what is left after a clean-up; without anything left, the file goes.
///
/// # Errors
/// It cannot be written.
pub fn keep(results: &Path, left: &[Made]) -> Result<()> {
    let path = results.join(FILE);
    if left.is_empty() {
        return std::fs::remove_file(&path).at(format_args!("remove `{}`", path.display()));
    }
    let mut text = String::new();
    for made in left {
        text.push_str(&serde_json::to_string(made).unwrap_or_default());
        text.push('\n');
    }
    let new = results.join(format!("{FILE}.new"));
    std::fs::write(&new, text).at(format_args!("write `{}`", new.display()))?;
    std::fs::rename(&new, &path).at(format_args!("write `{}`", path.display()))
}

/// What a run has made, in the order made. A last line that was cut off is left out.
///
/// # Errors
/// The directory has no such file, or the file another content.
pub fn read(results: &Path) -> Result<Vec<Made>> {
    let path = results.join(FILE);
    if !path.exists() {
        let error = Error::new(Kind::NotFound, format!("`{}` has nothing that a preparation has made", results.display()));
        return Err(error
            .blame(crate::error::Blame::User)
            .help(format!("name the results of a run that has prepared something: it has a file {FILE}")));
    }
    let lines: Vec<String> = BufReader::new(File::open(&path).at(format_args!("read `{}`", path.display()))?)
        .lines()
        .map_while(|line| line.ok())
        .collect();
    let mut all = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(made) => all.push(made),
            Err(_) if number + 1 == lines.len() => {}
            Err(error) => {
                let what = format!("line {} of `{}` cannot be read", number + 1, path.display());
                return Err(Error::new(Kind::Malformed, what).blame(crate::error::Blame::User).because(error));
            }
        }
    }
    Ok(settled(all))
}

/// Without what was begun and is there: a later line tells that.
fn settled(all: Vec<Made>) -> Vec<Made> {
    let is_begun = |made: &Made| matches!(made.undo, Undo::Begun { .. });
    let is_told = |(at, made): (usize, &Made)| {
        is_begun(made) && all[at + 1..].iter().any(|later| later.what == made.what && (!is_begun(later) || later == made))
    };
    let told: Vec<bool> = all.iter().enumerate().map(is_told).collect();
    all.into_iter().zip(told).filter(|(_, is_told)| !is_told).map(|(made, _)| made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(what: &str, undo: Undo) -> Made {
        Made { run: "r".into(), pool: "p".into(), uuid: "u".into(), what: what.into(), undo }
    }

    #[test]
    fn what_was_made_can_be_read_back_after_a_cut() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap_err().help.unwrap().contains(FILE));
        let record = Record::new(dir.path());
        assert!(!dir.path().join(FILE).exists());
        let all = [
            made("VM web", Undo::Remove { class: Class::Guest }),
            made("host h2", Undo::Eject),
            made("default SR", Undo::DefaultSr { before: None }),
            made("network a", Undo::Network { name: "b".into(), mtu: 1500 }),
            made("address of eth1", Undo::Address { before: Addressing::Dhcp, was_management: None }),
        ];
        all.iter().for_each(|made| record.add(made).unwrap());
        assert_eq!(read(dir.path()).unwrap(), all);
        // What was begun is told by what came of it; what was begun again, once.
        let begun = |what: &str| made(what, Undo::Begun { class: Class::Guest, name: format!("{what} (r)"), at: None });
        [begun("VM db"), all[0].clone(), begun("VM db")].iter().for_each(|made| record.add(made).unwrap());
        assert_eq!(read(dir.path()).unwrap()[5..], [all[0].clone(), begun("VM db")]);
        record.add(&made("VM db", Undo::Remove { class: Class::Guest })).unwrap();
        assert!(!read(dir.path()).unwrap().contains(&begun("VM db")));
        keep(dir.path(), &all).unwrap();
        let path = dir.path().join(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        assert_eq!(read(dir.path()).unwrap(), all[..4]);
        keep(dir.path(), &all[1..2]).unwrap();
        assert_eq!(read(dir.path()).unwrap(), all[1..2]);
        keep(dir.path(), &[]).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "x\n{}\n").unwrap();
        assert!(read(dir.path()).unwrap_err().what.starts_with("line 1 of"));
    }
}
