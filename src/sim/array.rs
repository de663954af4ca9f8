//! Storage outside of the hosts: what the back ends of SRs find there, and what stays on it when a pool forgets an SR.
//!
//! There is an NFS and an SMB server and an iSCSI target at every address but those whose name ends in `.invalid`; a target has four LUNs.
//! The codes of errors are those of the storage back ends (SM).

use super::failure::{Failure, Outcome};
use super::value::{Value, mix};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

const GIB: i64 = 1 << 30;

/// A disk that stays when its SR is forgotten: what is known of it without the pool's database.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptDisk {
    pub uuid: Arc<str>,
    pub name: Arc<str>,
    pub description: Arc<str>,
    pub bytes: i64,
    pub used: i64,
    pub kind: Arc<str>,
    pub is_snapshot: bool,
    pub is_read_only: bool,
}

/// An SR on a device: what is there whether a pool knows it or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// The UUID of the SR.
    pub sr: Arc<str>,
    pub disks: Vec<KeptDisk>,
}

/// A sort of SR.
pub struct Driver {
    pub name: &'static str,
    pub title: &'static str,
    /// Whether all hosts of a pool may use it at once.
    pub is_shared: bool,
    /// Whether disks take only what is written on them.
    pub is_thin: bool,
    /// What the driver can.
    pub features: &'static [&'static str],
    /// What it is told: (key, what it is).
    pub configuration: &'static [(&'static str, &'static str)],
}

const DISKS: &[&str] = &[
    "SR_PROBE",
    "SR_UPDATE",
    "VDI_CREATE",
    "VDI_DELETE",
    "VDI_ATTACH",
    "VDI_DETACH",
    "VDI_CLONE",
    "VDI_SNAPSHOT",
    "VDI_RESIZE",
    "VDI_UPDATE",
    "VDI_GENERATE_CONFIG",
    "VDI_CONFIG_CBT",
];
const DISCS: &[&str] = &["SR_UPDATE", "VDI_ATTACH", "VDI_DETACH", "VDI_UPDATE"];
const ISCSI: &[(&str, &str)] = &[
    ("target", "the IP address or hostname of the iSCSI target"),
    ("targetIQN", "the IQN of the target"),
    ("SCSIid", "the SCSI id of the LUN"),
];
const SCSI: &[(&str, &str)] = &[("SCSIid", "the SCSI id of the LUN")];
const DEVICE: &[(&str, &str)] = &[("device", "the local device path")];

const fn driver(
    name: &'static str,
    title: &'static str,
    is_shared: bool,
    is_thin: bool,
    configuration: &'static [(&'static str, &'static str)],
) -> Driver {
    Driver { name, title, is_shared, is_thin, features: DISKS, configuration }
}

/// All sorts of SRs that a host knows.
pub const DRIVERS: &[Driver] = &[
    driver("ext", "Local EXT3 VHD", false, true, DEVICE),
    driver("extoiscsi", "EXT over iSCSI", false, true, ISCSI),
    driver("file", "Local Path VHD", false, true, &[("location", "local directory path")]),
    Driver {
        name: "iso",
        title: "ISO",
        is_shared: true,
        is_thin: true,
        features: DISCS,
        configuration: &[("location", "path to mount"), ("type", "cifs or nfs_iso")],
    },
    driver("lvm", "Local VHD on LVM", false, false, DEVICE),
    driver("lvmofcoe", "LVHD over FCoE", true, false, SCSI),
    driver("lvmohba", "LVHD over FC", true, false, SCSI),
    driver("lvmoiscsi", "LVHD over iSCSI", true, false, ISCSI),
    driver(
        "nfs",
        "NFS VHD",
        true,
        true,
        &[("server", "hostname or IP address of NFS server"), ("serverpath", "path on remote server")],
    ),
    driver(
        "smb",
        "SMB VHD",
        true,
        true,
        &[("server", "Full path to share root on SMB server"), ("username", ""), ("password", "")],
    ),
    Driver {
        name: "udev",
        title: "udev",
        is_shared: false,
        is_thin: false,
        features: DISCS,
        configuration: &[("location", "path")],
    },
];

/// # Errors
/// `SR_UNKNOWN_DRIVER`.
pub fn driver_of(kind: &str) -> Outcome<&'static Driver> {
    DRIVERS.iter().find(|driver| driver.name == kind).ok_or_else(|| Failure::new("SR_UNKNOWN_DRIVER", [kind]))
}

/// An error of a back end, in the shape that XAPI gives it.
pub fn failure(code: u32, text: &str, xml: &str) -> Failure {
    Failure { code: format!("SR_BACKEND_FAILURE_{code}"), params: vec![String::new(), text.to_string(), xml.to_string()] }
}

/// What a device configuration leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// The same for everybody who means the same storage.
    pub key: String,
    pub bytes: i64,
    /// Whether more than one SR can be on it.
    pub is_roomy: bool,
}

type Configuration = BTreeMap<Arc<str>, Value>;

fn given<'a>(configuration: &'a Configuration, key: &str) -> Option<&'a str> {
    configuration.get(key).map(Value::as_str).filter(|value| !value.is_empty())
}

/// Finds the device that a configuration means, from a host.
///
/// # Errors
/// `SR_BACKEND_FAILURE_n`, as the back end says it: with a list of what there is where a parameter is missing.
pub fn find(kind: &str, configuration: &Configuration, host: &str, shared_bytes: i64) -> Outcome<Device> {
    let device = |key: String, bytes: i64, is_roomy: bool| Ok(Device { key, bytes, is_roomy });
    match kind {
        "nfs" => {
            let server =
                given(configuration, "server").ok_or_else(|| failure(102, "The request is missing the server parameter", ""))?;
            resolve(server)?;
            let Some(path) = given(configuration, "serverpath") else {
                return Err(failure(101, "The request is missing the serverpath parameter", &exports(server)));
            };
            if !path.starts_with('/') {
                return Err(failure(103, "The serverpath argument is not valid", ""));
            }
            device(format!("nfs:{server}:{}", path.trim_end_matches('/')), shared_bytes, true)
        }
        "smb" => {
            let server =
                given(configuration, "server").ok_or_else(|| failure(102, "The request is missing the server parameter", ""))?;
            let share = server.strip_prefix("//").or_else(|| server.strip_prefix("\\\\"));
            let share = share.filter(|share| share.contains(['/', '\\'])).ok_or_else(|| failure(111, "SMB mount error", ""))?;
            resolve(share.split(['/', '\\']).next().unwrap_or_default())?;
            device(format!("smb:{share}"), GIB << 10, true)
        }
        "iso" => {
            let location = given(configuration, "location")
                .ok_or_else(|| failure(220, "'Location' parameter must be specified in Device Configuration", ""))?;
            if given(configuration, "legacy_mode").is_some() {
                return device(format!("iso:{host}:{location}"), 64 * GIB, true);
            }
            let server = location.trim_start_matches(['/', '\\']).split([':', '/', '\\']).next().unwrap_or_default();
            if server.is_empty() || !location.contains([':', '/', '\\']) {
                return Err(failure(225, "Incorrect Location string format", ""));
            }
            resolve(server)?;
            device(format!("iso:{location}"), 64 * GIB, true)
        }
        "file" => {
            let location =
                given(configuration, "location").ok_or_else(|| failure(94, "The request is missing the location parameter", ""))?;
            device(format!("file:{host}:{location}"), 200 * GIB, true)
        }
        "ext" | "lvm" => {
            let path =
                given(configuration, "device").ok_or_else(|| failure(90, "The request is missing the device parameter", ""))?;
            match path {
                "/dev/sda" | "/dev/nvme0n1" => Err(failure(105, "Root system device, cannot be used for VM storage", "")),
                "/dev/sdb" | "/dev/sdc" | "/dev/sdd" => device(format!("disk:{host}:{path}"), 200 * GIB, false),
                _ => Err(failure(91, "The device is not a valid path", "")),
            }
        }
        "lvmoiscsi" | "extoiscsi" => iscsi(configuration),
        "lvmohba" | "lvmofcoe" => {
            let luns = luns(kind);
            lun(&luns, configuration, &lun_list("Devlist", &luns))
        }
        _ => Err(Failure::new("SR_UNKNOWN_DRIVER", [kind])),
    }
}

fn resolve(name: &str) -> Outcome<()> {
    if name.ends_with(".invalid") { Err(failure(140, "Incorrect DNS name, unable to resolve.", "")) } else { Ok(()) }
}

fn iscsi(configuration: &Configuration) -> Outcome<Device> {
    let target = given(configuration, "target").ok_or_else(|| failure(95, "The request is missing the target parameter", ""))?;
    resolve(target)?;
    if given(configuration, "port").is_some_and(|port| port.parse::<u16>().ok().is_none_or(|port| port == 0)) {
        return Err(failure(142, "Incorrect value for iSCSI port, must be a number between 1 and 65535", ""));
    }
    let Some(name) = given(configuration, "targetIQN") else {
        let text = "The request is missing or has an incorrect target IQN parameter";
        return Err(failure(96, text, &target_names(target)));
    };
    if !name.starts_with("iqn.") && !name.starts_with("eui.") {
        return Err(failure(106, "The IQN provided is an invalid format", ""));
    }
    let luns = luns(&format!("{target}/{name}"));
    lun(&luns, configuration, &lun_list("iscsi-target", &luns))
}

struct Lun {
    id: usize,
    serial: String,
    scsi: String,
    bytes: i64,
}

/// The LUNs of a target: the same each time.
fn luns(target: &str) -> Vec<Lun> {
    let seed = target.bytes().fold(7, |seed, byte| mix(seed ^ u64::from(byte)));
    let lun = |id: usize| {
        let serial = format!("{:016x}", mix(seed.wrapping_add(id as u64)));
        Lun { id, scsi: format!("36001405{serial}0"), serial, bytes: 100 * GIB }
    };
    (0..4).map(lun).collect()
}

fn lun(luns: &[Lun], configuration: &Configuration, list: &str) -> Outcome<Device> {
    let wanted = given(configuration, "SCSIid");
    let found = luns.iter().find(|lun| Some(lun.scsi.as_str()) == wanted);
    let missing = || failure(107, "The SCSIid parameter is missing or incorrect", list);
    found.map(|lun| Device { key: format!("scsi:{}", lun.scsi), bytes: lun.bytes, is_roomy: false }).ok_or_else(missing)
}

fn lun_list(root: &str, luns: &[Lun]) -> String {
    let mut xml = format!("<?xml version=\"1.0\" ?>\n<{root}>\n");
    for Lun { id, serial, scsi, bytes } in luns {
        let (open, close) = if root == "Devlist" { ("BlockDevice", "BlockDevice") } else { ("LUN", "LUN") };
        let _ = write!(
            xml,
            "\t<{open}>\n\t\t<vendor>XENRT</vendor>\n\t\t<serial>{serial}</serial>\n\t\t<LUNid>{id}</LUNid>\n\t\t<size>{bytes}</size>\n\
             \t\t<SCSIid>{scsi}</SCSIid>\n\t</{close}>\n"
        );
    }
    let _ = writeln!(xml, "</{root}>");
    xml
}

fn target_names(target: &str) -> String {
    format!(
        "<?xml version=\"1.0\" ?>\n<iscsi-target-iqns>\n\t<TGT>\n\t\t<Index>0</Index>\n\t\t<IPAddress>{target}</IPAddress>\n\
         \t\t<TargetIQN>iqn.2026-11.org.xenrt.sim:{target}</TargetIQN>\n\t</TGT>\n</iscsi-target-iqns>\n"
    )
}

fn exports(server: &str) -> String {
    format!(
        "<?xml version=\"1.0\" ?>\n<nfs-exports>\n\t<Export>\n\t\t<Target>{server}</Target>\n\t\t<Path>/export</Path>\n\
         \t\t<Accesslist>*</Accesslist>\n\t</Export>\n</nfs-exports>\n"
    )
}

/// What a probe of a device says: the SRs on it.
pub fn list(volumes: &[Volume]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" ?>\n<SRlist>\n");
    for volume in volumes {
        let _ = writeln!(xml, "\t<SR>\n\t\t<UUID>{}</UUID>\n\t</SR>", volume.sr);
    }
    xml.push_str("</SRlist>\n");
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(pairs: &[(&str, &str)]) -> Configuration {
        pairs.iter().map(|(key, value)| (Arc::from(*key), Value::from(*value))).collect()
    }

    #[test]
    fn a_lun_is_found_by_asking_step_by_step() {
        let code = |pairs: &[(&str, &str)]| find("lvmoiscsi", &configuration(pairs), "h", 0).unwrap_err();
        assert_eq!(code(&[]).code, "SR_BACKEND_FAILURE_95");
        let names = code(&[("target", "10.0.0.9")]);
        assert_eq!(names.code, "SR_BACKEND_FAILURE_96");
        assert!(names.params[2].contains("<TargetIQN>iqn."), "{names}");
        let luns = code(&[("target", "10.0.0.9"), ("targetIQN", "iqn.a")]);
        assert_eq!((luns.code.as_str(), luns.params.len()), ("SR_BACKEND_FAILURE_107", 3));
        let id = luns.params[2].split("<SCSIid>").nth(2).unwrap().split('<').next().unwrap();
        let found =
            find("extoiscsi", &configuration(&[("target", "10.0.0.9"), ("targetIQN", "iqn.a"), ("SCSIid", id)]), "h", 0).unwrap();
        assert_eq!((found.bytes, found.is_roomy), (100 * GIB, false));
        assert_eq!(code(&[("target", "x.invalid")]).code, "SR_BACKEND_FAILURE_140");
        assert_eq!(code(&[("target", "a"), ("port", "0")]).code, "SR_BACKEND_FAILURE_142");
    }

    #[test]
    fn what_is_missing_has_its_own_code() {
        for (kind, pairs, expected) in [
            ("nfs", &[][..], "SR_BACKEND_FAILURE_102"),
            ("nfs", &[("server", "a")][..], "SR_BACKEND_FAILURE_101"),
            ("nfs", &[("server", "a"), ("serverpath", "b")][..], "SR_BACKEND_FAILURE_103"),
            ("ext", &[][..], "SR_BACKEND_FAILURE_90"),
            ("lvm", &[("device", "/dev/sda")][..], "SR_BACKEND_FAILURE_105"),
            ("lvm", &[("device", "sdb")][..], "SR_BACKEND_FAILURE_91"),
            ("iso", &[][..], "SR_BACKEND_FAILURE_220"),
            ("iso", &[("location", "x")][..], "SR_BACKEND_FAILURE_225"),
            ("smb", &[("server", "host/share")][..], "SR_BACKEND_FAILURE_111"),
            ("lvmohba", &[][..], "SR_BACKEND_FAILURE_107"),
            ("netapp", &[][..], "SR_UNKNOWN_DRIVER"),
        ] {
            assert_eq!(find(kind, &configuration(pairs), "h", 0).unwrap_err().code, expected, "{kind} {pairs:?}");
        }
        assert!(find("nfs", &configuration(&[("server", "a"), ("serverpath", "/b/")]), "h", 5).unwrap().is_roomy);
    }
}
