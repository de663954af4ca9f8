//! Objects outside the script that its values stand for: what all of them have in common.
//!
//! To add an object: its type in the list of `whichever`, and a line in the functions below.

use crate::lab::{Disk, Guest, Host, Job, Network, Nic, Pool, Sim, Snapshot, Sr, Vif, Volume};
use rhai::{Dynamic, Module};

/// Does something with a value that is one of these types.
macro_rules! whichever {
    ($value:expr, $with:expr) => {
        whichever!($value, $with, [Disk, Guest, Host, Job, Network, Nic, Pool, Sim, Snapshot, Sr, Vif, Volume])
    };
    ($value:expr, $with:expr, [$($kind:ty),*]) => {{
        $(if let Some(it) = $value.read_lock::<$kind>() {
            return Some($with(&*it));
        })*
        None
    }};
}

/// Gives the types their names in scripts.
pub fn name_types(module: &mut Module) {
    module
        .set_custom_type::<Disk>("Disk")
        .set_custom_type::<Guest>("Guest")
        .set_custom_type::<Host>("Host")
        .set_custom_type::<Job>("Job")
        .set_custom_type::<Network>("Network")
        .set_custom_type::<Nic>("Nic")
        .set_custom_type::<Pool>("Pool")
        .set_custom_type::<Sim>("Sim")
        .set_custom_type::<Snapshot>("Snapshot")
        .set_custom_type::<Sr>("Sr")
        .set_custom_type::<Vif>("Vif")
        .set_custom_type::<Volume>("Volume");
}

/// Whether a value is a handle: an object outside the script, which all copies of the value mean alike.
pub fn is_handle(value: &Dynamic) -> bool {
    let is_one = |value: &Dynamic| whichever!(value, |_| ());
    // Locked once for all of them: each try at what another thread has locked takes a while.
    value.read_lock::<Dynamic>().is_some_and(|value| is_one(&value).is_some())
}

/// An object as it is shown; nothing for a value of the language's own.
pub fn shown(value: &Dynamic) -> Option<String> {
    whichever!(value, ToString::to_string)
}

/// What the toolstack calls an object; nothing for a value that it does not know.
pub fn reference(value: &Dynamic) -> Option<String> {
    None.or_else(|| value.read_lock::<Host>().map(|host| host.reference().id))
        .or_else(|| value.read_lock::<Disk>().map(|disk| disk.known().reference.id.clone()))
        .or_else(|| value.read_lock::<Guest>().and_then(|guest| Some(guest.reference().ok()?.id.clone())))
        .or_else(|| value.read_lock::<Snapshot>().map(|snapshot| snapshot.reference().id.clone()))
        .or_else(|| value.read_lock::<Vif>().map(|vif| vif.known().reference.id.clone()))
        .or_else(|| value.read_lock::<Network>().map(|network| network.reference().id.clone()))
        .or_else(|| value.read_lock::<Nic>().map(|nic| nic.reference().id.clone()))
        .or_else(|| value.read_lock::<Pool>().map(|pool| pool.reference().id.clone()))
        .or_else(|| value.read_lock::<Sr>().map(|sr| sr.reference().id))
        .or_else(|| value.read_lock::<Volume>().map(|volume| volume.reference().id.clone()))
        .map(|id| id.to_string())
}

/// What an object is called for ever.
pub fn uuid(value: &Dynamic) -> Option<String> {
    None.or_else(|| value.read_lock::<Host>().map(|host| host.uuid().to_string()))
        .or_else(|| value.read_lock::<Disk>().map(|disk| disk.known().uuid.clone()))
        .or_else(|| value.read_lock::<Guest>().and_then(|guest| guest.uuid().ok()))
        .or_else(|| value.read_lock::<Snapshot>().map(|snapshot| snapshot.uuid().to_string()))
        .or_else(|| value.read_lock::<Vif>().map(|vif| vif.known().uuid.clone()))
        .or_else(|| value.read_lock::<Network>().map(|network| network.known().uuid.clone()))
        .or_else(|| value.read_lock::<Nic>().map(|nic| nic.known().uuid.clone()))
        .or_else(|| value.read_lock::<Pool>().map(|pool| pool.uuid().to_string()))
        .or_else(|| value.read_lock::<Sr>().map(|sr| sr.uuid()))
        .or_else(|| value.read_lock::<Volume>().map(|volume| volume.known().uuid.clone()))
}
