//! What fields hold: XAPI's values, references among them.

use super::datamodel::{ClassId, Type, datamodel};
use super::failure::{Failure, Outcome};
use crate::wire::xmlrpc;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A value of a field, a parameter or a result.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Void,
    Bool(bool),
    /// XAPI's integer, which is a string in XML-RPC.
    Int(i64),
    /// An integer that is one in XML-RPC too: only event batches have it.
    Number(i64),
    Float(f64),
    /// Seconds since 1970.
    Date(i64),
    Text(Arc<str>),
    Ref(Ref),
    Set(Vec<Value>),
    Map(BTreeMap<Arc<str>, Value>),
    /// A record, as it is when it is written.
    Record(Ref),
    /// Records by their references, as they are when they are written.
    Records(Vec<Ref>),
}

/// The reference of a record: what class, of which pool, the how manieth. Small, so that a pool of thousands of guests is small too; on
/// the wire it looks like any other `OpaqueRef:`, and one that was never given out is told from one that was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ref(u64);

impl Ref {
    pub const NULL: Ref = Ref(0);
    const PREFIX: &str = "OpaqueRef:";

    /// `serial` is below 2⁴⁰.
    pub fn new(class: ClassId, pool: u16, serial: u64) -> Ref {
        Ref(u64::from(class.0) << 56 | u64::from(pool) << 40 | (serial & 0xff_ffff_ffff))
    }

    pub fn is_null(self) -> bool {
        self.0 == 0
    }

    pub fn class(self) -> ClassId {
        ClassId((self.0 >> 56) as u8)
    }

    /// Reads what [`fmt::Display`] has written.
    pub fn parse(text: &str) -> Option<Ref> {
        let digits = text.strip_prefix(Ref::PREFIX)?;
        if digits == "NULL" {
            return Some(Ref::NULL);
        }
        let is_shaped = digits.len() == 36 && digits.bytes().enumerate().all(|(i, b)| (b == b'-') == matches!(i, 8 | 13 | 18 | 23));
        let number = u128::from_str_radix(&digits.replace('-', ""), 16).ok().filter(|_| is_shaped)?;
        let (high, low) = ((number >> 64) as u64, number as u64);
        let id = low ^ mix(high);
        (id != 0 && mix(id) == high).then_some(Ref(id))
    }
}

/// Spreads a number over all bits (the finaliser of splitmix64).
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_null() {
            return f.write_str("OpaqueRef:NULL");
        }
        let high = mix(self.0);
        let low = self.0 ^ mix(high);
        f.write_str(Ref::PREFIX)?;
        f.write_str(&dashed(high, low))
    }
}

/// 128 bits in the form of a UUID.
pub fn dashed(high: u64, low: u64) -> String {
    let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
    format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(value.into())
    }
}

impl From<Arc<str>> for Value {
    fn from(value: Arc<str>) -> Value {
        Value::Text(value)
    }
}

impl From<Ref> for Value {
    fn from(value: Ref) -> Value {
        Value::Ref(value)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Value {
        Value::Set(values.into_iter().map(Into::into).collect())
    }
}

impl<const N: usize, V: Into<Value>> From<[(&str, V); N]> for Value {
    fn from(pairs: [(&str, V); N]) -> Value {
        Value::Map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl From<BTreeMap<Arc<str>, Value>> for Value {
    fn from(map: BTreeMap<Arc<str>, Value>) -> Value {
        Value::Map(map)
    }
}

impl Value {
    pub fn as_str(&self) -> &str {
        match self {
            Value::Text(text) => text,
            _ => "",
        }
    }

    pub fn as_ref(&self) -> Ref {
        match self {
            Value::Ref(reference) => *reference,
            _ => Ref::NULL,
        }
    }

    pub fn as_set(&self) -> &[Value] {
        match self {
            Value::Set(items) => items,
            _ => &[],
        }
    }

    pub fn as_map(&self) -> Option<&BTreeMap<Arc<str>, Value>> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The text under a key of a map.
    pub fn key(&self, key: &str) -> Option<&str> {
        self.as_map()?.get(key).map(Value::as_str)
    }
}

/// Takes what came over the wire as a value of a type, as strictly as XAPI does.
///
/// # Errors
/// `FIELD_TYPE_ERROR` with the name of the field or parameter; `HANDLE_INVALID` for a reference that nobody has given out.
pub fn accept(kind: &Type, raw: xmlrpc::Value, name: &str) -> Outcome<Value> {
    use xmlrpc::Value as Raw;
    let wrong = || Failure::new("FIELD_TYPE_ERROR", [name]);
    Ok(match (kind, raw) {
        (Type::Text, Raw::Text(text)) => Value::Text(text.into()),
        (Type::Enum(words), Raw::Text(word)) => {
            if !words.iter().any(|known| *known == word) {
                return Err(wrong());
            }
            Value::Text(word.into())
        }
        (Type::Ref(class), Raw::Text(text)) => match Ref::parse(&text) {
            Some(reference) => Value::Ref(reference),
            None => return Err(Failure::new("HANDLE_INVALID", [class, text.as_str()])),
        },
        (Type::Int, Raw::Int(number)) => Value::Int(number),
        (Type::Int, Raw::Text(text)) => Value::Int(text.trim().parse().map_err(|_| wrong())?),
        (Type::Float, Raw::Double(number)) if number.is_finite() => Value::Float(number),
        (Type::Float, Raw::Int(number)) => Value::Float(number as f64),
        (Type::Float, Raw::Text(text)) => Value::Float(text.trim().parse().ok().filter(|n: &f64| n.is_finite()).ok_or_else(wrong)?),
        (Type::Bool, Raw::Bool(is)) => Value::Bool(is),
        (Type::Date, Raw::Date(text) | Raw::Text(text)) => Value::Date(super::date::parse(&text).ok_or_else(wrong)?),
        (Type::Set(kind), Raw::Array(items)) => {
            Value::Set(items.into_iter().map(|item| accept(kind, item, name)).collect::<Outcome<_>>()?)
        }
        (Type::Map(_, kind), Raw::Struct(members)) => {
            let pairs = members.into_iter().map(|(key, value)| Ok((key.into(), accept(kind, value, name)?)));
            Value::Map(pairs.collect::<Outcome<_>>()?)
        }
        (Type::Record(class), Raw::Struct(members)) => {
            let class = datamodel().class(class).ok_or_else(wrong)?;
            let mut fields = BTreeMap::new();
            for (name, value) in members {
                // What a newer or older client knows besides is passed over, as XAPI does.
                if let Some((_, field)) = class.field(&name) {
                    fields.insert(Arc::from(name.as_str()), accept(&field.kind, value, &name)?);
                }
            }
            Value::Map(fields)
        }
        _ => return Err(wrong()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_back_and_an_invented_one_is_not() {
        for reference in [Ref::NULL, Ref::new(ClassId(1), 7, 1), Ref::new(ClassId(63), 65_535, 1 << 39)] {
            assert_eq!(Ref::parse(&reference.to_string()), Some(reference));
        }
        let text = Ref::new(ClassId(1), 7, 1).to_string();
        assert_eq!(text.len(), "OpaqueRef:".len() + 36);
        assert!(text.is_ascii());
        for wrong in ["", "OpaqueRef:", "OpaqueRef:00000000-0000-0000-0000-000000000000", &text.replace('-', ""), &text[1..], "x"] {
            assert_eq!(Ref::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn types_are_checked() {
        use xmlrpc::Value as Raw;
        let map = Type::Map(Box::new(Type::Text), Box::new(Type::Text));
        let members = Raw::Struct(vec![("a".into(), Raw::text("b"))]);
        assert_eq!(accept(&map, members, "m").unwrap().key("a"), Some("b"));
        for (kind, raw) in [
            (Type::Text, Raw::Int(1)),
            (Type::Bool, Raw::text("true")),
            (Type::Int, Raw::text("1.5")),
            (Type::Int, Raw::text("")),
            (Type::Enum(vec!["a"]), Raw::text("b")),
            (Type::Set(Box::new(Type::Text)), Raw::text("b")),
            (map, Raw::Array(Vec::new())),
            (Type::Date, Raw::text("yesterday")),
        ] {
            assert_eq!(accept(&kind, raw, "x").unwrap_err().to_string(), "FIELD_TYPE_ERROR: x");
        }
        assert_eq!(accept(&Type::Int, Raw::text("-5"), "x").unwrap(), Value::Int(-5));
        assert_eq!(accept(&Type::Ref("VM"), Raw::text("vm1"), "x").unwrap_err().to_string(), "HANDLE_INVALID: VM, vm1");
    }
}
