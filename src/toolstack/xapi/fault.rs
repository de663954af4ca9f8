//! What XAPI's error words mean to us: one table. What XAPI said stays in the error's text and details, word by word.
//!
//! To add a word: a row. A word that has none is the product's refusal.

use super::calls::Call;
use crate::error::{Blame, Details, Error, Kind};
use serde_json::Value;

/// What XAPI answers instead of a result: its error word and the parameters of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub code: String,
    pub parameters: Vec<String>,
}

/// How much of a parameter is kept in the details (some are whole documents), and in the text.
const LONGEST: usize = 64 << 10;
const SHORT: usize = 300;

use Blame::{Author, Lab, Product, User};
use Kind::{Malformed, NotFound, Refused, Timeout, Unreachable, Unsupported};

/// Word, what it is to us, whose fault, what it says.
const ROWS: &[(&str, Kind, Blame, &str)] = &[
    ("ACTIVATION_WHILE_NOT_FREE", Refused, Lab, "the licence does not allow it"),
    ("BOOTLOADER_FAILED", Refused, Product, "the boot loader failed"),
    ("CANNOT_CONTACT_HOST", Unreachable, Lab, "a host of the pool does not answer"),
    ("CANNOT_EVACUATE_HOST", Refused, Product, "the host cannot be evacuated"),
    ("CANNOT_PLUG_BOND_SLAVE", Refused, Author, "a member of a bond cannot be plugged"),
    ("CANNOT_PLUG_VIF", Refused, Product, "the VIF cannot be plugged"),
    ("DEVICE_ALREADY_ATTACHED", Refused, Author, "the device is attached already"),
    ("DEVICE_ALREADY_DETACHED", Refused, Author, "the device is detached already"),
    ("DEVICE_ALREADY_EXISTS", Refused, Author, "there is such a device already"),
    ("DEVICE_DETACH_REJECTED", Refused, Product, "the guest did not let go of the device"),
    ("DEVICE_DETACH_TIMEOUT", Timeout, Product, "the guest did not let go of the device in time"),
    ("DEVICE_NOT_ATTACHED", Refused, Author, "the device is not attached"),
    ("DOMAIN_BUILDER_ERROR", Refused, Product, "the domain cannot be built"),
    ("FEATURE_REQUIRES_HVM", Refused, Author, "it needs a guest with hardware virtualisation"),
    ("FIELD_TYPE_ERROR", Malformed, Author, "a field has the wrong type"),
    ("HANDLE_INVALID", NotFound, Product, "there is no such object (any more)"),
    ("HOST_DISABLED", Refused, Lab, "the host is disabled"),
    ("HOST_HAS_NO_MANAGEMENT_IP", Refused, Lab, "the host has no management address"),
    ("HOST_HAS_RESIDENT_VMS", Refused, Author, "guests still run on the host"),
    ("HOST_IN_EMERGENCY_MODE", Unreachable, Lab, "the host has lost its pool's coordinator"),
    ("HOST_IS_SLAVE", Unreachable, Lab, "the host is no longer the pool's coordinator"),
    ("HOST_NOT_DISABLED", Refused, Author, "the host must be disabled first"),
    ("HOST_NOT_ENOUGH_FREE_MEMORY", Refused, Lab, "the host has too little free memory"),
    ("HOST_NOT_ENOUGH_PCPUS", Refused, Lab, "the host has too few CPUs"),
    ("HOST_NOT_LIVE", Unreachable, Lab, "the host is not live"),
    ("HOST_OFFLINE", Unreachable, Lab, "the host is offline"),
    ("HOST_POWER_ON_MODE_DISABLED", Unsupported, Lab, "the host has no way to be powered on"),
    ("HOST_STILL_BOOTING", Unreachable, Lab, "the host is still booting"),
    ("HOST_UNKNOWN_TO_MASTER", Unreachable, Lab, "the coordinator does not know the host"),
    ("INTERNAL_ERROR", Refused, Product, "the toolstack has an internal error"),
    ("INVALID_VALUE", Malformed, Author, "a value is not valid"),
    ("JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS", Refused, Lab, "the host that joins has members of its own"),
    ("JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS", Refused, Lab, "the host that joins has a shared SR"),
    ("JOINING_HOST_CANNOT_HAVE_RUNNING_OR_SUSPENDED_VMS", Refused, Lab, "guests run on the host that joins"),
    ("JOINING_HOST_CANNOT_HAVE_RUNNING_VMS", Refused, Lab, "guests run on the host that joins"),
    ("JOINING_HOST_CONNECTION_FAILED", Unreachable, Lab, "the host that joins cannot reach the coordinator"),
    ("JOINING_HOST_SERVICE_FAILED", Refused, Product, "a service of the host that joins failed"),
    ("LICENCE_RESTRICTION", Unsupported, Lab, "the licence does not allow it"),
    ("LOCATION_NOT_UNIQUE", Refused, Author, "the location on the SR is taken"),
    ("MAC_INVALID", Malformed, Author, "that is not a MAC address"),
    ("MAC_STILL_EXISTS", Refused, Author, "the MAC address is in use"),
    ("MAP_DUPLICATE_KEY", Refused, Author, "the key is there already"),
    (
        "MEMORY_CONSTRAINT_VIOLATION",
        Malformed,
        Author,
        "limits of memory must be static min ≤ dynamic min ≤ dynamic max ≤ static max",
    ),
    ("MESSAGE_METHOD_UNKNOWN", Unsupported, Lab, "the toolstack does not know the method"),
    ("MESSAGE_PARAMETER_COUNT_MISMATCH", Malformed, Author, "the method takes another number of parameters"),
    ("MESSAGE_REMOVED", Unsupported, Lab, "the method is no longer there"),
    ("NETWORK_ALREADY_CONNECTED", Refused, Author, "the network is connected already"),
    ("NETWORK_CONTAINS_PIF", Refused, Author, "interfaces of hosts are still on the network"),
    ("NETWORK_CONTAINS_VIF", Refused, Author, "interfaces of guests are still on the network"),
    ("NOT_IMPLEMENTED", Unsupported, Lab, "the toolstack does not implement it"),
    ("NOT_SUPPORTED_DURING_UPGRADE", Refused, Lab, "the pool is in the middle of an upgrade"),
    ("NO_HOSTS_AVAILABLE", Refused, Lab, "no host can take the guest"),
    ("OPENVSWITCH_NOT_ACTIVE", Unsupported, Lab, "it needs Open vSwitch"),
    ("OPERATION_BLOCKED", Refused, Author, "the operation is blocked on purpose"),
    ("OPERATION_NOT_ALLOWED", Refused, Product, "the operation is not allowed now"),
    ("OTHER_OPERATION_IN_PROGRESS", Refused, Product, "another operation is going on"),
    ("PERMISSION_DENIED", Refused, User, "the user may not do that"),
    ("PIF_CANNOT_BOND_CROSS_HOST", Refused, Author, "interfaces of two hosts cannot be bonded"),
    ("PIF_VLAN_EXISTS", Refused, Author, "there is such a VLAN already"),
    ("POOL_JOINING_HOST_MUST_HAVE_SAME_PRODUCT_VERSION", Refused, Lab, "the host that joins has another product version"),
    ("PROVISION_FAILED_OUT_OF_SPACE", Refused, Lab, "there is no room for the guest's disks"),
    ("PROVISION_ONLY_ALLOWED_ON_TEMPLATE", Refused, Author, "only a template can be provisioned"),
    ("RBAC_PERMISSION_DENIED", Refused, User, "the user may not do that"),
    ("SESSION_AUTHENTICATION_FAILED", Refused, User, "the user or the password is wrong"),
    ("SESSION_INVALID", Refused, Lab, "the session has ended"),
    ("SR_ATTACH_FAILED", Refused, Lab, "the SR cannot be attached"),
    ("SR_BACKEND_FAILURE_44", Refused, Lab, "there is not enough room on the SR"),
    ("SR_BACKEND_FAILURE_73", Refused, Lab, "the NFS server cannot be mounted"),
    ("SR_BACKEND_FAILURE_107", Refused, Author, "the SR's device configuration lacks its SCSIid"),
    ("SR_DETACH_FAILED", Refused, Lab, "the SR cannot be detached"),
    ("SR_FULL", Refused, Lab, "the SR is full"),
    ("SR_HAS_NO_PBDS", Refused, Lab, "no host has the SR"),
    ("SR_HAS_PBD", Refused, Author, "the SR is still plugged"),
    ("SR_NOT_EMPTY", Refused, Author, "there are still disks on the SR"),
    ("SR_NOT_SHARABLE", Refused, Author, "an SR of this type cannot be shared"),
    ("SR_UNKNOWN_DRIVER", Unsupported, Lab, "there is no driver for an SR of this type"),
    ("TASK_CANCELLED", Kind::Cancelled, User, "the task was cancelled"),
    ("TOO_MANY_PENDING_TASKS", Refused, Lab, "the pool has too many tasks"),
    ("UNKNOWN_BOOTLOADER", Refused, Author, "the boot loader is not known"),
    ("UUID_INVALID", NotFound, Author, "there is no object with that UUID"),
    ("VBD_CDS_MUST_BE_READONLY", Refused, Author, "a CD drive can only be read"),
    ("VBD_IS_EMPTY", Refused, Author, "the drive is empty"),
    ("VBD_NOT_EMPTY", Refused, Author, "there is a disc in the drive"),
    ("VBD_NOT_REMOVABLE_MEDIA", Refused, Author, "the drive's media cannot be changed"),
    ("VDI_IN_USE", Refused, Author, "the disk is in use"),
    ("VDI_MISSING", Refused, Lab, "the disk cannot be found on its SR"),
    ("VDI_NOT_AVAILABLE", Refused, Lab, "the disk cannot be attached"),
    ("VDI_READONLY", Refused, Author, "the disk can only be read"),
    ("VDI_TOO_SMALL", Refused, Author, "the disk is too small"),
    ("VM_BAD_POWER_STATE", Refused, Product, "the guest is in another power state"),
    ("VM_CRASHED", Refused, Product, "the guest crashed"),
    ("VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT", Timeout, Product, "the guest did not hear that it is to shut down"),
    ("VM_HALTED", Refused, Product, "the guest halted in the middle of it"),
    ("VM_HAS_CHECKPOINT", Refused, Author, "a checkpoint of the guest exists"),
    ("VM_HVM_REQUIRED", Refused, Lab, "the host has no hardware virtualisation"),
    ("VM_IS_PROTECTED", Refused, Author, "the guest is protected by high availability"),
    ("VM_IS_SNAPSHOT", Refused, Author, "that is a snapshot"),
    ("VM_IS_TEMPLATE", Refused, Author, "that is a template"),
    ("VM_LACKS_FEATURE", Refused, Product, "the guest's drivers cannot do that"),
    ("VM_LACKS_FEATURE_SHUTDOWN", Refused, Product, "the guest's drivers cannot shut it down"),
    ("VM_LACKS_FEATURE_SUSPEND", Refused, Product, "the guest's drivers cannot suspend it"),
    ("VM_MIGRATE_FAILED", Refused, Product, "the guest could not be migrated"),
    ("VM_MISSING_PV_DRIVERS", Refused, Product, "the guest has no drivers of the hypervisor"),
    ("VM_NO_SUSPEND_SR", Refused, Lab, "there is no SR to suspend the guest to"),
    ("VM_OLD_PV_DRIVERS", Refused, Product, "the guest's drivers are too old"),
    ("VM_REBOOTED", Refused, Product, "the guest rebooted in the middle of it"),
    ("VM_REQUIRES_NETWORK", Refused, Lab, "the host does not have a network of the guest"),
    ("VM_REQUIRES_SR", Refused, Lab, "the host does not have an SR of the guest"),
    ("VM_SHUTDOWN_TIMEOUT", Timeout, Product, "the guest did not shut down in time"),
    ("VM_SNAPSHOT_FAILED", Refused, Product, "the guest cannot be snapshotted"),
    ("VM_SUSPEND_TIMEOUT", Timeout, Product, "the guest did not suspend in time"),
];

impl Failure {
    /// Reads both forms: the object of JSON-RPC 2.0 (word, then parameters) and the list of 1.0.
    pub fn read(error: &Value) -> Option<Failure> {
        let texts = |list: &[Value]| list.iter().map(text).collect::<Vec<_>>();
        match error {
            Value::Array(list) => {
                let mut words = texts(list).into_iter();
                Some(Failure { code: words.next()?, parameters: words.collect() })
            }
            Value::Object(fields) => {
                let code = fields.get("message")?.as_str()?.to_string();
                let parameters = match fields.get("data") {
                    Some(Value::Array(list)) => texts(list),
                    None | Some(Value::Null) => Vec::new(),
                    Some(one) => vec![text(one)],
                };
                Some(Failure { code, parameters })
            }
            _ => None,
        }
    }

    /// Of a task: its list of words.
    pub fn of_words(words: &[String]) -> Failure {
        let (code, parameters) =
            words.split_first().map_or(("INTERNAL_ERROR".into(), &[][..]), |(code, rest)| (code.clone(), rest));
        Failure { code, parameters: parameters.to_vec() }
    }

    /// Our error about a call to a server.
    pub fn error(&self, machine: &str, call: &Call) -> Error {
        let row = ROWS.iter().find(|row| row.0 == self.code);
        let (kind, blame) = row.map_or((Refused, Product), |row| (row.1, row.2));
        let parameters: Vec<&str> = self.parameters.iter().map(|p| clip(p, SHORT)).filter(|p| !p.is_empty()).collect();
        let own = if parameters.is_empty() { self.code.clone() } else { format!("{}: {}", self.code, parameters.join(", ")) };
        let verb = call.verb();
        let what = match row {
            Some((.., words)) => format!("{words} ({own}) (`{verb}` on {machine})"),
            None => format!("{own} (`{verb}` on {machine})"),
        };
        let lines: Vec<&str> =
            std::iter::once(self.code.as_str()).chain(self.parameters.iter().map(|p| clip(p, LONGEST))).collect();
        let details = Details { machine: machine.into(), command: verb.into(), stderr: lines.join("\n"), ..Details::default() };
        let error = Error::new(kind, what).blame(blame).details(details);
        match self.help() {
            Some(help) => error.help(help),
            None => error,
        }
    }

    fn help(&self) -> Option<&'static str> {
        Some(match self.code.as_str() {
            "SESSION_AUTHENTICATION_FAILED" => {
                "give the password with `--password-file`, `--ask-password`, XRT_PASSWORD or ROOT_PASSWORDS"
            }
            "HOST_NOT_DISABLED" => "disable the host first",
            "MAP_DUPLICATE_KEY" => "remove the key first",
            "HOST_IN_EMERGENCY_MODE" => "bring the coordinator back, or make another host the coordinator",
            _ => return None,
        })
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn clip(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolstack::xapi::calls::{self, Vm};
    use serde_json::json;

    #[test]
    fn both_forms_of_an_error_answer_are_read() {
        let expected = Failure { code: "SR_FULL".into(), parameters: vec!["a".into(), "2".into()] };
        for error in [json!({"code": 1, "message": "SR_FULL", "data": ["a", "2"]}), json!(["SR_FULL", "a", 2])] {
            assert_eq!(Failure::read(&error), Some(expected.clone()), "{error}");
        }
        assert_eq!(Failure::read(&json!({"message": "X", "data": null})).unwrap().parameters, Vec::<String>::new());
        for nonsense in [json!("SR_FULL"), json!([]), json!({"code": 1}), json!(null)] {
            assert_eq!(Failure::read(&nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn words_become_kinds_and_stay_as_they_are() {
        let call = calls::vm_start(Vm("OpaqueRef:1"), false, false).into_task();
        for (word, kind, blame) in [
            ("SR_FULL", Kind::Refused, Blame::Lab),
            ("VM_BAD_POWER_STATE", Kind::Refused, Blame::Product),
            ("HOST_OFFLINE", Kind::Unreachable, Blame::Lab),
            ("HANDLE_INVALID", Kind::NotFound, Blame::Product),
            ("MESSAGE_METHOD_UNKNOWN", Kind::Unsupported, Blame::Lab),
            ("NEVER_HEARD_OF", Kind::Refused, Blame::Product),
        ] {
            let error = Failure { code: word.into(), parameters: vec!["OpaqueRef:1".into(), String::new(), "halted".into()] }
                .error("h1", &call);
            assert_eq!((error.kind, error.blame), (kind, blame), "{word}");
            assert!(
                error.what.contains(&format!("{word}: OpaqueRef:1, halted")) && error.what.ends_with("(`VM.start` on h1)"),
                "{error}"
            );
            let details = error.details.unwrap();
            assert_eq!((details.command.as_str(), details.stderr), ("VM.start", format!("{word}\nOpaqueRef:1\n\nhalted")));
        }
    }

    #[test]
    fn the_table_is_sorted_and_says_nothing_twice() {
        let number = |word: &str| word.rsplit('_').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
        for pair in ROWS.windows(2) {
            let stem = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_string();
            assert!(
                (stem(pair[0].0), number(pair[0].0)) < (stem(pair[1].0), number(pair[1].0)),
                "{} before {}",
                pair[0].0,
                pair[1].0
            );
        }
    }
}
