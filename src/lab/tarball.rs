//! Tools that a machine fetches itself, from the site's web server.

use super::command::{quote, quote_path};
use super::guest::Guest;
use super::wait::Patience;
use crate::error::{Blame, Kind, Result};
use crate::wire::Command;

/// The status by which our command says that nothing there can fetch.
const NO_FETCHER: i32 = 97;

impl Guest {
    /// Lets it fetch a `.tgz` from a web server and unpack it into a directory, which is made.
    ///
    /// # Errors
    /// `Refused`, blamed on the lab, with what was said there: no such file, no way to the server, no tarball; `Malformed` for a
    /// path that is none; `Unreachable`, `Timeout`, `Cancelled`.
    pub fn fetch_tarball(&self, url: &str, dir: &str) -> Result<()> {
        quote_path(dir)?;
        self.told(&format!("fetch {url} into {dir}"), |_| {
            let fetched = match self.windows()? {
                Some(windows) => self.heard(windows.unpack(url, dir, &self.limit("fetching of a tarball", Patience::COPY))),
                None => self.fetch_by_shell(url, dir),
            };
            fetched.map_err(|error| match error.kind {
                // The site's server or its files, not the product.
                Kind::Refused | Kind::Timeout => {
                    error.blame(Blame::Lab).help("can the machine reach the server of TEST_TARBALL_BASE?")
                }
                _ => error,
            })
        })
    }

    fn fetch_by_shell(&self, url: &str, dir: &str) -> Result<()> {
        let script = format!(
            "mkdir -p {dir} && cd {dir} || exit 1\n\
             f=.xenrt-$$.tgz; trap 'rm -f \"$f\"' EXIT\n\
             if command -v curl >/dev/null; then curl -fsSL -o \"$f\" {url}\n\
             elif command -v wget >/dev/null; then wget -q -O \"$f\" {url} || {{ echo \"wget: status $?\" >&2; false; }}\n\
             else exit {NO_FETCHER}; fi || exit 1\n\
             tar -xzf \"$f\"",
            dir = quote(dir)?,
            url = quote(url)?
        );
        let command = Command::new(&script, self.patience(Patience::COPY).limit);
        let mut output = self.run(&command)?;
        if output.status == crate::wire::Status::Exited(NO_FETCHER) {
            self.install_tool("wget")?;
            output = self.run(&command)?;
        }
        if output.is_success() { Ok(()) } else { Err(self.refused(&format!("fetch {url}"), &output)) }
    }
}
