//! Which run is meant: by its address, its results, or what it wrote down of itself on this machine.

use crate::cli::Io;
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::interact::{Address, URL};
use std::path::Path;

/// Finds the run that a word means: a URL with its token, `HOST:PORT`, a directory of results, or a file with the URL.
///
/// # Errors
/// `NotFound`: there is no such run, or its token is not on this machine; `Malformed`.
pub fn find(io: &Io, word: &str) -> Result<Address> {
    if word.starts_with("http://") {
        return Address::parse(word);
    }
    let path = Path::new(word);
    let file = if path.is_dir() { path.join(URL) } else { path.to_path_buf() };
    if file.is_file() {
        return read(&file);
    }
    if path.is_dir() {
        let error = Error::new(Kind::NotFound, format!("no `{URL}` in `{word}`")).blame(Blame::User);
        return Err(error.help("it is there as long as a run of this version goes on"));
    }
    let port = word.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let Some(port) = port else {
        let error =
            Error::new(Kind::Malformed, format!("`{word}` is neither HOST:PORT nor the results of a run")).blame(Blame::User);
        return Err(error.help("xrt prints the address when it starts; job ids come with the job server"));
    };
    let mut address = read(&io.runs_dir().join(format!("{port}.url"))).map_err(|_| {
        let error = Error::new(Kind::NotFound, format!("no run at {word} whose token is known on this machine")).blame(Blame::User);
        error.help(format!("for a run elsewhere, give the URL that is in `{URL}` of its results"))
    })?;
    // A forwarded port is reached by the name that was given.
    address.authority = word.to_string();
    Ok(address)
}

fn read(file: &Path) -> Result<Address> {
    let text = std::fs::read_to_string(file).at(format_args!("read `{}`", file.display()))?;
    Address::parse(&text)
}
