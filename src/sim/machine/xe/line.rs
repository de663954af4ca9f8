//! A command line of `xe`.

use std::collections::BTreeMap;

/// What was typed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Line {
    pub command: String,
    /// `key=value`, and `map:key=value` under the whole of `map:key`.
    pub words: BTreeMap<String, String>,
    /// `--minimal`, `--force`, `--multiple`, without the dashes.
    pub flags: Vec<String>,
}

/// Options that have a value, which says how to log in: here we are on the host.
const LOGIN: &[&str] = &["-s", "-u", "-p", "-pw", "-pwf", "--server", "--username", "--password", "--port"];

impl Line {
    pub fn parse(words: &[String]) -> Line {
        let mut line = Line::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if LOGIN.contains(&word.as_str()) {
                rest.next();
            } else if let Some(flag) = word.strip_prefix("--") {
                let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
                if value == "true" {
                    line.flags.push(name.to_string());
                }
            } else if line.command.is_empty() {
                line.command.clone_from(word);
            } else if let Some((key, value)) = word.split_once('=') {
                line.words.insert(key.to_string(), value.to_string());
            }
        }
        line
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.words.get(key).map(String::as_str)
    }

    /// Whether a flag is set, in either of its forms.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag) || self.get(flag) == Some("true")
    }

    /// The words that begin with `map:`, without it; a map may also be given as one word, `map=a=b,c=d` having been typed.
    pub fn map(&self, name: &str) -> BTreeMap<String, String> {
        let prefix = format!("{name}:");
        let of = |(key, value): (&String, &String)| Some((key.strip_prefix(&prefix)?.to_string(), value.clone()));
        self.words.iter().filter_map(of).collect()
    }

    /// The first given one of these keys.
    pub fn first(&self, keys: &[String]) -> Option<&str> {
        keys.iter().find_map(|key| self.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let words =
            shlex::split("-s h1 -u root -pw x vm-start vm='my vm' other-config:a=b=c --minimal force=true --multiple=false")
                .unwrap();
        let line = Line::parse(&words);
        assert_eq!((line.command.as_str(), line.get("vm")), ("vm-start", Some("my vm")));
        assert_eq!(line.map("other-config"), BTreeMap::from([("a".into(), "b=c".into())]));
        assert!(line.has("minimal") && line.has("force") && !line.has("multiple") && !line.has("x"));
    }
}
