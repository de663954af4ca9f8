//! Reading a script's text from a file.

use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use std::io::Read;
use std::path::Path;

/// No script is longer; what is longer was named by mistake.
const LARGEST: u64 = 16 << 20;

/// The text of a script, without the mark that some editors put in front.
///
/// # Errors
/// `NotFound`, `Refused`; `Malformed` when it is too large or no UTF-8.
pub fn read(path: &Path) -> Result<String> {
    let doing = format!("read the script `{}`", path.display());
    let file = std::fs::File::open(path).at(&doing)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).at(&doing)?;
    let wrong = |why: String| Error::new(Kind::Malformed, format!("`{}` is no script: {why}", path.display())).blame(Blame::Author);
    if bytes.len() as u64 > LARGEST {
        return Err(wrong(format!("it is larger than {}", crate::unit::show_size(LARGEST))));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        wrong(format!("line {line} is not UTF-8"))
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_string(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_in_front_is_left_out_and_what_is_no_text_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.rhai");
        let check = |bytes: &[u8], expected: &str| {
            std::fs::write(&path, bytes).unwrap();
            let found = read(&path).unwrap_or_else(|e| e.what.rsplit(": ").next().unwrap().to_string());
            assert_eq!(found, expected);
        };
        check(b"\xef\xbb\xbffn run() {}", "fn run() {}");
        check(b"fn run() {}\r\n", "fn run() {}\r\n");
        check(b"one\ntwo \xff\n", "line 2 is not UTF-8");
        check(&vec![b' '; (LARGEST + 1) as usize], "it is larger than 16.0 MiB");
    }
}
