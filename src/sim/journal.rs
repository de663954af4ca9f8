//! What hosts write down of the calls that come to them: the logs of the toolstack and of the storage manager, in their own forms.

use super::dispatch::Begun;
use super::failure::Failure;
use super::store::Store;
use super::value::{Ref, mix};
use super::world::World;
use crate::time::Timestamp;

/// The toolstack's log, and that of the storage manager.
pub const TOOLSTACK: &str = "/var/log/xensource.log";
pub const STORAGE: &str = "/var/log/SMlog";

/// The methods that the storage manager does, by its own names.
const COMMANDS: &[(&str, &str)] = &[
    ("PBD.plug", "sr_attach"),
    ("PBD.unplug", "sr_detach"),
    ("SR.create", "sr_create"),
    ("SR.destroy", "sr_delete"),
    ("SR.probe", "sr_probe"),
    ("SR.scan", "sr_scan"),
    ("VBD.plug", "vdi_attach"),
    ("VBD.unplug", "vdi_detach"),
    ("VDI.clone", "vdi_clone"),
    ("VDI.copy", "vdi_copy"),
    ("VDI.create", "vdi_create"),
    ("VDI.destroy", "vdi_delete"),
    ("VDI.resize", "vdi_resize"),
    ("VDI.snapshot", "vdi_snapshot"),
];

/// Whether a call is written down: one that only asks is not.
fn is_told(method: &str) -> bool {
    let Some((class, name)) = method.split_once('.') else { return false };
    !name.starts_with("get_") && !matches!(class, "event" | "session" | "simulator" | "task" | "system")
}

fn command(method: &str) -> Option<&'static str> {
    COMMANDS.iter().find(|(name, _)| *name == method).map(|(_, command)| *command)
}

/// Writes down that a call has begun, on what object.
pub fn begun(world: &World, call: &Begun, object: Ref) {
    if !is_told(&call.method) {
        return;
    }
    let db = &world.pools[call.pool];
    let uuid = db.class(object).and_then(|class| class.field("uuid")).map_or("", |_| db.text(object, "uuid"));
    say(world, call, TOOLSTACK, &format!("{} {}: {uuid}", tag(call, "debug", "audit"), call.method));
    if let Some(command) = command(&call.method) {
        let sr = sr_of(db, object);
        let line = format!("SM: [{}] {command} {{'sr_uuid': '{}', 'command': '{command}'}}", pid(call), db.text(sr, "uuid"));
        say(world, call, STORAGE, &line);
    }
}

/// Writes down that a call has failed.
pub fn failed(world: &World, call: &Begun, failure: &Failure) {
    if !is_told(&call.method) {
        return;
    }
    let words = failure.params.join("; ");
    let line = format!(
        "{} {} failed with exception Server_error({}, [ {words} ])",
        tag(call, "error", "backtrace"),
        call.method,
        failure.code
    );
    say(world, call, TOOLSTACK, &line);
    if let Some(command) = command(&call.method).filter(|_| failure.code.starts_with("SR_BACKEND_FAILURE_")) {
        let said = failure.params.iter().find(|word| !word.is_empty()).map_or("", String::as_str);
        let line = format!("SM: [{}] ***** {command}: EXCEPTION <class 'xs_errors.SROSError'>, {said}", pid(call));
        say(world, call, STORAGE, &line);
    }
}

/// "xapi: [debug||17 HTTP|VM.start R:0123456789ab|audit]".
fn tag(call: &Begun, level: &str, module: &str) -> String {
    let way = if call.task.is_null() { "" } else { "Async." };
    format!("xapi: [{level}||{} HTTP|{way}{} R:{:012x}|{module}]", call.number, call.method, mix(call.number) >> 16)
}

fn pid(call: &Begun) -> u64 {
    1000 + call.number % 30_000
}

/// The SR that a call is about.
fn sr_of(db: &Store, object: Ref) -> Ref {
    match db.class(object).map(|class| class.name) {
        Some("SR") => object,
        Some("VDI" | "PBD") => db.link(object, "SR"),
        Some("VBD") => db.link(db.link(object, "VDI"), "SR"),
        _ => Ref::NULL,
    }
}

fn say(world: &World, call: &Begun, file: &'static str, line: &str) {
    let name = world.pools[call.pool].by_uuid("host", &call.door).map(|host| world.pools[call.pool].text(host, "hostname"));
    let Some(name) = name else { return };
    world.site.inside.host_says(&call.door, file, &format!("{} {name} {line}\n", Timestamp::now().syslog()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_asks_is_not_written_down() {
        assert!(is_told("VM.start") && is_told("host.migrate_receive"));
        assert!(!is_told("VM.get_record") && !is_told("event.from") && !is_told("session.login_with_password") && !is_told("odd"));
        assert!(COMMANDS.is_sorted());
    }
}
