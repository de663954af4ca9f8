//! The directory that the results of a run are put into.

use crate::error::{Result, Whereabouts};
use crate::time::Timestamp;
use std::path::{Path, PathBuf};

/// Where the results of a run are.
pub struct Results {
    pub run: String,
    pub dir: PathBuf,
}

impl Results {
    /// Makes `<below>/<start time>-<short id>/` and points `<below>/latest` at it.
    ///
    /// # Errors
    /// Of the file system.
    pub fn make(below: &Path) -> Result<Results> {
        let unique = format!("{}-{}", std::process::id(), Timestamp::now());
        let run = format!("{}-{:06x}", Timestamp::now().file_form(), crate::name::fingerprint(&unique) & 0x00ff_ffff);
        let dir = below.join(&run);
        std::fs::create_dir_all(below).at(format_args!("make the directory `{}`", below.display()))?;
        std::fs::create_dir(&dir).at(format_args!("make the directory `{}`", dir.display()))?;
        point_at(below, &run)?;
        Ok(Results { run, dir })
    }

    /// The results of a run that goes on. `latest` beside them points at them, if there is one.
    ///
    /// # Errors
    /// Of the file system.
    pub fn again(run: &str, dir: &Path, cwd: &Path) -> Result<Results> {
        if let (Some(below), Some(name)) = (dir.parent(), dir.file_name().and_then(|name| name.to_str()))
            && below.join("latest").is_symlink()
        {
            point_at(below, name)?;
        }
        // Short where it can be: reports show it.
        Ok(Results { run: run.to_string(), dir: dir.strip_prefix(cwd).unwrap_or(dir).to_path_buf() })
    }
}

/// Points `<below>/latest` at the results of a run.
fn point_at(below: &Path, name: &str) -> Result<()> {
    // Made beside and renamed, so that it always points somewhere, also when two runs begin at once.
    let fresh = below.join(format!(".latest-{name}"));
    std::os::unix::fs::symlink(name, &fresh)
        .and_then(|()| std::fs::rename(&fresh, below.join("latest")))
        .at(format_args!("point `{}` at the results", below.join("latest").display()))
}
