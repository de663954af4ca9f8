//! Where a run can be steered, and by whom: `http://xrt:TOKEN@127.0.0.1:40123/`.
//!
//! The token is made anew for each run and stands only in two files of its results, which nobody but their owner may read.

use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::secret::Secret;
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file with the URL that may do everything.
pub const URL: &str = "interact.url";

/// The file with the URL that may only look.
pub const READ_ONLY: &str = "interact.read.url";

/// Whose name a caller has who says none.
pub const NOBODY: &str = "xrt";

/// A server and the token for it.
#[derive(Clone, Debug)]
pub struct Address {
    /// Host and port.
    pub authority: String,
    /// Who calls.
    pub user: String,
    pub token: Secret,
}

impl Address {
    pub fn new(at: SocketAddr, token: Secret) -> Address {
        Address { authority: at.to_string(), user: NOBODY.into(), token }
    }

    /// Reads `http://USER:TOKEN@HOST:PORT/`.
    ///
    /// # Errors
    /// `Malformed`, blamed on the user.
    pub fn parse(text: &str) -> Result<Address> {
        let wrong =
            |what: &str| Error::new(Kind::Malformed, format!("{what}; expected http://xrt:TOKEN@HOST:PORT/")).blame(Blame::User);
        let rest = text.trim().strip_prefix("http://").ok_or_else(|| wrong("no address of a run"))?;
        let (who, rest) = rest.split_once('@').ok_or_else(|| wrong("the address has no token"))?;
        let (user, token) = who.split_once(':').ok_or_else(|| wrong("the address has no token"))?;
        let authority = rest.split('/').next().unwrap_or_default().to_string();
        if !authority.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
            return Err(wrong("the address has no port"));
        }
        Ok(Address { authority, user: user.into(), token: Secret::new(token) })
    }

    /// The whole URL, secret and all: for files of its owner.
    pub fn url(&self) -> String {
        format!("http://{}:{}@{}/", self.user, self.token.reveal(), self.authority)
    }
}

/// Writes the URL into a file that only its owner may read, in place of an older one, until what is returned is dropped.
///
/// # Errors
/// Of the file system.
pub fn remember(path: &Path, address: &Address) -> Result<Remembered> {
    let doing = || format!("write `{}`", path.display());
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).at(doing())?;
    }
    // Made anew, so that it never has the rights of an older one.
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).at(doing()),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).at(doing())?;
    writeln!(file, "{}", address.url()).at(doing())?;
    Ok(Remembered(path.to_path_buf()))
}

/// A file with a URL, as long as the run goes on.
pub struct Remembered(PathBuf);

impl Drop for Remembered {
    fn drop(&mut self) {
        // Nobody can be told; it opens nothing any more, and the next run there replaces it.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_was_written() {
        let address = Address::new("127.0.0.1:40123".parse().unwrap(), Secret::new("s3cret"));
        assert_eq!(address.url(), "http://xrt:s3cret@127.0.0.1:40123/");
        let read = Address::parse(" http://jane:s3cret@h1.example:99/x\n").unwrap();
        assert_eq!((read.user.as_str(), read.token.reveal(), read.authority.as_str()), ("jane", "s3cret", "h1.example:99"));
        assert!(!format!("{read:?}").contains("s3cret"));
        for wrong in
            ["", "127.0.0.1:1", "http://127.0.0.1:1/", "http://xrt@127.0.0.1:1/", "http://xrt:t@127.0.0.1/", "http://xrt:t@:1"]
        {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
