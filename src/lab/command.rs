//! The text of a command for a machine's shell: directory, environment and user are built in, everything quoted.

use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;

/// A text as one word of a POSIX shell.
///
/// # Errors
/// `Malformed` for a text with a NUL in it, which no command line can carry.
pub(super) fn quote(text: &str) -> Result<String> {
    match shlex::try_quote(text) {
        Ok(quoted) => Ok(quoted.into_owned()),
        Err(_) => Err(Error::new(Kind::Malformed, format!("`{}` has a NUL byte in it", text.replace('\0', "\\0")))),
    }
}

/// A path as one word, safe also when it begins with `-`.
pub(super) fn quote_path(path: &str) -> Result<String> {
    if path.is_empty() {
        return Err(Error::new(Kind::Malformed, "the path is empty"));
    }
    quote(&if path.starts_with('-') { format!("./{path}") } else { path.to_string() })
}

/// What surrounds a command.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub cwd: Option<&'a str>,
    pub env: &'a BTreeMap<String, String>,
    pub user: Option<&'a str>,
}

impl Surroundings<'_> {
    /// The command inside its surroundings; unchanged when there are none.
    ///
    /// # Errors
    /// `Malformed`: a name of a variable that no shell takes, an empty directory or user, a NUL.
    pub fn around(&self, command: &str) -> Result<String> {
        let mut script = String::new();
        if let Some(dir) = self.cwd {
            script.push_str(&format!("cd {} || exit 126\n", quote_path(dir)?));
        }
        for (name, value) in self.env {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.chars().all(plain) || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(Error::new(Kind::Malformed, format!("`{name}` is not a name of a variable"))
                    .help("letters, digits and _ only, as in `env: #{ LC_ALL: \"C\" }`"));
            }
            script.push_str(&format!("export {name}={}\n", quote(value)?));
        }
        script.push_str(command);
        match self.user {
            None => Ok(script),
            Some(user) => as_user(user, &script),
        }
    }
}

/// `runuser` before `su`: util-linux's `su -c` starts a session of its own, which a job's end would miss.
fn as_user(user: &str, script: &str) -> Result<String> {
    if user.is_empty() || user.starts_with('-') {
        return Err(Error::new(Kind::Malformed, format!("`{user}` is not a user")));
    }
    let (user, script) = (quote(user)?, quote(script)?);
    Ok(format!(
        "xenrt_run={script}\n\
         if [ \"$(id -un)\" = {user} ]; then exec sh -c \"$xenrt_run\"\n\
         elif [ \"$(id -u)\" != 0 ]; then exec sudo -n -u {user} -- sh -c \"$xenrt_run\"\n\
         elif command -v runuser >/dev/null; then exec runuser -u {user} -- sh -c \"$xenrt_run\"\n\
         else exec su -s /bin/sh -c \"$xenrt_run\" {user}; fi"
    ))
}

/// A file pattern for the shell: `*`, `?` and `[…]` keep their meaning, everything else is quoted.
///
/// # Errors
/// `Malformed`: empty, or a NUL.
pub(super) fn quote_pattern(pattern: &str) -> Result<String> {
    if pattern.is_empty() || pattern.contains('\0') {
        return Err(Error::new(Kind::Malformed, "the pattern is empty or has a NUL byte in it").help("write it as /var/log/*.log"));
    }
    let mut quoted = String::new();
    if pattern.starts_with('-') {
        quoted.push_str("./");
    }
    for c in pattern.chars() {
        match c {
            '*' | '?' | '[' | ']' | '/' | '.' | '_' | '-' | '!' | ':' | '^' => quoted.push(c),
            '\n' => quoted.push_str("'\n'"),
            c if c.is_alphanumeric() => quoted.push(c),
            c => quoted.extend(['\\', c]),
        }
    }
    Ok(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(cwd: Option<&str>, env: &[(&str, &str)], user: Option<&str>) -> Result<String> {
        let env = env.iter().map(|(n, v)| ((*n).to_string(), (*v).to_string())).collect();
        Surroundings { cwd, env: &env, user }.around("echo \"$A\"; pwd")
    }

    /// What a real shell makes of it.
    fn run(script: &str) -> String {
        let output = std::process::Command::new("sh").args(["-c", script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn surroundings_survive_every_odd_character() {
        assert_eq!(around(None, &[], None).unwrap(), "echo \"$A\"; pwd");
        let odd = "a b'c\"d$e`f\\g\nh;i!j*";
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("-x 'y'\n$z");
        std::fs::create_dir(&place).unwrap();
        let place = place.to_str().unwrap();
        let me = run("id -un");
        for user in [None, Some(me.trim())] {
            assert_eq!(run(&around(Some(place), &[("A", odd)], user).unwrap()), format!("{odd}\n{place}\n"), "{user:?}");
        }
    }

    #[test]
    fn what_a_shell_cannot_take_is_refused() {
        for (cwd, env, user) in [
            (Some(""), &[][..], None),
            (None, &[("A-B", "x")][..], None),
            (None, &[("1A", "x")][..], None),
            (None, &[("", "x")][..], None),
            (None, &[("A", "x\0y")][..], None),
            (None, &[][..], Some("")),
            (None, &[][..], Some("-x")),
        ] {
            assert_eq!(around(cwd, env, user).unwrap_err().kind, Kind::Malformed, "{cwd:?} {env:?} {user:?}");
        }
    }

    #[test]
    fn a_pattern_finds_odd_names_and_runs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a b.log", "$(touch x).log", "new\nline.log", "[x].txt", "~.log"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let count = |pattern: &str| {
            let pattern = quote_pattern(&format!("{}/{pattern}", dir.path().display())).unwrap();
            run(&format!("for f in {pattern}; do [ -e \"$f\" ] && printf x; done")).len()
        };
        assert_eq!(
            [count("*.log"), count("a b.*"), count("$(touch x).log"), count("new\nline*"), count("[a-b]*"), count("none*")],
            [4, 1, 1, 1, 1, 0]
        );
        assert!(!std::path::Path::new("x").exists());
    }
}
