//! XAPI's errors: a code and its parameters, all of them words.

use std::fmt;

/// What a call ends with.
pub type Outcome<T> = Result<T, Failure>;

/// An error as XAPI says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: String,
    pub params: Vec<String>,
}

impl Failure {
    pub fn new<T: ToString>(code: &str, params: impl IntoIterator<Item = T>) -> Failure {
        Failure { code: code.to_string(), params: params.into_iter().map(|p| p.to_string()).collect() }
    }

    /// One without parameters.
    pub fn bare(code: &str) -> Failure {
        Failure { code: code.to_string(), params: Vec::new() }
    }

    /// A fault of the simulator itself.
    pub fn internal(what: impl fmt::Display) -> Failure {
        Failure::new("INTERNAL_ERROR", [what])
    }

    /// The code and the parameters, as they go over the wire.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.code.as_str()).chain(self.params.iter().map(String::as_str))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        if !self.params.is_empty() {
            write!(f, ": {}", self.params.join(", "))?;
        }
        Ok(())
    }
}
