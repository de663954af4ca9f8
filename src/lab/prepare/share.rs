//! Where the storage is that a sequence asks for: its type and words, and what the site says, become what an SR is made of.
//!
//! To add a type of storage: an arm in `options`, and its row in `lab/storage.rs`.

use super::site::Site;
use crate::error::{Blame, Error, Kind, Result};
use crate::lab::storage::{Sort, sort};
use crate::sequence::topology::{Storage, StorageOption};
use std::collections::BTreeMap;

/// Where a site keeps its shares and LUNs. Below each stands a name of the site's own.
const NFS: &str = "EXTERNAL_NFS_SERVERS/";
const SMB: &str = "EXTERNAL_SMB_SERVERS/";
const ISCSI: &str = "ISCSI_LUNS/";
const FC: &str = "FC_LUNS/";

/// What an SR is made of: its type, and its options by the names of that type.
pub struct Share {
    pub sort: &'static Sort,
    pub options: BTreeMap<String, String>,
}

/// The type of an SR as the toolstack knows it, or why it cannot be made.
pub fn kind(storage: &Storage) -> Result<&'static Sort> {
    if let Ok(found) = sort(&storage.sort) {
        return Ok(found);
    }
    let error = Error::new(Kind::Unsupported, format!("storage of type {} cannot be made", storage.sort)).blame(Blame::User);
    Err(error.help("products of today no longer have it; make the SR by hand and give --nohostprepare"))
}

/// What an SR is made of. `number` counts the SRs that take of the same LUNs.
///
/// # Errors
/// `Unsupported`: a type or an option that there is no way to; `NotFound` with the variable that the site does not set.
pub fn share(storage: &Storage, number: usize, site: Site<'_>) -> Result<Share> {
    let sort = kind(storage)?;
    let mut options = match sort.name {
        "nfs" => nfs(storage, site)?,
        "smb" => smb(site)?,
        "lvmoiscsi" | "extoiscsi" => iscsi(number, site)?,
        "fc" | "fcoe" => fabric(number, site)?,
        "ext" | "lvm" | "file" => device(storage, sort.name)?,
        _ => BTreeMap::new(),
    };
    for option in &storage.options {
        match option {
            StorageOption::V4 => put(&mut options, "version", "4"),
            StorageOption::NoSubdirectory => put(&mut options, "no_subdirectory", "true"),
            StorageOption::Thin => put(&mut options, "allocation", "thin"),
            // Where the frames are made large is the network; how many initiators there are is the host's.
            StorageOption::Jumbo | StorageOption::InitiatorCount(_) | StorageOption::CifsUser | StorageOption::Other(_) => {}
            other => return Err(unsupported(storage, other)),
        }
    }
    Ok(Share { sort, options })
}

/// The installation images of a site: `server:/path`.
pub fn isos(site: Site<'_>) -> Result<Option<Share>> {
    let location = site.value("EXPORT_ISO_NFS")?;
    let sort = sort("iso")?;
    Ok(location.map(|location| Share { sort, options: BTreeMap::from([("location".to_string(), location)]) }))
}

fn put(options: &mut BTreeMap<String, String>, name: &str, value: &str) {
    options.insert(name.to_string(), value.to_string());
}

fn unsupported(storage: &Storage, option: &StorageOption) -> Error {
    let word = match option {
        StorageOption::Iet => "iet",
        StorageOption::IetVm => "ietvm",
        StorageOption::MppRdac => "mpprdac",
        StorageOption::FileSr => "filesr",
        StorageOption::Vm => "vm",
        StorageOption::OnHost { .. } => "host-<n>",
        StorageOption::ThinInitial(_) => "thin_init",
        StorageOption::ThinQuantum(_) => "thin_quan",
        _ => "options",
    };
    let error = Error::new(Kind::Unsupported, format!("storage {} with the option {word} cannot be made", storage.name));
    error.blame(Blame::User).help("make the SR by hand and give --nohostprepare, or leave the option out")
}

/// The values of one thing of the site, by the names of the SR's options; the first three are needed.
fn values(site: Site<'_>, path: &str, name: &str, rows: &[(&str, &str, &str)]) -> Result<BTreeMap<String, String>> {
    let mut options = BTreeMap::new();
    for (option, variable, example) in rows {
        let variable = format!("{path}{name}/{variable}");
        match site.value(&variable)? {
            Some(value) => put(&mut options, option, &value),
            None if example.is_empty() => {}
            None => return Err(site.missing(&variable, example)),
        }
    }
    Ok(options)
}

/// The first server, or the name that one would have.
fn server(site: Site<'_>, path: &str) -> String {
    site.names(path).into_iter().next().unwrap_or_else(|| "server1".into())
}

fn nfs(storage: &Storage, site: Site<'_>) -> Result<BTreeMap<String, String>> {
    if let Some(option) = storage.options.iter().find(|option| matches!(option, StorageOption::OnHost { .. })) {
        return Err(unsupported(storage, option));
    }
    values(site, NFS, &server(site, NFS), &[("server", "ADDRESS", "nfs.example.org"), ("path", "BASE", "/export/xenrt")])
}

fn smb(site: Site<'_>) -> Result<BTreeMap<String, String>> {
    let name = server(site, SMB);
    let rows = [
        ("server", "ADDRESS", "smb.example.org"),
        ("share", "BASE", "xenrt"),
        ("username", "USER", ""),
        ("password", "PASSWORD", ""),
    ];
    let mut options = values(site, SMB, &name, &rows)?;
    let share = options.remove("share").unwrap_or_default();
    if let Some(server) = options.get_mut("server") {
        *server = format!("//{server}/{}", share.trim_start_matches('/'));
    }
    Ok(options)
}

/// The LUN of this number, in the order of the site's names.
fn lun(site: Site<'_>, path: &str, number: usize, example: (&str, &str)) -> Result<String> {
    let names = site.names(path);
    match names.get(number) {
        Some(name) => Ok(name.clone()),
        None if names.is_empty() => Err(site.missing(&format!("{path}lun1/{}", example.0), example.1)),
        None => {
            let path = path.trim_end_matches('/');
            let what = format!("the site has {} below `{path}`, and number {} is asked for", count(names.len()), number + 1);
            Err(Error::new(Kind::NotFound, what).blame(Blame::User).help(format!("set {path}/lun{}/{} too", number + 1, example.0)))
        }
    }
}

fn count(luns: usize) -> String {
    if luns == 1 { "one LUN".into() } else { format!("{luns} LUNs") }
}

fn iscsi(number: usize, site: Site<'_>) -> Result<BTreeMap<String, String>> {
    let name = lun(site, ISCSI, number, ("ADDRESS", "iscsi.example.org"))?;
    let rows = [
        ("target", "ADDRESS", "iscsi.example.org"),
        ("iqn", "TARGET_NAME", ""),
        ("scsi_id", "SCSIID", ""),
        ("port", "PORT", ""),
        ("lun", "LUN_ID", ""),
        ("chap_user", "CHAP/USERNAME", ""),
        ("chap_password", "CHAP/PASSWORD", ""),
    ];
    values(site, ISCSI, &name, &rows)
}

fn fabric(number: usize, site: Site<'_>) -> Result<BTreeMap<String, String>> {
    let name = lun(site, FC, number, ("SCSIID", "3600a098038303053"))?;
    values(site, FC, &name, &[("scsi_id", "SCSIID", "3600a098038303053")])
}

/// A disk of the host, as the option of free form says it.
fn device(storage: &Storage, sort: &str) -> Result<BTreeMap<String, String>> {
    let said = storage.options.iter().find_map(|option| if let StorageOption::Other(text) = option { Some(text) } else { None });
    let option = if sort == "file" { "location" } else { "device" };
    match said {
        Some(device) => {
            let path = if device.starts_with('/') { device.clone() } else { format!("/dev/{device}") };
            Ok(BTreeMap::from([(option.to_string(), path)]))
        }
        None => {
            let what = format!("storage {} does not say which disk it is made of", storage.name);
            Err(Error::new(Kind::Malformed, what).blame(Blame::Author).help("options=\"sdb\""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vars::Variables;

    fn storage(sort: &str, options: &[StorageOption]) -> Storage {
        let (name, sort, options) = ("S".into(), sort.into(), options.to_vec());
        Storage { name, sort, is_default: false, options, network: None, size: None, vmhost: None, blkback_pool_size: None }
    }

    fn made(storage: &Storage, number: usize, settings: &[(&str, &str)]) -> String {
        match share(storage, number, Site::new(&Variables::flags(settings))) {
            Ok(share) => {
                let options: Vec<String> = share.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
                // What is made here is what the type knows.
                share.sort.spec("S", &crate::toolstack::Ref::new(crate::toolstack::Class::Host, "h"), &share.options).unwrap();
                format!("{}: {}", share.sort.kind, options.join(" "))
            }
            Err(error) => format!("{} / {}", error.what, error.help.unwrap_or_default()),
        }
    }

    #[test]
    fn each_type_takes_what_the_site_says() {
        let site = [
            ("EXTERNAL_NFS_SERVERS/b/ADDRESS", "nfs2"),
            ("EXTERNAL_NFS_SERVERS/a/ADDRESS", "nfs1"),
            ("EXTERNAL_NFS_SERVERS/a/BASE", "/e"),
            ("EXTERNAL_SMB_SERVERS/a/ADDRESS", "smb1"),
            ("EXTERNAL_SMB_SERVERS/a/BASE", "/x"),
            ("EXTERNAL_SMB_SERVERS/a/PASSWORD", "p"),
            ("ISCSI_LUNS/l1/ADDRESS", "t1"),
            ("ISCSI_LUNS/l2/ADDRESS", "t2"),
            ("ISCSI_LUNS/l2/SCSIID", "36"),
            ("ISCSI_LUNS/l2/CHAP/USERNAME", "u"),
            ("FC_LUNS/l1/SCSIID", "37"),
        ];
        for (sort, options, number, expected) in [
            ("nfs", &[][..], 0, "nfs: path=/e server=nfs1"),
            ("nfs", &[StorageOption::V4, StorageOption::Jumbo], 1, "nfs: path=/e server=nfs1 version=4"),
            ("nfs", &[StorageOption::NoSubdirectory], 0, "nfs: no_subdirectory=true path=/e server=nfs1"),
            ("smb", &[], 0, "smb: password=p server=//smb1/x"),
            ("lvmoiscsi", &[StorageOption::Thin], 0, "lvmoiscsi: allocation=thin target=t1"),
            ("extoiscsi", &[], 1, "extoiscsi: chap_user=u scsi_id=36 target=t2"),
            (
                "lvmoiscsi",
                &[],
                2,
                "the site has 2 LUNs below `ISCSI_LUNS`, and number 3 is asked for / set ISCSI_LUNS/lun3/ADDRESS too",
            ),
            ("fc", &[StorageOption::Thin], 0, "lvmohba: allocation=thin scsi_id=37"),
            ("fcoe", &[], 0, "lvmofcoe: scsi_id=37"),
            (
                "nfs",
                &[StorageOption::FileSr],
                0,
                "storage S with the option filesr cannot be made / make the SR by hand and give --nohostprepare, or leave the option out",
            ),
            (
                "netapp",
                &[],
                0,
                "storage of type netapp cannot be made / products of today no longer have it; make the SR by hand and give --nohostprepare",
            ),
        ] {
            assert_eq!(made(&storage(sort, options), number, &site), expected, "{sort}");
        }
    }

    #[test]
    fn what_the_site_does_not_say_is_named() {
        for (sort, settings, expected) in [
            ("nfs", &[][..], "EXTERNAL_NFS_SERVERS/server1/ADDRESS=nfs.example.org"),
            ("nfs", &[("EXTERNAL_NFS_SERVERS/a/ADDRESS", "n")], "EXTERNAL_NFS_SERVERS/a/BASE=/export/xenrt"),
            ("lvmoiscsi", &[], "ISCSI_LUNS/lun1/ADDRESS=iscsi.example.org"),
            ("fc", &[], "FC_LUNS/lun1/SCSIID=3600a098038303053"),
            ("smb", &[], "EXTERNAL_SMB_SERVERS/server1/ADDRESS=smb.example.org"),
        ] {
            let told = made(&storage(sort, &[]), 0, settings);
            assert!(told.starts_with("the site does not say `") && told.ends_with(&format!("give -D {expected}")), "{told}");
        }
    }
}
