//! The ways to a hypervisor: what exists there, and its verbs, each doing one thing when asked and saying how it went.
//!
//! Never true here: that anything waits for a guest to boot (that is the lab's patience), that an event is published, that a call goes on
//! when its work was cancelled, that a reference made by one toolstack means anything to another.
//!
//! To add a toolstack: a directory with a type that implements [`Toolstack`], an arm where addresses become toolstacks, and a line in the
//! contract test. A verb that it does not have answers [`Kind::Unsupported`](crate::error::Kind), which skips a testcase with the reason.

mod types;
mod verb;
pub mod xapi;

pub use types::*;
pub use verb::*;

use crate::error::{Blame, Error, Kind, Result};
use crate::secret::Secret;
use crate::time::Cancel;
use serde_json::Value;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// What watches a call: the flag that stops it, its limit, and who is told how far it is.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    pub cancel: &'a Cancel,
    /// A call that takes longer is given up, and cancelled there where that is possible.
    pub limit: Duration,
    /// Told the part that is done, from 0 to 1, of what the other side counts.
    pub progress: &'a dyn Fn(f64),
}

impl<'a> Watch<'a> {
    /// One that tells nobody.
    pub fn silent(cancel: &'a Cancel, limit: Duration) -> Watch<'a> {
        Watch { cancel, limit, progress: &|_| () }
    }
}

/// A hypervisor, or a pool of them. Shared by threads; calls run side by side.
///
/// What is asked for is read from the other side each time, in as few calls as it has: nothing here is remembered but the session.
///
/// # Errors
/// Of every method: `Unreachable`, `Timeout`, `Cancelled`; `Refused` with the other side's own words and code; `NotFound` for a reference
/// that means nothing (any more); `Unsupported`.
pub trait Toolstack: Send + Sync {
    /// As shown to people: "xapi on 10.0.0.5".
    fn name(&self) -> &str;

    fn pool(&self, watch: Watch<'_>) -> Result<Pool>;

    /// All hosts, sorted by name.
    fn hosts(&self, watch: Watch<'_>) -> Result<Vec<Host>>;

    /// All guests that are no templates, snapshots or control domains, sorted by name.
    fn guests(&self, watch: Watch<'_>) -> Result<Vec<Guest>>;

    fn templates(&self, watch: Watch<'_>) -> Result<Vec<Guest>>;

    /// One host, guest, template or SR as it is now.
    fn guest(&self, guest: &Ref, watch: Watch<'_>) -> Result<Guest>;
    fn host(&self, host: &Ref, watch: Watch<'_>) -> Result<Host>;
    fn sr(&self, sr: &Ref, watch: Watch<'_>) -> Result<Sr>;

    fn srs(&self, watch: Watch<'_>) -> Result<Vec<Sr>>;

    fn networks(&self, watch: Watch<'_>) -> Result<Vec<Network>>;

    /// The network interfaces of a host, or of all: physical ones, bonds and VLANs.
    fn nics(&self, host: Option<&Ref>, watch: Watch<'_>) -> Result<Vec<Nic>>;

    /// The disks and CD drives of a guest or snapshot, by device.
    fn disks(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Disk>>;

    fn vifs(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Vif>>;

    /// The snapshots and checkpoints of a guest, oldest first.
    fn snapshots(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Snapshot>>;

    /// The virtual disks on an SR.
    fn volumes(&self, sr: &Ref, watch: Watch<'_>) -> Result<Vec<Volume>>;

    /// Does what needs no more than its object; returns when the other side says that it is done.
    fn act(&self, verb: &Verb, watch: Watch<'_>) -> Result<()>;

    /// Makes something; returns it.
    fn create(&self, spec: &Spec, watch: Watch<'_>) -> Result<Ref>;

    /// What an SR could be made of, in the storage back end's own words (XML), found with what of it is known already. Back ends also
    /// say it in the details of an error, `SR_BACKEND_FAILURE_107` for one.
    fn probe(&self, sr: &SrSpec, watch: Watch<'_>) -> Result<String>;

    /// Changes what a guest is, the fields that are given.
    fn configure(&self, guest: &Ref, change: &GuestChange, watch: Watch<'_>) -> Result<()>;

    /// Copies a guest, or keeps its state: a clone, a full copy, a snapshot or a checkpoint, by name.
    fn duplicate(&self, guest: &Ref, name: &str, how: &Duplicate, watch: Watch<'_>) -> Result<Ref>;

    fn migrate(&self, guest: &Ref, migration: &Migration, watch: Watch<'_>) -> Result<()>;

    /// What a host says to who may send it guests, over one of its networks or that of its management.
    fn invite(&self, host: &Ref, network: Option<&Ref>, watch: Watch<'_>) -> Result<Invitation>;

    /// Sends a guest to a host that has invited it. Of another pool, it is a guest of that one afterwards, with the uuid that it had.
    fn send(&self, guest: &Ref, journey: &Journey, watch: Watch<'_>) -> Result<()>;

    /// Asks whether [`Toolstack::send`] would be allowed. Nothing is done.
    fn may_send(&self, guest: &Ref, journey: &Journey, watch: Watch<'_>) -> Result<()>;

    /// The toolstack of this sort at another address, which is logged in to in the same way.
    fn another(&self, address: &str, user: Option<&str>, password: Option<Secret>) -> Result<Arc<dyn Toolstack>>;

    /// The volumes that go when a guest or a snapshot is removed: disks that are its own, its suspended memory, those of its snapshots.
    fn images(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Ref>>;

    /// Removes a guest that is halted, or a snapshot, with the disks that are its own (or without). What cannot be removed stays, and
    /// does not keep the rest.
    fn destroy_guest(&self, guest: &Ref, keep_disks: bool, watch: Watch<'_>) -> Result<()>;

    /// Puts a disc of this name into the CD drive (made when there is none), or takes out what is in it.
    fn set_cd(&self, guest: &Ref, disc: Option<&str>, watch: Watch<'_>) -> Result<()>;

    /// Gives a NIC its address.
    fn set_ip(&self, nic: &Ref, address: &IpConfig, watch: Watch<'_>) -> Result<()>;

    /// Writes a guest (halted or a snapshot) as an image; returns its bytes.
    fn export_guest(&self, guest: &Ref, to: &mut (dyn Write + Send), watch: Watch<'_>) -> Result<u64>;

    /// Makes a guest of an image of so many bytes, if that is known.
    fn import_guest(&self, from: &mut (dyn Read + Send), bytes: Option<u64>, sr: Option<&Ref>, watch: Watch<'_>) -> Result<Ref>;

    /// The picture on a guest's console, as a file's content with its usual ending ("png", "jpg").
    fn screenshot(&self, guest: &Ref, _watch: Watch<'_>) -> Result<(Vec<u8>, &'static str)> {
        let _ = guest;
        Err(self.unsupported("pictures of consoles"))
    }

    /// Waits until something about these objects has changed since the last such call with the same `token`, or the limit is over;
    /// neither is an error. The token begins empty. Where there are no events, it waits a moment.
    fn wait_change(&self, things: &[Ref], token: &mut String, watch: Watch<'_>) -> Result<()>;

    /// A field of an object, in the toolstack's own words.
    fn get(&self, thing: &Ref, field: &str, watch: Watch<'_>) -> Result<Value>;

    fn set(&self, thing: &Ref, field: &str, value: &Value, watch: Watch<'_>) -> Result<()>;

    /// The records of a class whose fields are as given, in the toolstack's own words; each with its reference under `ref`.
    fn find(&self, class: &str, fields: &[(String, Value)], watch: Watch<'_>) -> Result<Vec<Value>>;

    /// The object of a class that has this uuid, if there is one.
    fn with_uuid(&self, class: Class, uuid: &str, watch: Watch<'_>) -> Result<Option<Ref>>;

    /// The way out: a method of the toolstack with its arguments (`VM.get_record`), without the session.
    fn call(&self, method: &str, arguments: &[Value], watch: Watch<'_>) -> Result<Value>;

    /// Ends the session. Another call begins a new one.
    fn log_out(&self);

    /// Warnings about the way there (a changed certificate, a member that stands in for its master), each given once.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The error of a verb that there is not: it skips a testcase, for nobody is at fault.
    fn unsupported(&self, what: &str) -> Error {
        Error::new(Kind::Unsupported, format!("{} has no {what}", self.name())).blame(Blame::User)
    }
}
