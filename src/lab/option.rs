//! What a caller may choose: one small struct a method, read from a script's map.
//!
//! An unknown key is an error. Durations are seconds or text ("10m").

use crate::error::{Blame, Error, Kind};
use crate::unit::deserialize_duration as duration;
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, de};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a command's status other than 0 means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The product is at fault: the testcase fails.
    #[default]
    Fail,
    /// The test could not be carried out: the testcase errs.
    Error,
    /// Nothing: the caller looks at the result.
    Return,
}

impl OnError {
    /// The error with the blame that this choice means.
    pub(super) fn judge(self, error: Error) -> Error {
        match (error.kind, self) {
            (Kind::Refused | Kind::Timeout, OnError::Fail) => error.blame(Blame::Product),
            (Kind::Refused | Kind::Timeout, OnError::Error) => error.blame(Blame::Lab),
            _ => error,
        }
    }
}

/// How to run a command.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecOptions {
    /// Limit; 20 minutes when not given.
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    pub on_error: OnError,
    /// Text for its standard input.
    pub input: String,
    /// Directory to run it in.
    pub cwd: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub env: BTreeMap<String, String>,
    /// User to run it as.
    pub user: Option<String>,
    /// Whether newlines at the end of the output are kept.
    pub keep_newline: bool,
    /// Whether it is left out of the event stream.
    pub quiet: bool,
    /// Name of a file of the testcase's directory that gets all of its output, however long.
    pub save_as: Option<String>,
    /// Whether it may be run again when the connection is lost.
    pub idempotent: bool,
}

/// How to run a job in the background.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobOptions {
    /// What a status other than 0 means to `wait`.
    pub on_error: OnError,
    pub input: String,
    pub cwd: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub env: BTreeMap<String, String>,
    pub user: Option<String>,
}

/// How to write a file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WriteOptions {
    /// Its permission bits.
    pub mode: u32,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions { mode: super::files::USUAL_MODE }
    }
}

/// How long to wait.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WaitOptions {
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
}

/// How to take a machine down.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PowerOptions {
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// At once, without telling anything that runs there: as if the power had failed.
    pub force: bool,
    /// By force when it does not go down when asked; that it did not is an error all the same.
    pub again: bool,
    /// Whether to wait until it answers.
    pub wait: bool,
}

impl Default for PowerOptions {
    fn default() -> PowerOptions {
        PowerOptions { timeout: None, force: false, again: false, wait: true }
    }
}

/// How to start a guest, or to let it go on.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartOptions {
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// Name, address or uuid of the host to run on, instead of one that the pool chooses.
    pub on: Option<String>,
    /// Stopped before its first instruction.
    pub paused: bool,
    /// Whether to wait until it answers.
    pub wait: bool,
}

impl Default for StartOptions {
    fn default() -> StartOptions {
        StartOptions { timeout: None, on: None, paused: false, wait: true }
    }
}

/// A pool that is none of the run's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemotePool {
    /// Address of its master, as after `--host`.
    pub host: String,
    /// Nothing for that of the guest's own pool.
    pub user: Option<String>,
    pub password: Option<String>,
}

/// How to move a guest to another host.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MigrateOptions {
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// While it runs.
    pub live: bool,
    /// Name or uuid of the SR that its disks move to.
    pub sr: Option<String>,
    /// SRs for single disks, by position, name or uuid.
    #[serde(deserialize_with = "texts")]
    pub vdi_map: BTreeMap<String, String>,
    /// Networks of another pool for its interfaces, by number or MAC address.
    #[serde(deserialize_with = "texts")]
    pub vif_map: BTreeMap<String, String>,
    /// Name, uuid or bridge of the network over which it goes to another pool.
    pub network: Option<String>,
    pub remote: Option<RemotePool>,
    /// Whether to wait until it answers.
    pub wait: bool,
}

impl Default for MigrateOptions {
    fn default() -> MigrateOptions {
        let (vdi_map, vif_map) = (BTreeMap::new(), BTreeMap::new());
        MigrateOptions { timeout: None, live: true, sr: None, vdi_map, vif_map, network: None, remote: None, wait: true }
    }
}

/// How to copy a guest.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CopyOptions {
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// Nothing for one that no other guest has.
    pub name: Option<String>,
    /// Name or uuid of the SR for the disks, instead of those that they are on.
    pub sr: Option<String>,
}

/// What a new disk of a guest is to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewDiskOptions {
    /// 1 GiB when nothing is said.
    #[serde(deserialize_with = "size")]
    pub size: Option<u64>,
    /// Name or uuid of the SR that it is made on; nothing for the pool's default.
    pub sr: Option<String>,
    /// Uuid of a virtual disk that is there already.
    pub vdi: Option<String>,
    /// Nothing for one that no other disk has.
    pub name: Option<String>,
    /// Its place on the guest's bus; nothing for the first that is free.
    pub position: Option<String>,
    pub bootable: bool,
    pub mode: DiskMode,
    /// Whether it is attached to a guest that runs.
    pub plug: bool,
}

impl Default for NewDiskOptions {
    fn default() -> NewDiskOptions {
        NewDiskOptions {
            size: None,
            sr: None,
            vdi: None,
            name: None,
            position: None,
            bootable: false,
            mode: DiskMode::default(),
            plug: true,
        }
    }
}

/// Whether a guest may write to a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskMode {
    #[default]
    Rw,
    Ro,
}

/// What becomes of a disk's content when the disk goes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DestroyOptions {
    /// Whether the virtual disk stays on its SR.
    pub keep_vdi: bool,
}

/// How a disk is made ready for files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FormatOptions {
    /// Kind of file system; ext4 when nothing is said.
    pub fs: Option<String>,
    /// Where it is mounted; nothing for nowhere.
    pub mount: Option<String>,
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
}

/// What a new interface of a guest is to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewVifOptions {
    /// Name, uuid or bridge; nothing for the network that the guest's first interface is on.
    pub network: Option<String>,
    /// Nothing for one that the hypervisor makes.
    pub mac: String,
    /// Its number; nothing for the first that is free.
    pub device: Option<String>,
    pub mtu: Option<u32>,
    /// Whether it is attached to a guest that runs.
    pub plug: bool,
}

impl Default for NewVifOptions {
    fn default() -> NewVifOptions {
        NewVifOptions { network: None, mac: String::new(), device: None, mtu: None, plug: true }
    }
}

/// When a guest has its new processors.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VcpuOptions {
    /// At once, while it runs.
    pub live: bool,
}

/// The limits of a guest's memory, in bytes. What is not given stays.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryOptions {
    #[serde(deserialize_with = "size")]
    pub static_min: Option<u64>,
    #[serde(deserialize_with = "size")]
    pub dynamic_min: Option<u64>,
    #[serde(deserialize_with = "size")]
    pub dynamic_max: Option<u64>,
    #[serde(deserialize_with = "size")]
    pub static_max: Option<u64>,
}

/// How to run `xe`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct XeOptions {
    /// Limit; 45 minutes when not given.
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    pub on_error: OnError,
    /// Values only, separated by commas.
    pub minimal: bool,
    pub force: bool,
    pub multiple: bool,
}

/// Bytes: a number, or a text such as "2GiB".
pub(super) fn size<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    Option::<Size>::deserialize(d).map(|size| size.map(|size| size.0))
}

/// Bytes, as a script writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size(pub u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Size, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes or a text such as \"2GiB\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                crate::unit::parse_size(text).map(Size).map_err(|e| E::custom(e.what))
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes).map(Size).map_err(|_| E::custom(format!("{bytes} is not a size")))
            }
        }
        d.deserialize_any(Reader)
    }
}

/// Texts by name; numbers and truth values of a script count as their text.
pub(super) fn texts<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, String>, D::Error> {
    let found = BTreeMap::<String, Text>::deserialize(d)?;
    Ok(found.into_iter().map(|(name, text)| (name, text.0)).collect())
}

/// A text; a number or a truth value of a script counts as its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Text, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_string()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Text, E> {
                Ok(Text(truth.to_string()))
            }
        }
        d.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_read_from_a_map() {
        let options: ExecOptions = serde_json::from_value(json!({
            "timeout": "10m", "on_error": "return", "env": { "A": 1, "B": true, "C": "x y" }
        }))
        .unwrap();
        assert_eq!((options.timeout, options.on_error), (Some(Duration::from_secs(600)), OnError::Return));
        assert_eq!(options.env.values().cloned().collect::<Vec<_>>(), ["1", "true", "x y"]);
        let options: WaitOptions = serde_json::from_value(json!({ "timeout": 1.5 })).unwrap();
        assert_eq!(options.timeout, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn what_is_unknown_or_wrong_is_said() {
        for (map, said) in [
            (json!({ "timout": 3 }), "unknown field `timout`, expected one of `timeout`"),
            (json!({ "timeout": "soon" }), "`soon` is not a duration"),
            (json!({ "timeout": -1 }), "not a number of seconds"),
            (json!({ "timeout": true }), "a number of seconds or a text such as"),
            (json!({ "on_error": "shrug" }), "expected one of `fail`, `error`, `return`"),
            (json!({ "env": { "A": [1] } }), "a text, a number, true or false"),
        ] {
            let error = serde_json::from_value::<ExecOptions>(map).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
