//! XAPI's records, as far as they are used, and the plain values that are made of them.
//!
//! A field that an older server does not have is empty; what is not used is not read.

mod guest;
mod host;
mod network;
mod storage;

pub(super) use guest::{GuestMetricsRecord, VmMetricsRecord, VmRecord};
pub(super) use host::{HostMetricsRecord, HostRecord, PoolRecord};
pub(super) use network::{BondRecord, NetworkRecord, PifMetricsRecord, PifRecord, VifRecord};
pub(super) use storage::{PbdRecord, SrRecord, VbdRecord, VdiRecord};

use super::value::Handle;
use crate::toolstack::{Class, Ref};
use std::collections::BTreeMap;
use std::sync::Arc;

type Words = BTreeMap<String, String>;

fn of(class: Class, handle: Handle) -> Option<Ref> {
    handle.map(|id| Ref::new(class, id))
}

fn all_of(class: Class, handles: Vec<Arc<str>>) -> Vec<Ref> {
    handles.into_iter().map(|id| Ref::new(class, id)).collect()
}
