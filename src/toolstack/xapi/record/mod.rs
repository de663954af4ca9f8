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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolstack::xapi::task::TaskRecord;
    use serde::de::{self, Deserialize, Deserializer, Visitor};
    use std::collections::BTreeSet;

    /// Asks a type which fields it reads.
    struct Spy<'a>(&'a mut Vec<&'static str>);

    impl<'de> Deserializer<'de> for Spy<'_> {
        type Error = de::value::Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _name: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            self.0.extend(fields);
            visitor.visit_map(de::value::MapDeserializer::<_, Self::Error>::new(std::iter::empty::<(String, String)>()))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("it is no record"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
            tuple_struct map enum identifier ignored_any
        }
    }

    #[test]
    fn every_field_that_is_read_is_in_the_datamodel() {
        fn fields<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
            let mut fields = Vec::new();
            T::deserialize(Spy(&mut fields)).unwrap();
            fields
        }
        let columns = |line: &'static str| -> Vec<&'static str> { line.split('\t').collect() };
        let known: BTreeSet<(&str, &str)> = include_str!("../../../sim/datamodel.tsv")
            .lines()
            .map(columns)
            .filter(|row| row[0] == "F")
            .map(|row| (row[1], row[2]))
            .collect();
        for (class, fields) in [
            ("pool", fields::<PoolRecord>()),
            ("host", fields::<HostRecord>()),
            ("host_metrics", fields::<HostMetricsRecord>()),
            ("VM", fields::<VmRecord>()),
            ("VM_metrics", fields::<VmMetricsRecord>()),
            ("VM_guest_metrics", fields::<GuestMetricsRecord>()),
            ("VBD", fields::<VbdRecord>()),
            ("VDI", fields::<VdiRecord>()),
            ("VIF", fields::<VifRecord>()),
            ("SR", fields::<SrRecord>()),
            ("PBD", fields::<PbdRecord>()),
            ("network", fields::<NetworkRecord>()),
            ("PIF", fields::<PifRecord>()),
            ("PIF_metrics", fields::<PifMetricsRecord>()),
            ("Bond", fields::<BondRecord>()),
            ("task", fields::<TaskRecord>()),
        ] {
            assert!(!fields.is_empty(), "{class}");
            for field in fields {
                assert!(known.contains(&(class, field)), "{class}.{field}");
            }
        }
    }
}
