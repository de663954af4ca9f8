//! A guest that runs Windows: the same verbs as elsewhere by other means, and those that only Windows has.
//!
//! A guest is Windows when what answers inside says so (see [`Transport::windows`](crate::wire::Transport::windows)). Each method of a
//! guest that is made of POSIX shell looks for that first; what cannot be had there says so by [`Guest::needs_posix`].

mod facts;
mod files;
mod job;
mod logs;
mod power;
mod processes;
mod verbs;

use super::command::Surroundings;
use super::guest::Guest;
use super::wait::Patience;
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Cancel;
use crate::wire::windows::{Windows, quote_path};
use std::sync::Arc;

pub(super) use facts::is_same_boot;
pub(super) use files::{is_windows_path, why_not_removed};
pub(super) use power::look;
pub(super) use processes::image;

impl Guest {
    /// The verbs of Windows, where the guest runs it. It is asked if that is not known yet.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`, `Refused`.
    pub(super) fn windows(&self) -> Result<Option<Arc<dyn Windows>>> {
        let limit = self.question("what it runs");
        match self.place().transport().windows(&limit) {
            // Only a machine that was asked has answered.
            Ok(known) => Ok(known),
            Err(error) => self.heard(Err(error)),
        }
    }

    /// Whether it runs Windows.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`, `Refused`: nobody knows.
    pub fn is_windows(&self) -> Result<bool> {
        Ok(self.windows()?.is_some())
    }

    /// For what is made of POSIX shell.
    ///
    /// # Errors
    /// `Unsupported` on Windows; those of [`Guest::is_windows`].
    pub(super) fn needs_posix(&self) -> Result<()> {
        if !self.is_windows()? {
            return Ok(());
        }
        let what = format!("this needs a POSIX shell, and {} runs Windows", self.name());
        let error = Error::new(Kind::Unsupported, what).blame(Blame::User);
        Err(error.help("look first: `if vm.is_windows { skip(\"needs a POSIX shell\"); }`"))
    }

    /// For what only Windows has.
    ///
    /// # Errors
    /// `Unsupported` elsewhere; those of [`Guest::is_windows`].
    fn needs_windows(&self) -> Result<Arc<dyn Windows>> {
        self.windows()?.ok_or_else(|| {
            let what = format!("this needs Windows, and {} runs something else", self.name());
            Error::new(Kind::Unsupported, what)
                .blame(Blame::User)
                .help("look first: `if !vm.is_windows { skip(\"needs Windows\"); }`")
        })
    }

    /// A flag for a question that is answered at once.
    fn question(&self, what: &str) -> Cancel {
        self.limit(what, Patience::QUESTION)
    }
}

/// Batch text in its surroundings.
///
/// # Errors
/// `Malformed` for what `cmd.exe` cannot take; `Unsupported` for another user.
pub(super) fn batch_around(surroundings: &Surroundings<'_>, command: &str) -> Result<String> {
    let mut batch = String::new();
    if surroundings.user.is_some() {
        let what = "the option `user` needs a POSIX shell: on Windows, commands run as who is logged in";
        return Err(Error::new(Kind::Unsupported, what).blame(Blame::User));
    }
    if let Some(dir) = surroundings.cwd {
        batch.push_str(&format!("cd /d {} || exit /b 126\n", quote_path(dir)?));
    }
    for (name, value) in surroundings.env {
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_()".contains(c));
        if !is_name || value.contains(['"', '\n', '\r', '\0']) {
            return Err(Error::new(Kind::Malformed, format!("`{name}` cannot be set to that by `cmd.exe`"))
                .help("letters, digits and _ in the name; no quotes and no newlines in the value"));
        }
        batch.push_str(&format!("set \"{name}={}\"\n", value.replace('%', "%%")));
    }
    batch.push_str(command);
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn batch_text_gets_its_surroundings() {
        let env: BTreeMap<String, String> = [("A".to_string(), "50% of $x".to_string())].into();
        let around = Surroundings { cwd: Some(r"c:\a b"), env: &env, user: None };
        let batch = batch_around(&around, "echo %A%").unwrap();
        assert_eq!(batch, "cd /d \"c:\\a b\" || exit /b 126\nset \"A=50%% of $x\"\necho %A%");
        let none = BTreeMap::new();
        let user = Surroundings { cwd: None, env: &none, user: Some("x") };
        assert_eq!(batch_around(&user, "x").unwrap_err().kind, Kind::Unsupported);
        for (name, value) in [("", "x"), ("A B", "x"), ("A", "a\"b"), ("A", "a\nb")] {
            let env: BTreeMap<String, String> = [(name.to_string(), value.to_string())].into();
            let odd = Surroundings { cwd: None, env: &env, user: None };
            assert_eq!(batch_around(&odd, "x").unwrap_err().kind, Kind::Malformed, "{name}={value}");
        }
    }
}
