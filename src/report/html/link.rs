//! Links from the page to files among the results: relative, and never out of them.

use std::path::{Component, Path, PathBuf};

/// Knows the way from the page to the results.
pub(super) struct Links {
    way: String,
}

impl Links {
    pub(super) fn new(results: &Path, page: &Path) -> Links {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let page = absolute(page);
        let way = relative(page.parent().unwrap_or(Path::new("/")), &absolute(results));
        Links { way: encoded(&way) }
    }

    /// The address of a file named relative to the results, if it is in them.
    pub(super) fn to(&self, file: &Path) -> Option<String> {
        let is_inside = file.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        (is_inside && !file.as_os_str().is_empty()).then(|| format!("{}{}", self.way, encoded(file)))
    }
}

/// The way from a directory to another one.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    std::iter::once(Component::CurDir).chain(up).chain(to.components().skip(shared)).collect::<PathBuf>().join("")
}

/// The path as an address has it. It cannot begin with a scheme: a colon is never left as it is.
fn encoded(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut address = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./~".contains(&byte) {
            address.push(byte as char);
        } else {
            let _ = write!(address, "%{byte:02X}");
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_and_stay_inside() {
        let beside = Links::new(Path::new("results/r1"), Path::new("results/r1/report.html"));
        let apart = Links::new(Path::new("results/r1"), Path::new("out/page.html"));
        for (file, here, there) in [
            ("a/xenrt.log", Some("./a/xenrt.log"), Some("./../results/r1/a/xenrt.log")),
            ("javascript:alert(1)", Some("./javascript%3Aalert%281%29"), Some("./../results/r1/javascript%3Aalert%281%29")),
            ("g/a#2/\"x\".txt", Some("./g/a%232/%22x%22.txt"), Some("./../results/r1/g/a%232/%22x%22.txt")),
            ("../../etc/passwd", None, None),
            ("/etc/passwd", None, None),
            ("", None, None),
        ] {
            assert_eq!(beside.to(Path::new(file)).as_deref(), here);
            assert_eq!(apart.to(Path::new(file)).as_deref(), there);
        }
    }
}
