//! Whether a lab has what a testcase says that it needs: machines of its sort, and the words of `needs` in its `meta()`.
//!
//! To add a word: a row in [`NEEDS`].

use crate::context::Context;
use crate::error::{Blame, Error, Kind, Result};
use crate::lab::{Estate, Lab};
use crate::name::did_you_mean;
use crate::script::{Origin, Target, Testcase};

/// What a lab has not.
pub enum Lack {
    /// Nobody is at fault: the lab is another one than the testcase is for.
    Skip(String),
    Error(Error),
}

/// Whether a hypervisor has it.
type Has = fn(&Estate, &Context) -> Result<bool>;

/// The words of `needs`: what each means, and whether a hypervisor has it. One of the lab's hypervisors is enough.
pub const NEEDS: &[(&str, &str, Has)] = &[
    ("host", "a hypervisor", |_, _| Ok(true)),
    ("iso_library", "an SR with discs", has_discs),
    ("local_storage", "an SR of one host", has_local_storage),
    ("pool", "a pool of at least two hosts", has_two_hosts),
    ("shared_storage", "an SR that all hosts of a pool share", has_shared_storage),
    ("simulator", "a simulated pool", is_simulated),
];

fn has_two_hosts(estate: &Estate, context: &Context) -> Result<bool> {
    let hosts = estate.ask(context, |toolstack, watch| toolstack.hosts(watch))?;
    Ok(hosts.iter().filter(|host| host.is_live).count() > 1)
}

fn has_shared_storage(estate: &Estate, context: &Context) -> Result<bool> {
    let srs = estate.ask(context, |toolstack, watch| toolstack.srs(watch))?;
    Ok(srs.iter().any(|sr| sr.is_shared && sr.content != "iso" && sr.plugs.iter().any(|plug| plug.is_attached)))
}

fn has_local_storage(estate: &Estate, context: &Context) -> Result<bool> {
    let srs = estate.ask(context, |toolstack, watch| toolstack.srs(watch))?;
    Ok(srs.iter().any(|sr| !sr.is_shared && sr.content == "user" && sr.plugs.iter().any(|plug| plug.is_attached)))
}

fn has_discs(estate: &Estate, context: &Context) -> Result<bool> {
    let srs = estate.ask(context, |toolstack, watch| toolstack.srs(watch))?;
    Ok(srs.iter().any(|sr| sr.content == "iso" && sr.plugs.iter().any(|plug| plug.is_attached)))
}

fn is_simulated(estate: &Estate, context: &Context) -> Result<bool> {
    let asked = estate.ask(context, |toolstack, watch| toolstack.call("simulator.get_troubles", &[], watch));
    match asked {
        Ok(_) => Ok(true),
        Err(error) if error.kind == Kind::Unsupported => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the lab lacks of what a testcase needs, if anything.
pub fn lacks(lab: &Lab, testcase: &Testcase, place: Option<&str>, context: &Context) -> Option<Lack> {
    let sort = match testcase.meta.target {
        Target::Host | Target::Pool => machines(lab, testcase, place, context),
        Target::None | Target::Guest => guests(lab, testcase, place, context),
    };
    match sort.and_then(|lack| if lack.is_some() { Ok(lack) } else { words(lab, testcase, context) }) {
        Ok(lack) => lack,
        Err(error) => Some(Lack::Error(error)),
    }
}

fn guests(lab: &Lab, testcase: &Testcase, place: Option<&str>, context: &Context) -> Result<Option<Lack>> {
    let Testcase { meta, name, .. } = testcase;
    let needed = meta.guests.max(usize::from(meta.target == Target::Guest));
    // A program does not say what it needs.
    let is_program = matches!(testcase.origin, Origin::Program(_));
    if needed > 0
        && let Some(lack) = too_few(lab, name, needed, context)?
    {
        return Ok(Some(lack));
    }
    // One that needs no machine may stand where others are to run on one.
    let Some(place) = place.filter(|_| needed > 0 || is_program && !lab.is_empty()) else { return Ok(None) };
    Ok(lab.guest(place, context).err().map(|error| Lack::Error(blamed(error))))
}

fn too_few(lab: &Lab, name: &str, needed: usize, context: &Context) -> Result<Option<Lack>> {
    let there = if lab.len() >= needed { lab.len() } else { lab.guests(context)?.len() };
    if there >= needed {
        return Ok(None);
    }
    let wanted = if needed == 1 { "a guest".to_string() } else { format!("{needed} guests") };
    let what = format!("`{name}` needs {wanted}, the run has {there}");
    if !lab.estates().is_empty() {
        return Ok(Some(Lack::Skip(what)));
    }
    let error = Error::new(Kind::NotFound, what).blame(Blame::User);
    Ok(Some(Lack::Error(error.help("name the machine with --guest ADDRESS, or --guest local for this machine"))))
}

fn machines(lab: &Lab, testcase: &Testcase, place: Option<&str>, context: &Context) -> Result<Option<Lack>> {
    let Testcase { meta, name, .. } = testcase;
    if lab.estates().is_empty() {
        let what = format!("`{name}` needs a {}, and this run has only guests", meta.target.word());
        let error = Error::new(Kind::Unsupported, what).blame(Blame::User);
        return Ok(Some(Lack::Error(error.help("name a host: `--host ADDRESS`, or `--host sim` for a simulated pool"))));
    }
    if meta.guests > 0
        && let Some(lack) = too_few(lab, name, meta.guests, context)?
    {
        return Ok(Some(lack));
    }
    let found = match meta.target {
        Target::Host => lab.find_host(place, context).map(drop),
        _ => lab.find_pool(place, context).map(drop),
    };
    Ok(found.err().map(|error| Lack::Error(blamed(error))))
}

/// A name that a sequence got wrong is its user's fault; a lab that does not answer is not.
fn blamed(error: Error) -> Error {
    if matches!(error.kind, Kind::NotFound | Kind::Malformed) { error.blame(Blame::User) } else { error }
}

fn words(lab: &Lab, testcase: &Testcase, context: &Context) -> Result<Option<Lack>> {
    let estates = lab.estates();
    for word in &testcase.meta.needs {
        let Some((_, meaning, has)) = NEEDS.iter().find(|(known, ..)| known == word) else {
            let what = format!("`{}` needs `{word}`, and nobody knows what that is", testcase.name);
            let near = did_you_mean(word, NEEDS.iter().map(|(known, ..)| *known));
            let known: Vec<&str> = NEEDS.iter().map(|(known, ..)| *known).collect();
            let help = near.unwrap_or_else(|| format!("`needs` in meta() may say: {}", known.join(", ")));
            return Err(Error::new(Kind::Malformed, what).blame(Blame::Author).help(help));
        };
        let mut is_there = false;
        for estate in &estates {
            is_there = is_there || has(estate, context)?;
        }
        if !is_there {
            return Ok(Some(Lack::Skip(format!("`{}` needs {meaning}, which this lab does not have", testcase.name))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_sorted() {
        assert!(NEEDS.is_sorted_by_key(|(word, ..)| *word));
    }
}
