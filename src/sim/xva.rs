//! The format of exported VMs: a tar whose first file is `ova.xml`, the records; then each disk in blocks of a mebibyte, those of zeroes
//! left out but for the first and the last, each followed by its checksum.

use super::failure::{Failure, Outcome};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

const BLOCK: u64 = 1 << 20;

/// The largest `ova.xml`.
const LARGEST_RECORDS: u64 = 16 << 20;

/// The largest disk that is taken, and the most disks.
const LARGEST_DISK: u64 = 2 << 40;
const MOST_DISKS: usize = 64;

/// A disk that is exported.
pub struct Disk {
    /// "Ref:5".
    pub id: String,
    /// Bytes of the whole disk.
    pub size: u64,
    pub image: File,
}

/// Writes a VM.
///
/// # Errors
/// Those of the writer and of the images.
pub fn write(to: impl Write, records: &str, disks: &[Disk], mut progress: impl FnMut(f64)) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    add(&mut archive, "ova.xml", records.as_bytes())?;
    for (number, disk) in disks.iter().enumerate() {
        let last = disk.size.div_ceil(BLOCK).max(1) - 1;
        let used = disk.image.metadata()?.len().div_ceil(BLOCK);
        for block in (0..used.clamp(1, last + 1)).chain((used.max(1) <= last).then_some(last)) {
            let length = BLOCK.min(disk.size.saturating_sub(block * BLOCK)).max(1);
            let mut data = vec![0; usize::try_from(length).unwrap_or_default()];
            fill(&disk.image, &mut data, block * BLOCK)?;
            if block != 0 && block != last && data.iter().all(|byte| *byte == 0) {
                continue;
            }
            let name = format!("{}/{block:08}", disk.id);
            add(&mut archive, &name, &data)?;
            add(&mut archive, &format!("{name}.xxhash"), format!("{:016x}", xxh64(&data)).as_bytes())?;
        }
        progress((number + 1) as f64 / disks.len() as f64);
    }
    archive.finish()
}

fn fill(image: &File, data: &mut [u8], start: u64) -> io::Result<()> {
    let mut done = 0;
    while done < data.len() {
        match image.read_at(&mut data[done..], start + done as u64)? {
            0 => return Ok(()),
            read => done += read,
        }
    }
    Ok(())
}

fn add(archive: &mut tar::Builder<impl Write>, name: &str, data: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(data.len() as u64);
    header.set_mode(0o400);
    header.set_mtime(0);
    archive.append_data(&mut header, name, data)
}

/// What was read: the records, and the disks by their id.
pub type Contents = (String, BTreeMap<String, File>);

/// Reads a VM.
///
/// # Errors
/// `IMPORT_ERROR` for what is no such image, or one that was damaged.
pub fn read(from: impl Read) -> Outcome<Contents> {
    let wrong = |why: &dyn std::fmt::Display| Failure::new("IMPORT_ERROR", [why.to_string()]);
    let mut archive = tar::Archive::new(from);
    let mut records = None;
    let mut disks: BTreeMap<String, File> = BTreeMap::new();
    let mut sum = None;
    for entry in archive.entries().map_err(|e| wrong(&e))? {
        let entry = entry.map_err(|e| wrong(&e))?;
        let path = entry.path().map_err(|e| wrong(&e))?.to_string_lossy().into_owned();
        let Some((id, block)) = path.split_once('/') else {
            if path != "ova.xml" || records.is_some() {
                return Err(wrong(&format_args!("`{path}` has no place in an image")));
            }
            let mut text = String::new();
            entry.take(LARGEST_RECORDS).read_to_string(&mut text).map_err(|e| wrong(&e))?;
            records = Some(text);
            continue;
        };
        if records.is_none() {
            return Err(wrong(&"ova.xml is not the first file"));
        }
        if block.ends_with(".xxhash") || block.ends_with(".checksum") {
            let mut told = String::new();
            entry.take(128).read_to_string(&mut told).map_err(|e| wrong(&e))?;
            let is_ours = block.ends_with(".xxhash");
            if sum.take().is_some_and(|sum| is_ours && told.trim() != format!("{sum:016x}")) {
                return Err(wrong(&format_args!("the checksum of `{path}` is not that of its block")));
            }
            continue;
        }
        let number: u64 = block.parse().map_err(|_| wrong(&format_args!("`{path}` is no block")))?;
        let start = number.checked_mul(BLOCK).filter(|start| *start < LARGEST_DISK);
        let start = start.ok_or_else(|| wrong(&format_args!("`{path}` is beyond every disk")))?;
        let mut data = Vec::new();
        entry.take(BLOCK).read_to_end(&mut data).map_err(|e| wrong(&e))?;
        sum = Some(xxh64(&data));
        if !disks.contains_key(id) {
            if disks.len() >= MOST_DISKS {
                return Err(wrong(&"too many disks"));
            }
            disks.insert(id.to_string(), tempfile::tempfile().map_err(|e| wrong(&e))?);
        }
        // Zeroes stay holes.
        if let Some(file) = disks.get(id).filter(|_| data.iter().any(|byte| *byte != 0)) {
            file.write_all_at(&data, start).map_err(|e| wrong(&e))?;
        }
    }
    Ok((records.ok_or_else(|| wrong(&"there is no ova.xml"))?, disks))
}

/// The checksum of a block: XXH64 with seed 0.
fn xxh64(data: &[u8]) -> u64 {
    const P: [u64; 5] =
        [0x9e37_79b1_85eb_ca87, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x85eb_ca77_c2b2_ae63, 0x27d4_eb2f_1656_67c5];
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    let round = |sum: u64, input: u64| sum.wrapping_add(input.wrapping_mul(P[1])).rotate_left(31).wrapping_mul(P[0]);
    let mut lanes = [P[0].wrapping_add(P[1]), P[1], 0, 0u64.wrapping_sub(P[0])];
    let mut stripes = data.chunks_exact(32);
    for stripe in stripes.by_ref() {
        for (lane, bytes) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
            *lane = round(*lane, word(bytes));
        }
    }
    let mut hash = if data.len() >= 32 {
        let turns = [1, 7, 12, 18];
        let start = lanes.iter().zip(turns).fold(0u64, |hash, (lane, turn)| hash.wrapping_add(lane.rotate_left(turn)));
        lanes.iter().fold(start, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(P[0]).wrapping_add(P[3]))
    } else {
        P[4]
    };
    hash = hash.wrapping_add(data.len() as u64);
    let mut rest = stripes.remainder();
    while let Some((bytes, tail)) = rest.split_at_checked(8) {
        hash = (hash ^ round(0, word(bytes))).rotate_left(27).wrapping_mul(P[0]).wrapping_add(P[3]);
        rest = tail;
    }
    if let Some((bytes, tail)) = rest.split_at_checked(4) {
        hash = (hash ^ word(bytes).wrapping_mul(P[0])).rotate_left(23).wrapping_mul(P[1]).wrapping_add(P[2]);
        rest = tail;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(P[4])).rotate_left(11).wrapping_mul(P[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(P[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(P[2]);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(xxh64(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc"), 0x44bc_2cf5_ad77_0999);
        assert_eq!(xxh64(b"Nobody inspects the spammish repetition"), 0xfbce_a83c_8a37_8bf1);
    }

    fn written() -> Vec<u8> {
        let image = tempfile::tempfile().unwrap();
        image.write_all_at(b"first", 0).unwrap();
        image.write_all_at(b"third", 2 * BLOCK).unwrap();
        let mut out = Vec::new();
        write(&mut out, "<records/>", &[Disk { id: "Ref:4".into(), size: 5 * BLOCK, image }], |_| ()).unwrap();
        out
    }

    #[test]
    fn an_image_is_read_back_and_has_no_blocks_of_zeroes() {
        let out = written();
        let names: Vec<String> = tar::Archive::new(&out[..])
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .filter(|name| !name.ends_with(".xxhash"))
            .collect();
        assert_eq!(names, ["ova.xml", "Ref:4/00000000", "Ref:4/00000002", "Ref:4/00000004"]);
        let (records, disks) = read(&out[..]).unwrap();
        assert_eq!(records, "<records/>");
        let mut data = [0; 5];
        disks["Ref:4"].read_exact_at(&mut data, 2 * BLOCK).unwrap();
        assert_eq!(&data, b"third");
    }

    #[test]
    fn a_damaged_image_is_refused() {
        let mut out = written();
        let at = out.windows(5).position(|w| w == b"third").unwrap();
        out[at] = b'T';
        assert_eq!(read(&out[..]).unwrap_err().code, "IMPORT_ERROR");
        for wrong in [&b"no tar at all"[..], &[], &out[..600]] {
            assert_eq!(read(wrong).unwrap_err().code, "IMPORT_ERROR");
        }
    }
}
