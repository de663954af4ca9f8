//! XAPI's datamodel: what classes there are, with their fields, messages and enums, from one table.

use super::value::{Ref, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

const TABLE: &str = include_str!("datamodel.tsv");

/// What only the simulator has.
const OWN: &str = "M\tsimulator\ttrouble\tstring\tsession_id:session_ref text:string\n\
                   M\tsimulator\tclear\tvoid\tsession_id:session_ref\n\
                   M\tsimulator\tset_speed\tvoid\tsession_id:session_ref speed:string\n\
                   M\tsimulator\tget_troubles\tstring_set\tsession_id:session_ref";

/// The place of a class in the table, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(pub u8);

/// The type of a field, a parameter or a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Void,
    Text,
    Int,
    Float,
    Bool,
    Date,
    Enum(Vec<&'static str>),
    Ref(&'static str),
    Record(&'static str),
    Set(Box<Type>),
    Map(Box<Type>, Box<Type>),
    /// One that only results have, made by hand.
    Other,
}

/// Who may write a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Everybody,
    /// Only while the record is made.
    Maker,
    /// Only the pool.
    Pool,
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: Type,
    pub access: Access,
    pub default: Value,
    /// Whether the table has a default, so that who makes a record may leave it out.
    pub has_default: bool,
}

#[derive(Debug)]
pub struct Param {
    pub name: &'static str,
    pub kind: Type,
    pub is_optional: bool,
}

#[derive(Debug)]
pub struct Message {
    pub params: Vec<Param>,
    pub result: Type,
}

#[derive(Debug)]
pub struct Class {
    pub id: ClassId,
    pub name: &'static str,
    pub fields: Vec<Field>,
    index: HashMap<&'static str, usize>,
    pub messages: BTreeMap<&'static str, Message>,
}

impl Class {
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        let at = *self.index.get(name)?;
        Some((at, &self.fields[at]))
    }
}

#[derive(Debug)]
pub struct Datamodel {
    pub classes: Vec<Class>,
    index: HashMap<&'static str, usize>,
}

impl Datamodel {
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.index.get(name).map(|at| &self.classes[*at])
    }

    pub fn by_id(&self, id: ClassId) -> Option<&Class> {
        self.classes.get(usize::from(id.0).checked_sub(1)?)
    }

    /// A class by its name in any case, as `event.from` takes it.
    pub fn class_in_any_case(&self, name: &str) -> Option<&Class> {
        self.class(name).or_else(|| self.classes.iter().find(|class| class.name.eq_ignore_ascii_case(name)))
    }

    /// All methods, as `VM.start`.
    pub fn methods(&self) -> impl Iterator<Item = String> {
        self.classes.iter().flat_map(|class| class.messages.keys().map(|message| format!("{}.{message}", class.name)))
    }
}

/// The table, read once.
pub fn datamodel() -> &'static Datamodel {
    static MODEL: LazyLock<Datamodel> = LazyLock::new(|| read(TABLE.lines().chain(OWN.lines())));
    &MODEL
}

fn read(lines: impl Iterator<Item = &'static str> + Clone) -> Datamodel {
    let rows = || lines.clone().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
    let mut enums: HashMap<&str, Vec<&'static str>> = HashMap::new();
    for row in rows().filter(|row| row[0] == "E" && row.len() == 4) {
        enums.insert(row[2], row[3].split(' ').collect());
    }
    let mut model = Datamodel { classes: Vec::new(), index: HashMap::new() };
    for row in rows() {
        let at = *model.index.entry(row[1]).or_insert_with(|| {
            let id = ClassId((model.classes.len() + 1) as u8);
            let (fields, index, messages) = (Vec::new(), HashMap::new(), BTreeMap::new());
            model.classes.push(Class { id, name: row[1], fields, index, messages });
            model.classes.len() - 1
        });
        let class = &mut model.classes[at];
        match row[..] {
            ["F", _, name, kind, access, ref default @ ..] => {
                class.index.insert(name, class.fields.len());
                class.fields.push(field(name, parse(kind, &enums), access, default.first().copied()));
            }
            ["M", _, name, result, ref params @ ..] => {
                let params = params.first().copied().unwrap_or_default();
                let message = Message { params: self::params(params, &enums), result: parse(result, &enums) };
                class.messages.insert(name, message);
            }
            _ => {}
        }
    }
    for class in model.classes.iter_mut().filter(|class| class.messages.contains_key("get_all_records")) {
        let params = self::params("session_id:session_ref expr:string", &enums);
        class.messages.insert("get_all_records_where", Message { params, result: Type::Other });
    }
    model
}

fn params(text: &'static str, enums: &HashMap<&str, Vec<&'static str>>) -> Vec<Param> {
    let pairs = text.split(' ').filter_map(|param| param.split_once(':'));
    pairs
        .map(|(name, kind)| {
            let is_optional = name.ends_with('?');
            Param { name: name.trim_end_matches('?'), kind: parse(kind, enums), is_optional }
        })
        .collect()
}

fn field(name: &'static str, kind: Type, access: &str, default: Option<&'static str>) -> Field {
    let access = match access {
        "RW" => Access::Everybody,
        "constructor" => Access::Maker,
        _ => Access::Pool,
    };
    let text = default.unwrap_or_default();
    let value = match &kind {
        Type::Bool => Value::Bool(text == "true"),
        Type::Int => Value::Int(text.parse().unwrap_or_default()),
        Type::Float => Value::Float(text.trim_end_matches('.').parse().unwrap_or_default()),
        Type::Date => Value::Date(0),
        Type::Enum(words) => Value::from(words.iter().find(|word| **word == text).or(words.first()).copied().unwrap_or_default()),
        Type::Ref(_) => Value::Ref(Ref::NULL),
        Type::Set(_) => Value::Set(Vec::new()),
        Type::Map(..) => Value::Map(BTreeMap::new()),
        _ => Value::from(text),
    };
    Field { name, kind, access, default: value, has_default: default.is_some() }
}

/// Reads a type as the table writes it: `VM_ref`, `string_set`, `(string_->_string)_map`.
fn parse(text: &'static str, enums: &HashMap<&str, Vec<&'static str>>) -> Type {
    let pair = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(")_map")?.split_once("_->_"));
    if let Some((key, value)) = pair {
        return Type::Map(Box::new(parse(key, enums)), Box::new(parse(value, enums)));
    }
    match text {
        "void" => return Type::Void,
        "string" => return Type::Text,
        "int" => return Type::Int,
        "float" => return Type::Float,
        "bool" => return Type::Bool,
        "datetime" => return Type::Date,
        _ => {}
    }
    if let Some(inner) = text.strip_suffix("_set") {
        return Type::Set(Box::new(parse(inner, enums)));
    }
    if let Some(class) = text.strip_suffix("_ref") {
        return Type::Ref(class);
    }
    if let Some(class) = text.strip_suffix("_record") {
        return Type::Record(class);
    }
    match text.strip_prefix("enum_").and_then(|name| enums.get(name)) {
        Some(words) => Type::Enum(words.clone()),
        None => Type::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_understood() {
        let model = datamodel();
        assert!(model.classes.len() > 40 && model.classes.len() < 255);
        let vm = model.class("VM").unwrap();
        assert_eq!(vm.fields.len(), 90);
        assert_eq!(vm.field("power_state").unwrap().1.default, Value::from("Halted"));
        assert_eq!(vm.field("VBDs").unwrap().1.kind, Type::Set(Box::new(Type::Ref("VBD"))));
        assert_eq!(vm.field("HVM_shadow_multiplier").unwrap().1.default, Value::Float(1.0));
        assert_eq!(vm.messages["start"].params.len(), 4);
        assert!(vm.messages["snapshot"].params[3].is_optional);
        assert!(vm.messages.contains_key("get_all_records_where"));
        assert_eq!(model.class_in_any_case("vm_guest_metrics").unwrap().name, "VM_guest_metrics");
        for class in &model.classes {
            for field in &class.fields {
                assert_ne!(field.kind, Type::Other, "{}.{}", class.name, field.name);
            }
            for (name, message) in &class.messages {
                for param in &message.params {
                    assert_ne!(param.kind, Type::Other, "{}.{name} {}", class.name, param.name);
                }
            }
        }
    }
}
