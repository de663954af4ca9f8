//! What a testcase says of itself: the map that its `meta()` returns, checked key by key.

use super::show;
use crate::name;
use crate::unit;
use rhai::{Array, Dynamic, Map};
use std::time::Duration;

/// What a testcase says of itself.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    pub title: String,
    pub description: String,
    /// Other names, such as the original's dotted ids.
    pub aliases: Vec<String>,
    pub target: Target,
    /// Argument names with their default values, which give the types.
    pub args: Map,
    /// What an argument means, by its name.
    pub help: Map,
    pub timeout: Option<Duration>,
    pub tags: Vec<String>,
    /// How many machines it needs besides what `target` says.
    pub guests: usize,
    /// What else it needs, by name ("shared_storage").
    pub needs: Vec<String>,
    /// A failure blocks what follows in a sequence.
    pub blocker: bool,
    /// Class of which a sequence runs only one at a time.
    pub exclusive: Option<String>,
    /// Systems it is for, by the beginning of their name ("debian"); empty for all.
    pub os: Vec<String>,
}

/// What a testcase runs against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Needs no machine.
    #[default]
    None,
    Guest,
    Host,
    Pool,
}

impl Target {
    pub const ALL: [(&'static str, Target); 4] =
        [("none", Target::None), ("guest", Target::Guest), ("host", Target::Host), ("pool", Target::Pool)];

    /// The type of what `target()` gives. A testcase that needs no machine may take what there is.
    pub fn kind(self) -> &'static str {
        match self {
            Target::None | Target::Guest => "Guest",
            Target::Host => "Host",
            Target::Pool => "Pool",
        }
    }

    pub fn word(self) -> &'static str {
        Target::ALL.iter().find(|(_, t)| *t == self).map_or("none", |(word, _)| word)
    }
}

/// Every key, with what it takes. `xrt check` and the manual read this.
pub const KEYS: [(&str, &str); 13] = [
    ("aliases", "list of other names"),
    ("args", "map of arguments with their default values"),
    ("blocker", "for sequences: true when a failure blocks what follows"),
    ("description", "text"),
    ("exclusive", "for sequences: class of which only one testcase runs at a time"),
    ("guests", "how many guests it needs"),
    ("help", "map of arguments with what they mean"),
    ("needs", "list of what it needs besides its target"),
    ("os", "list of systems it is for"),
    ("tags", "list of words"),
    ("target", "none, guest, host or pool"),
    ("timeout", "seconds, or a text such as \"4h\""),
    ("title", "one line"),
];

impl Meta {
    /// Reads the map; every fault is told as `(key, what, help)`.
    ///
    /// # Errors
    /// All faults at once.
    pub fn read(map: &Map) -> Result<Meta, Vec<(String, String, Option<String>)>> {
        let mut meta = Meta::default();
        let mut faults = Vec::new();
        for (key, value) in map {
            if let Err((what, help)) = meta.take(key, value) {
                faults.push((key.to_string(), what, help));
            }
        }
        for unknown in meta.help.keys().filter(|k| !meta.args.contains_key(k.as_str())) {
            let help = name::did_you_mean(unknown, meta.args.keys().map(|k| k.as_str()));
            faults.push(("help".into(), format!("`help` explains `{unknown}`, which is no argument"), help));
        }
        if faults.is_empty() { Ok(meta) } else { Err(faults) }
    }

    fn take(&mut self, key: &str, value: &Dynamic) -> Result<(), (String, Option<String>)> {
        let wrong =
            |expected: &str| (format!("`{key}` in meta() is {}, expected {expected}", show::value(value, 60)), None::<String>);
        match key {
            "title" => self.title = text(value).ok_or_else(|| wrong("a text"))?,
            "description" => self.description = text(value).ok_or_else(|| wrong("a text"))?,
            "exclusive" => self.exclusive = Some(text(value).ok_or_else(|| wrong("a text"))?),
            "aliases" => self.aliases = texts(value).ok_or_else(|| wrong("a list of texts"))?,
            "needs" => self.needs = texts(value).ok_or_else(|| wrong("a list of texts"))?,
            "os" => self.os = texts(value).ok_or_else(|| wrong("a list of texts"))?,
            "tags" => self.tags = texts(value).ok_or_else(|| wrong("a list of texts"))?,
            "blocker" => self.blocker = value.as_bool().map_err(|_| wrong("true or false"))?,
            "guests" => {
                let count = value.as_int().ok().and_then(|n| usize::try_from(n).ok());
                self.guests = count.ok_or_else(|| wrong("a number from 0 up"))?;
            }
            "args" => self.args = map(value).ok_or_else(|| wrong("a map"))?,
            "help" => self.help = map(value).ok_or_else(|| wrong("a map of texts"))?,
            "timeout" => self.timeout = Some(duration(value).map_err(|e| (format!("`timeout` in meta(): {}", e.what), e.help))?),
            "target" => {
                let word = text(value).unwrap_or_default();
                let words = Target::ALL.map(|(word, _)| word);
                let found = Target::ALL.iter().find(|(w, _)| *w == word);
                self.target = found.map(|(_, t)| *t).ok_or_else(|| {
                    (format!("`target` in meta() is {}", show::value(value, 60)), name::did_you_mean(&word, words))
                })?;
            }
            _ => return Err((format!("unknown key `{key}` in meta()"), name::did_you_mean(key, KEYS.map(|(k, _)| k)))),
        }
        Ok(())
    }
}

fn text(value: &Dynamic) -> Option<String> {
    value.is_string().then(|| show::plain(value))
}

fn texts(value: &Dynamic) -> Option<Vec<String>> {
    value.read_lock::<Array>()?.iter().map(text).collect()
}

fn map(value: &Dynamic) -> Option<Map> {
    value.read_lock::<Map>().map(|m| m.clone())
}

/// A duration from a script: a number is seconds, a text has a unit.
///
/// # Errors
/// `Malformed`.
pub fn duration(value: &Dynamic) -> crate::error::Result<Duration> {
    if let Ok(seconds) = value.as_int() {
        return unit::seconds_to_duration(seconds as f64);
    }
    if let Ok(seconds) = value.as_float() {
        return unit::seconds_to_duration(seconds);
    }
    unit::parse_duration(&show::plain(value))
}
