//! Passwords and tokens: values that never show themselves, and the mask that keeps their text out of everything written.

use std::fmt;
use std::sync::{Arc, RwLock};

/// What stands in the place of a secret.
pub const MASK: &str = "••••••";

/// The password that every XenRT-style guest has (user guide, "Running benchmarks in a VM"). Public, so never masked.
pub const WELL_KNOWN_PASSWORD: &str = "xensource";

/// A text that is never printed. [`Secret::reveal`] is for the one call that sends it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Whether a variable of this name holds a secret: `DB_PASSWORD`, `API/TOKEN`, `ACCESS_KEY`.
pub fn names_a_secret(name: &str) -> bool {
    const SIGNS: [&str; 6] = ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL"];
    let name = name.to_ascii_uppercase();
    // A key is one as a word of its own; many other words have these letters.
    let words: Vec<&str> = name.split(['_', '/', ':', '-', '.']).collect();
    let is_key = words.iter().any(|word| ["KEY", "KEYS", "APIKEY"].contains(word)) && !words.contains(&"PUBLIC");
    is_key || SIGNS.iter().any(|sign| name.contains(sign))
}

/// The secrets of a run. Shared: one learnt later is masked from then on.
#[derive(Clone, Default)]
pub struct Mask(Arc<RwLock<Vec<String>>>);

impl Mask {
    /// Learns a secret. Too short a text would mask everything, and the well-known password is no secret.
    pub fn learn(&self, secret: &Secret) {
        let text = secret.reveal();
        if text.chars().count() < 4 || text == WELL_KNOWN_PASSWORD {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // As JSON has it too: the event log is written in that form.
        let quoted = serde_json::to_string(text).unwrap_or_default();
        for form in [text, quoted.trim_matches('"')] {
            if !known.iter().any(|k| k == form) {
                known.push(form.to_string());
            }
        }
        known.sort_by_key(|k| std::cmp::Reverse(k.len()));
    }

    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    /// The text with every secret replaced, or nothing when there was none in it.
    pub fn apply(&self, text: &str) -> Option<String> {
        let known = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut masked = None;
        for secret in known.iter() {
            let current = masked.as_deref().unwrap_or(text);
            if current.contains(secret.as_str()) {
                masked = Some(current.replace(secret.as_str(), MASK));
            }
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let secret = Secret::new("hunter22");
        assert!(!format!("{secret:?} {secret}").contains("hunter"));
        let mask = Mask::default();
        mask.learn(&secret);
        mask.learn(&Secret::new("hunter22-longer"));
        assert_eq!(mask.apply("ssh hunter22-longer and hunter22").unwrap(), format!("ssh {MASK} and {MASK}"));
        assert_eq!(mask.apply("nothing here"), None);
    }

    #[test]
    fn a_secret_is_known_by_its_name() {
        for (name, expected) in [
            ("DB_PASSWORD", true),
            ("API/token", true),
            ("RootPasswords", true),
            ("ACCESS_KEY", true),
            ("PUBLIC_KEY", false),
            ("KEYBOARD", false),
            ("PASS_CRITERIA", false),
        ] {
            assert_eq!(names_a_secret(name), expected, "{name}");
        }
    }

    #[test]
    fn the_public_password_and_short_ones_do_not_blind_the_log() {
        let mask = Mask::default();
        for text in ["xensource", "a", ""] {
            mask.learn(&Secret::new(text));
        }
        assert!(mask.is_empty());
    }
}
