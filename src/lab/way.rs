//! The way to a machine whose address comes late, and may be another after its next start.

use super::address::Address;
use crate::error::{Error, Kind, Result};
use crate::time::Cancel;
use crate::wire::windows::Windows;
use crate::wire::{Command, Entry, Output, Transport};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Asks where the machine is. What it does must see the flag.
pub(super) type Find = Arc<dyn Fn(&Cancel) -> Result<Address> + Send + Sync>;

/// Makes the way to an address.
pub(super) type Make = Box<dyn Fn(&Address) -> Arc<dyn Transport> + Send + Sync>;

/// A transport that looks for its machine when it is first needed, and again when the machine stopped answering.
pub(super) struct Way {
    machine: String,
    /// Nothing for a machine whose address is only told.
    find: Mutex<Option<Find>>,
    make: Make,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    at: Option<(Address, Arc<dyn Transport>)>,
    /// Whether it may be elsewhere by now.
    is_doubtful: bool,
    /// What ways that are given up had to say.
    warnings: Vec<String>,
}

impl Way {
    pub fn new(machine: impl Into<String>, find: Option<Find>, make: Make) -> Way {
        Way { machine: machine.into(), find: Mutex::new(find), make, known: Mutex::default() }
    }

    /// Where it is, as far as that is known.
    pub fn address(&self) -> Option<Address> {
        self.lock().at.as_ref().map(|(address, _)| address.clone())
    }

    /// It is here now: a way that led elsewhere is given up.
    pub fn learn(&self, address: &Address) {
        self.reached_at(address);
    }

    /// Somebody else knows from now on where it is.
    pub fn is_found_by(&self, find: Find) {
        *self.find.lock().unwrap_or_else(PoisonError::into_inner) = Some(find);
        self.lock().is_doubtful = true;
    }

    fn reached_at(&self, address: &Address) -> Arc<dyn Transport> {
        let mut known = self.lock();
        known.is_doubtful = false;
        if let Some((_, transport)) = known.at.as_ref().filter(|(old, _)| old == address) {
            return transport.clone();
        }
        let transport = (self.make)(address);
        if let Some((_, old)) = known.at.replace((address.clone(), transport.clone())) {
            known.warnings.extend(old.warnings());
            drop(known);
            old.hang_up();
        }
        transport
    }

    fn inner(&self, cancel: &Cancel) -> Result<Arc<dyn Transport>> {
        let find = self.find.lock().unwrap_or_else(PoisonError::into_inner).clone();
        {
            let known = self.lock();
            if let Some((_, transport)) = known.at.as_ref().filter(|_| !known.is_doubtful || find.is_none()) {
                return Ok(transport.clone());
            }
        }
        match find {
            Some(find) => Ok(self.reached_at(&find(cancel)?)),
            None => Err(Error::new(Kind::Unreachable, format!("no address of `{}` is known", self.machine))),
        }
    }

    fn through<T>(&self, cancel: &Cancel, work: impl FnOnce(&dyn Transport) -> Result<T>) -> Result<T> {
        let result = work(&*self.inner(cancel)?);
        if result.as_ref().is_err_and(|error| error.kind == Kind::Unreachable) {
            self.lock().is_doubtful = true;
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Way {
    fn machine(&self) -> &str {
        &self.machine
    }

    fn exec(&self, command: &Command, cancel: &Cancel) -> Result<Output> {
        self.through(cancel, |t| t.exec(command, cancel))
    }

    fn read_file(&self, path: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
        self.through(cancel, |t| t.read_file(path, limit, cancel))
    }

    fn write_file(&self, path: &str, data: &[u8], mode: u32, cancel: &Cancel) -> Result<()> {
        self.through(cancel, |t| t.write_file(path, data, mode, cancel))
    }

    fn send(&self, local: &Path, remote: &str, cancel: &Cancel) -> Result<u64> {
        self.through(cancel, |t| t.send(local, remote, cancel))
    }

    fn fetch(&self, remote: &str, local: &Path, cancel: &Cancel) -> Result<u64> {
        self.through(cancel, |t| t.fetch(remote, local, cancel))
    }

    fn stat(&self, path: &str, cancel: &Cancel) -> Result<Option<Entry>> {
        self.through(cancel, |t| t.stat(path, cancel))
    }

    fn list(&self, path: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        self.through(cancel, |t| t.list(path, cancel))
    }

    fn make_dir(&self, path: &str, cancel: &Cancel) -> Result<()> {
        self.through(cancel, |t| t.make_dir(path, cancel))
    }

    fn windows(&self, cancel: &Cancel) -> Result<Option<Arc<dyn Windows>>> {
        self.through(cancel, |t| t.windows(cancel))
    }

    /// It may come back elsewhere.
    fn hang_up(&self) {
        let old = {
            let mut known = self.lock();
            known.is_doubtful = true;
            known.at.as_ref().map(|(_, transport)| transport.clone())
        };
        if let Some(transport) = old {
            transport.hang_up();
        }
    }

    fn shell_start(&self) -> Option<f64> {
        let transport = self.lock().at.as_ref().map(|(_, transport)| transport.clone());
        transport.and_then(|t| t.shell_start())
    }

    fn warnings(&self) -> Vec<String> {
        let mut known = self.lock();
        let mut all = std::mem::take(&mut known.warnings);
        all.extend(known.at.iter().flat_map(|(_, transport)| transport.warnings()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::Nowhere;
    use std::time::Duration;

    /// A way that finds its machine at one place after the other, and the places that ways were made to.
    fn wandering(places: &[&str]) -> (Way, Arc<Mutex<Vec<String>>>) {
        let mut left: Vec<Address> = places.iter().rev().map(|p| p.parse().unwrap()).collect();
        let last = left[0].clone();
        let left = Mutex::new((std::mem::take(&mut left), last));
        let made = Arc::new(Mutex::new(Vec::new()));
        let told = made.clone();
        let find: Find = Arc::new(move |_| {
            let mut left = left.lock().unwrap();
            Ok(left.0.pop().unwrap_or_else(|| left.1.clone()))
        });
        let make: Make = Box::new(move |address| {
            told.lock().unwrap().push(address.to_string());
            Arc::new(Nowhere)
        });
        (Way::new("vm1", Some(find), make), made)
    }

    #[test]
    fn a_machine_that_does_not_answer_is_looked_for_again() {
        let (way, made) = wandering(&["10.0.0.5", "10.0.0.5", "10.0.0.6"]);
        assert_eq!(way.address(), None);
        let call = || way.exec(&Command::new("true", Duration::from_secs(1)), &Cancel::new()).unwrap_err().kind;
        assert_eq!([call(), call(), call(), call()], [Kind::Unreachable; 4]);
        assert_eq!(*made.lock().unwrap(), ["10.0.0.5", "10.0.0.6"], "one way for each address");
        way.learn(&"10.0.0.7".parse().unwrap());
        assert_eq!(way.address().unwrap().to_string(), "10.0.0.7");
    }

    #[test]
    fn without_an_address_it_cannot_be_reached() {
        let way = Way::new("h1", None, Box::new(|_| Arc::new(Nowhere)));
        let error = way.stat("/", &Cancel::new()).unwrap_err();
        assert_eq!((error.kind, error.what.as_str()), (Kind::Unreachable, "no address of `h1` is known"));
        way.learn(&"h1".parse().unwrap());
        assert!(way.stat("/", &Cancel::new()).unwrap_err().what.contains("nowhere"));
    }
}
