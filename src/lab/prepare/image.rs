//! Images to import: files of the controller, and what a web server gives.

use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::lab::download;
use crate::time::Cancel;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

/// Disks without a VM around them.
const DISKS: [&str; 5] = ["img", "qcow2", "raw", "vhd", "vmdk"];

/// Opens an image, and says how large it is. What a web server has is fetched first; `told` hears how many bytes have come.
///
/// # Errors
/// `NotFound`: there is no such file; `Unsupported`: a way to it, or a kind of image, that there is not.
pub fn open(file: &str, told: &dyn Fn(u64), cancel: &Cancel) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
    let ending = file.rsplit('.').next().unwrap_or_default().to_lowercase();
    if DISKS.contains(&ending.as_str()) {
        let error = Error::new(Kind::Unsupported, format!("`{file}` is a disk, and not a VM")).blame(Blame::Author);
        return Err(error.help("make a VM of it and export that: a VM is imported from an XVA"));
    }
    let place = || format!("read the image `{file}`");
    let opened = match file.split_once("://") {
        None => File::open(Path::new(file)).at(place())?,
        Some(("http" | "https", _)) => fetched(file, told, cancel)?,
        Some((scheme, _)) => {
            let error = Error::new(Kind::Unsupported, format!("`{file}`: images are not fetched by {scheme}")).blame(Blame::Author);
            return Err(error.help("give a file of the controller, or an address that begins with http:// or https://"));
        }
    };
    let bytes = opened.metadata().at(place())?.len();
    Ok((Box::new(opened), Some(bytes)))
}

/// What a web server has, in a file without a name.
fn fetched(url: &str, told: &dyn Fn(u64), cancel: &Cancel) -> Result<File> {
    let mut file = tempfile::tempfile().at("make a file for an image")?;
    download::fetch(url, &mut file, told, cancel)?;
    file.rewind().at("read an image")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_addresses_are_opened_and_everything_else_refused() {
        let open = |file: &str| super::open(file, &|_| (), &Cancel::new());
        let server = crate::wire::serve::Server::start("127.0.0.1:0".parse().unwrap()).unwrap();
        server.put("/a.xva", "an image");
        let at = |path: &str| format!("http://127.0.0.1:{}{path}", server.port());
        let (mut reader, bytes) = open(&at("/a.xva")).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), bytes), ("an image", Some(8)));
        for (file, what) in [
            (at("/b.xva"), "the server answers 404"),
            ("/nowhere/a.xva".into(), "`/nowhere/a.xva`"),
            ("nfs://s/a.xva".into(), "images are not fetched by nfs"),
            ("a.vhd".into(), "is a disk, and not a VM"),
        ] {
            let error = open(&file).err().unwrap();
            assert!(error.what.contains(what), "{}", error.what);
        }
    }
}
