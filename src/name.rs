//! Identifiers, parsed once, and the nearest valid name when one is wrong.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A testcase's identity within one run: `group/name`, with `#2` on the next of the same name. Unique in a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseId(Arc<str>);

impl CaseId {
    pub fn new(id: impl Into<Arc<str>>) -> CaseId {
        CaseId(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the last slash, or nothing.
    pub fn group(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// The part after the last slash.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The id without the `#2` of the second of its name.
    pub fn first_of_its_name(&self) -> &str {
        match self.0.rsplit_once('#') {
            Some((first, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => first,
            _ => &self.0,
        }
    }

    /// A name for a directory: the id with everything that a file system or a shell might mind replaced.
    ///
    /// Two ids never share a directory: an id that had to be changed gets a short mark of its own text.
    pub fn directory(&self) -> String {
        let plain: String =
            self.0.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.#".contains(c) { c } else { '.' }).take(100).collect();
        let only_slashes = self.0.len() <= 100 && self.0.replace('/', ".") == plain && !plain.starts_with('.');
        if only_slashes && !self.0.contains('.') {
            return plain;
        }
        format!("{}-{:08x}", plain.trim_start_matches('.'), fingerprint(&self.0))
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hands out unique case ids in the order asked.
#[derive(Default)]
pub struct CaseIds(HashMap<CaseId, usize>);

impl CaseIds {
    /// The id for the next testcase called `name` in `group`; the second of the same name gets `#2`.
    pub fn next(&mut self, group: &str, name: &str) -> CaseId {
        let base = if group.is_empty() { CaseId::new(name) } else { CaseId::new(format!("{group}/{name}")) };
        let mut id = base.clone();
        loop {
            let seen = self.0.entry(id.clone()).or_insert(0);
            *seen += 1;
            if *seen == 1 {
                return id;
            }
            id = CaseId::new(format!("{base}#{seen}"));
        }
    }
}

/// A stable 32-bit mark of a text (FNV-1a): short, not secret, the same on every machine.
pub fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |mark, byte| (mark ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The candidate nearest to a name that is not among them, where one is near enough to be meant.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wanted.to_lowercase();
    let length = wanted.chars().count();
    let most = |c: &str| (wanted.len().max(c.len()) / 3).max(1);
    candidates
        .into_iter()
        // A name that is much longer or shorter is not near, and most are.
        .filter(|c| c.chars().count().abs_diff(length) <= most(c) && *c != wanted)
        .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= most(c))
        .min()
        .map(|(_, c)| c)
}

/// How many letters have to be changed, added, taken away or swapped to make one name of another.
pub fn distance(one: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(one, other)
}

/// "did you mean `x`?" for an error's help, or what is there to choose from.
pub fn did_you_mean<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let all: Vec<&str> = candidates.into_iter().collect();
    if let Some(near) = nearest(wanted, all.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    (!all.is_empty() && all.len() <= 12).then(|| format!("there is: {}", all.join(", ")))
}

/// A name that no other thing in a lab has: random bits of the standard library's, which seeds each hasher anew.
pub fn unlike_others(prefix: &str) -> String {
    format!("{prefix}-{:08x}", random() as u32)
}

/// A MAC address that no other thing in a lab has, locally administered.
pub fn random_mac() -> String {
    let bytes = random().to_be_bytes();
    let first = (bytes[0] & 0xfc) | 0x02;
    let rest: Vec<String> = bytes[1..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{first:02x}:{}", rest.join(":"))
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_a_name_is_another_case() {
        let mut ids = CaseIds::default();
        let all: Vec<String> =
            [("g", "a"), ("g", "a"), ("", "a"), ("g", "a")].iter().map(|(g, n)| ids.next(g, n).to_string()).collect();
        assert_eq!(all, ["g/a", "g/a#2", "a", "g/a#3"]);
        assert_eq!(ids.next("g", "a#2").to_string(), "g/a#2#2", "a name that looks like a suffix is still unique");
    }

    #[test]
    fn directories_are_plain_and_apart() {
        assert_eq!(CaseId::new("disk/TCx#2").directory(), "disk.TCx#2");
        let hostile = ["../../etc", "a/../b", "..", "a b", "a:b", "a.b/c", "a/b.c"];
        let made: std::collections::HashSet<String> = hostile.iter().map(|id| CaseId::new(*id).directory()).collect();
        assert_eq!(made.len(), hostile.len());
        assert!(made.iter().all(|d| !d.contains('/') && !d.starts_with('.')), "{made:?}");
    }

    #[test]
    fn the_nearest_name_is_offered_when_it_is_near() {
        let names = ["exec", "exec_rc", "reboot", "read_file"];
        assert_eq!(nearest("exce", names), Some("exec"));
        assert_eq!(nearest("readfile", names), Some("read_file"));
        assert_eq!(nearest("zzzz", names), None);
    }
}
