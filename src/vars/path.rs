//! Names of variables as paths: `CLIOPTIONS/PAUSE_ON_FAIL/TCReboot`, also written with colons.

use crate::error::{Blame, Error, Kind, Result};
use std::borrow::Cow;

/// The one way a name is kept: with slashes.
pub fn normal(name: &str) -> Cow<'_, str> {
    if name.contains(':') { name.replace(':', "/").into() } else { name.into() }
}

/// Whether a name can be that of a variable: no part of it is empty, and nothing in it would end it where names are written.
///
/// # Errors
/// `Malformed`, blamed on the user.
pub fn checked(name: &str) -> Result<Cow<'_, str>> {
    let path = normal(name);
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || "%${}=".contains(c);
    let why = if path.is_empty() {
        "a variable needs a name".to_string()
    } else if path.split('/').any(str::is_empty) {
        format!("`{name}` is no name of a variable: a part of it is empty")
    } else if let Some(bad) = path.chars().find(|c| is_bad(*c)) {
        format!("`{}` is no name of a variable: {} cannot be in it", name.escape_debug(), shown(bad))
    } else {
        return Ok(path);
    };
    let error = Error::new(Kind::Malformed, why).blame(Blame::User);
    Err(error.help("names are such as EXTRA_TIME, or paths such as CLIOPTIONS/PAUSE_ON_FAIL/ALL"))
}

fn shown(c: char) -> String {
    if c.is_whitespace() || c.is_control() { "a blank".into() } else { format!("`{c}`") }
}

/// The names above a path, from the outermost: `A`, `A/B` for `A/B/C`.
pub fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}
