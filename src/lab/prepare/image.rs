//! Images to import: files of the controller, and what a web server gives.

use crate::error::{Result, Whereabouts};
use crate::time::Cancel;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Opens an image, and says how large it is if that is known.
///
/// # Errors
/// `NotFound`: there is no such file; `Unsupported`: a way to it, or a kind of image, that there is not.
pub fn open(file: &str, _cancel: &Cancel) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
    let place = || format!("read the image `{file}`");
    let opened = File::open(Path::new(file)).at(place())?;
    let bytes = opened.metadata().at(place())?.len();
    Ok((Box::new(opened), Some(bytes)))
}
