//! Reading a script's text from a file.

use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

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

/// A path without `..`, so that a file has one name however imports lead to it; a circle of them would never be seen otherwise.
pub fn one_name(path: PathBuf) -> PathBuf {
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    let mut short = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if matches!(short.components().next_back(), Some(Component::Normal(_))) => drop(short.pop()),
            other => short.push(other),
        }
    }
    // Behind a link to a directory, `..` is somewhere else.
    match (short.canonicalize(), path.canonicalize()) {
        (Ok(a), Ok(b)) if a == b => short,
        (_, Ok(real)) => real,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_name_whatever_leads_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::fs::create_dir_all(top.join("far/c")).unwrap();
        std::os::unix::fs::symlink(top.join("far/c"), top.join("a/link")).unwrap();
        for file in ["a/x.rhai", "far/x.rhai"] {
            std::fs::write(top.join(file), "").unwrap();
        }
        let check = |path: &str, expected: &str| assert_eq!(one_name(top.join(path)), top.join(expected), "{path}");
        check("a/x.rhai", "a/x.rhai");
        check("a/b/../x.rhai", "a/x.rhai");
        check("a/b/../../a/b/../x.rhai", "a/x.rhai");
        check("a/link/../x.rhai", "far/x.rhai");
        check("a/b/../none.rhai", "a/b/../none.rhai");
        assert_eq!(one_name("../../x".into()), PathBuf::from("../../x"));
    }

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
