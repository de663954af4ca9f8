//! Trouble on demand: calls that fail, take long or lose their answer; hosts without power, full SRs, guests that die or hang.

use crate::error::{Error, Kind, Result};
use crate::unit;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What help says about the words.
pub const FORMS: &str = "fail:VM.start=SR_FULL, delay:VM.start=5s, drop:VM.clean_shutdown (each with `,n=2` for more than one call), \
                         power-off:HOST, fill:SR, kill:GUEST, hang:GUEST, skew:GUEST=30s, or one of these five as soon as a call has begun: \
                         on:VM.start=kill:GUEST; several joined by `;`";

/// One trouble.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The next calls of a method fail with these words.
    Fail { method: String, words: Vec<String>, times: u32 },
    /// The next calls take longer.
    Delay { method: String, by: Duration, times: u32 },
    /// The next calls do what they should, and the connection is cut before the answer.
    Drop { method: String, times: u32 },
    /// Something happens to a machine as soon as a call has begun, before its answer.
    On { method: String, deed: Box<Trouble>, times: u32 },
    /// A host loses its power.
    PowerOff(String),
    /// An SR gets full.
    Fill(String),
    /// The domain of a guest dies.
    Kill(String),
    /// A guest answers nothing any more, until it is started anew.
    Hang(String),
    /// The clock of a guest is wrong.
    Skew { guest: String, seconds: f64 },
}

/// What is to go wrong in calls to come.
#[derive(Debug, Default)]
pub struct Troubles(Vec<Trouble>);

/// What goes wrong with one call.
#[derive(Debug, Default, PartialEq)]
pub struct Mishap {
    pub failure: Option<Vec<String>>,
    pub delay: Option<Duration>,
    pub is_cut: bool,
    /// What happens meanwhile.
    pub deeds: Vec<Trouble>,
}

impl Trouble {
    /// Whether it waits for a call.
    pub fn is_waiting(&self) -> bool {
        matches!(self, Trouble::Fail { .. } | Trouble::Delay { .. } | Trouble::Drop { .. } | Trouble::On { .. })
    }
}

impl Troubles {
    pub fn add(&mut self, trouble: Trouble) {
        self.0.push(trouble);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn list(&self) -> impl Iterator<Item = &Trouble> {
        self.0.iter()
    }

    /// What is to go wrong with this call; each trouble is used up by it.
    pub fn strike(&mut self, method: &str) -> Mishap {
        let mut mishap = Mishap::default();
        self.0.retain_mut(|trouble| {
            let (wanted, times) = match trouble {
                Trouble::Fail { method, times, .. }
                | Trouble::Delay { method, times, .. }
                | Trouble::Drop { method, times }
                | Trouble::On { method, times, .. } => (method.as_str(), times),
                _ => return false,
            };
            let is_it = wanted == method || wanted.strip_suffix('*').is_some_and(|start| method.starts_with(start));
            if !is_it || *times == 0 {
                return *times > 0;
            }
            *times -= 1;
            let is_left = *times > 0;
            match trouble {
                Trouble::Fail { words, .. } => mishap.failure = Some(words.clone()),
                Trouble::Delay { by, .. } => mishap.delay = Some(*by),
                Trouble::On { deed, .. } => mishap.deeds.push(Trouble::clone(deed)),
                _ => mishap.is_cut = true,
            }
            is_left
        });
        mishap
    }
}

/// Reads several troubles, joined by `;`.
///
/// # Errors
/// `Malformed`, with the forms that there are.
pub fn parse(text: &str) -> Result<Vec<Trouble>> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect()
}

impl FromStr for Trouble {
    type Err = Error;

    fn from_str(text: &str) -> Result<Trouble> {
        let wrong =
            |what: &str| Error::new(Kind::Malformed, format!("`{text}` is no trouble: {what}")).help(format!("the forms: {FORMS}"));
        let (word, rest) = text.split_once(':').ok_or_else(|| wrong("no `:`"))?;
        let (rest, times) = match rest.rsplit_once(",n=") {
            Some((rest, times)) => (rest, times.trim().parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong("n is no number"))?),
            None => (rest, 1),
        };
        let (what, value) = match rest.split_once('=') {
            Some((what, value)) => (what.trim(), Some(value.trim())),
            None => (rest.trim(), None),
        };
        if what.is_empty() {
            return Err(wrong("of what?"));
        }
        let method = || {
            let is_one = what.split_once('.').is_some_and(|(class, method)| !class.is_empty() && !method.is_empty());
            if is_one { Ok(what.to_string()) } else { Err(wrong("a method is written as VM.start")) }
        };
        let duration =
            |value: Option<&str>| value.and_then(|value| unit::parse_duration(value).ok()).ok_or_else(|| wrong("how long?"));
        match (word, value) {
            ("fail", Some(words)) if !words.is_empty() => {
                Ok(Trouble::Fail { method: method()?, words: words.split('/').map(str::to_string).collect(), times })
            }
            ("fail", _) => Err(wrong("with which error?")),
            ("delay", value) => Ok(Trouble::Delay { method: method()?, by: duration(value)?, times }),
            ("on", Some(deed)) => {
                let deed: Trouble = deed.parse()?;
                if deed.is_waiting() {
                    return Err(wrong("it must be something that happens to a machine"));
                }
                Ok(Trouble::On { method: method()?, deed: Box::new(deed), times })
            }
            ("drop", None) => Ok(Trouble::Drop { method: method()?, times }),
            ("skew", Some(value)) => {
                let (sign, size) = value.strip_prefix('-').map_or((1.0, value), |size| (-1.0, size));
                Ok(Trouble::Skew { guest: what.to_string(), seconds: sign * duration(Some(size))?.as_secs_f64() })
            }
            ("power-off", None) => Ok(Trouble::PowerOff(what.to_string())),
            ("fill", None) => Ok(Trouble::Fill(what.to_string())),
            ("kill", None) => Ok(Trouble::Kill(what.to_string())),
            ("hang", None) => Ok(Trouble::Hang(what.to_string())),
            _ => Err(wrong("not one of its forms")),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Fail { method, words, times } => write!(f, "fail:{method}={},n={times}", words.join("/")),
            Trouble::Delay { method, by, times } => write!(f, "delay:{method}={}s,n={times}", by.as_secs_f64()),
            Trouble::Drop { method, times } => write!(f, "drop:{method},n={times}"),
            Trouble::On { method, deed, times } => write!(f, "on:{method}={deed},n={times}"),
            Trouble::PowerOff(host) => write!(f, "power-off:{host}"),
            Trouble::Fill(sr) => write!(f, "fill:{sr}"),
            Trouble::Kill(guest) => write!(f, "kill:{guest}"),
            Trouble::Hang(guest) => write!(f, "hang:{guest}"),
            Trouble::Skew { guest, seconds } => write!(f, "skew:{guest}={seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_troubles() {
        let text = "fail:VM.start=SR_FULL/1/2,n=2; delay:VM.*=5s;drop:VM.clean_shutdown;power-off:host1;skew:g=-30s;on:VM.start=skew:g=5s;";
        let shown: Vec<String> = parse(text).unwrap().iter().map(ToString::to_string).collect();
        let expected = [
            "fail:VM.start=SR_FULL/1/2,n=2",
            "delay:VM.*=5s,n=1",
            "drop:VM.clean_shutdown,n=1",
            "power-off:host1",
            "skew:g=-30s",
            "on:VM.start=skew:g=5s,n=1",
        ];
        assert_eq!(shown, expected);
        for wrong in [
            "x",
            "fail:VM.start",
            "fail:VM=SR_FULL",
            "delay:VM.start=x",
            "kill:",
            "boom:a",
            "drop:VM.start,n=0",
            "fill:a=b",
            "on:VM.start",
            "on:VM.start=drop:VM.stop",
        ] {
            assert!(parse(wrong).unwrap_err().to_string().contains("is no trouble"), "{wrong}");
        }
    }

    #[test]
    fn a_trouble_strikes_as_often_as_it_says() {
        let mut troubles = Troubles::default();
        parse("fail:VM.start=A,n=2;drop:VM.*").unwrap().into_iter().for_each(|trouble| troubles.add(trouble));
        assert_eq!(troubles.strike("SR.scan"), Mishap::default());
        let first = troubles.strike("VM.start");
        assert_eq!((first.failure, first.is_cut), (Some(vec!["A".to_string()]), true));
        let second = troubles.strike("VM.start");
        assert_eq!((second.failure.is_some(), second.is_cut), (true, false));
        assert_eq!(troubles.strike("VM.start"), Mishap::default());
        assert_eq!(troubles.list().count(), 0);
        troubles.add("on:VM.start=kill:g".parse().unwrap());
        assert_eq!(troubles.strike("VM.start").deeds, [Trouble::Kill("g".into())]);
        assert_eq!(troubles.strike("VM.start").deeds, []);
    }
}
