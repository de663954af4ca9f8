//! Commands of `xe`: the verbs that every class has, and those that make one call.

use super::line::Line;
use super::pool::{Pool, Record};
use super::record::{self, all, lines, param, plain, word};
use super::table::{ACTIONS, Action, CLASSES, Class};
use crate::sim::datamodel::{Field, Type};
use crate::sim::failure::Failure;
use crate::sim::machine::answer::Answer;
use crate::sim::machine::boot::Boot;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Why a command did not do what it should.
enum Wrong {
    /// The pool says no.
    Pool(Failure),
    /// It cannot be understood.
    Usage(String),
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Wrong {
        Wrong::Pool(failure)
    }
}

type Done = Result<String, Wrong>;

fn missing(what: &str) -> Wrong {
    Wrong::Usage(format!("Required parameter not found: {what}\nFor usage run: 'xe help'"))
}

/// Answers a command line of `xe`.
pub(in super::super) async fn answer(boot: &Arc<Boot>, words: &[String]) -> Answer {
    let Some(outside) = boot.shared.outside() else { return Answer::fails(1, "Lost connection to the server.") };
    let pool = Pool::new(outside, boot.spec().host);
    let line = Line::parse(words);
    match run(&pool, &line).await {
        Ok(text) => Answer::says(text),
        Err(Wrong::Usage(text)) => Answer::fails(1, text),
        Err(Wrong::Pool(failure)) => {
            let parameters = failure.params.join(", ");
            Answer::fails(1, format_args!("Error code: {}\nError parameters: {parameters}", failure.code))
        }
    }
}

async fn run(pool: &Pool, line: &Line) -> Done {
    let command = line.command.as_str();
    if command == "help" || command.is_empty() {
        let verbs = CLASSES.iter().map(|class| format!("{}-list", class.word));
        let mut all: Vec<String> =
            verbs.chain(ACTIONS.iter().filter_map(|a| a.command.split(' ').next().map(String::from))).collect();
        all.dedup();
        return Ok(format!("Usage: xe <command> [key=value ...]\n\n{}\n", all.join(", ")));
    }
    if let Some(action) = ACTIONS.iter().find(|action| action.is_meant(line)) {
        return act(pool, line, action).await;
    }
    match command {
        "vm-install" => return install(pool, line).await,
        "vm-uninstall" | "template-uninstall" | "snapshot-uninstall" => return uninstall(pool, line).await,
        _ => {}
    }
    for class in CLASSES {
        let Some(verb) = command.strip_prefix(class.word).and_then(|rest| rest.strip_prefix('-')) else { continue };
        match verb {
            "list" => return list(pool, line, class).await,
            "param-list" => return param_list(pool, line, class).await,
            "param-get" => return param_get(pool, line, class).await,
            "param-set" => return param_set(pool, line, class).await,
            "param-add" | "param-remove" | "param-clear" => return param_change(pool, line, class, verb).await,
            _ => {}
        }
    }
    Err(Wrong::Usage(format!("Unknown command: {command}\nFor usage run: 'xe help'")))
}

impl Action {
    fn is_meant(&self, line: &Line) -> bool {
        let mut words = self.command.split(' ');
        words.next() == Some(line.command.as_str())
            && words.all(|word| match (word.strip_prefix("--"), word.strip_suffix('=')) {
                (Some(flag), _) => line.has(flag),
                (None, Some(key)) => line.get(key).is_some(),
                _ => false,
            })
    }

    /// The words that may give a parameter, and what it is without one of them.
    fn source(&self, param: &str) -> (Vec<String>, Option<&'static str>) {
        let row = self.words.iter().find(|(name, _)| *name == param).map(|(_, word)| *word);
        let (name, usual) =
            row.map_or((None, None), |row| row.split_once('=').map_or((Some(row), None), |(n, u)| (Some(n), Some(u))));
        let dashed = word(param);
        let lower = dashed.to_lowercase();
        let mut keys: Vec<String> = name.map(String::from).into_iter().collect();
        keys.extend([format!("{dashed}-uuid"), format!("{lower}-uuid"), dashed, lower]);
        (keys, usual)
    }
}

/// Makes the call of a row.
async fn act(pool: &Pool, line: &Line, action: &Action) -> Done {
    let (class_name, method) = action.method.split_once('.').unwrap_or_default();
    let class = Pool::class(class_name)?;
    let message = class.messages.get(method).ok_or_else(|| Failure::internal(format_args!("no method {}", action.method)))?;
    let mut params = Vec::new();
    for (number, expected) in message.params.iter().filter(|p| p.name != "session_id").enumerate() {
        let (mut keys, usual) = action.source(expected.name);
        if number == 0 {
            // The object itself goes by its uuid, its class, or its name.
            keys.push("uuid".into());
            keys.extend(line.command.split('-').next().map(String::from));
            keys.push("name-label".into());
        }
        let given = line.first(&keys).or(usual);
        let value = match (&expected.kind, given) {
            (Type::Record(of), _) => made(pool, line, action, of).await?,
            (Type::Map(..), _) => gathered(line, &keys[0], &word(expected.name)),
            (Type::Bool, given) => json!(given == Some("true") || line.has(&word(expected.name))),
            (kind, Some(text)) => read(pool, kind, text).await?,
            (_, None) if expected.is_optional => break,
            (Type::Text, None) => json!(""),
            // A host's own tools mean the host they run on.
            (_, None) => return Err(missing(keys.iter().find(|k| k.ends_with("uuid")).unwrap_or(&keys[0]))),
        };
        params.push(value);
    }
    let answer = pool.call(action.method, params).await?;
    told(pool, &message.result, answer).await
}

/// What a command says of the result: the uuid of what was made.
async fn told(pool: &Pool, kind: &Type, answer: Value) -> Done {
    let text = match (kind, &answer) {
        (Type::Void, _) => return Ok(String::new()),
        (Type::Ref(class), Value::String(reference)) => {
            plain(&pool.call(&format!("{class}.get_uuid"), vec![json!(reference)]).await?)
        }
        _ => plain(&answer),
    };
    Ok(format!("{text}\n"))
}

/// A map: of words that begin with its name, or of the words that a row gathers.
fn gathered(line: &Line, key: &str, name: &str) -> Value {
    if let Some(names) = key.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let pairs = names.split(' ').filter_map(|name| {
            let value = line.get(name).map(String::from).or_else(|| line.has(name).then(|| "true".to_string()))?;
            Some((name.to_string(), Value::String(value)))
        });
        return Value::Object(pairs.collect());
    }
    json!(line.map(name))
}

/// A record to be made, of the words that name its fields.
async fn made(pool: &Pool, line: &Line, action: &Action, class: &str) -> Result<Value, Wrong> {
    let class = Pool::class(class)?;
    let mut fields = Map::new();
    for field in &class.fields {
        let (keys, usual) = action.source(field.name);
        let value = match (&field.kind, line.first(&keys).or(usual)) {
            (Type::Map(..), _) => json!(line.map(&word(field.name))),
            (kind, Some(text)) => read(pool, kind, text).await?,
            (_, None) if field.has_default => continue,
            (Type::Bool, None) if field.name == "empty" => json!(line.get("vdi-uuid").is_none()),
            (Type::Bool, None) => json!(false),
            (Type::Set(_), None) => json!([]),
            (Type::Int, None) => json!(0),
            (Type::Ref(_), None) if field.access != crate::sim::datamodel::Access::Pool => json!("OpaqueRef:NULL"),
            (Type::Text, None) => json!(""),
            _ => continue,
        };
        if field.access != crate::sim::datamodel::Access::Pool {
            fields.insert(field.name.to_string(), value);
        }
    }
    Ok(Value::Object(fields))
}

/// A word as a value of a type.
async fn read(pool: &Pool, kind: &Type, text: &str) -> Result<Value, Wrong> {
    let usage = || Wrong::Usage(format!("Failed to parse parameter `{text}`"));
    Ok(match kind {
        Type::Bool => json!(matches!(text, "true" | "t" | "1" | "yes")),
        Type::Int => match text.parse::<i64>() {
            Ok(number) => json!(number),
            Err(_) => json!(crate::unit::parse_size(text).map_err(|_| usage())?),
        },
        Type::Float => json!(text.parse::<f64>().map_err(|_| usage())?),
        Type::Ref(class) => json!(pool.find(class, text).await?),
        Type::Set(kind) => match &**kind {
            Type::Ref(class) => {
                let mut found = Vec::new();
                for word in text.split(',') {
                    found.push(json!(pool.find(class, word.trim()).await?));
                }
                Value::Array(found)
            }
            _ => json!(text.split(',').map(str::trim).collect::<Vec<_>>()),
        },
        Type::Map(..) => {
            let pairs = text.split(',').filter_map(|pair| pair.split_once(['=', ':']));
            json!(pairs.map(|(k, v)| (k.trim().to_string(), v.trim().to_string())).collect::<std::collections::BTreeMap<_, _>>())
        }
        _ => json!(text),
    })
}

/// The records that a line means: by uuid, or by parameters that they have.
async fn meant(pool: &Pool, line: &Line, class: &Class) -> Result<Vec<Record>, Wrong> {
    let known = Pool::class(class.name)?;
    let mut found = Vec::new();
    for record in all(pool, class).await? {
        let mut is_meant = true;
        for (key, value) in line.words.iter().filter(|(key, _)| *key != "params" && *key != "database") {
            is_meant = match key.split_once(':') {
                Some((map, key)) => {
                    let map = record::field(known, map).and_then(|field| record.fields.get(field.name));
                    map.and_then(|map| map.get(key)).is_some_and(|v| plain(v) == *value)
                }
                None => match param(pool, known, &record, key).await? {
                    Some((text, _)) => text == *value || text.split("; ").any(|one| one == value),
                    None => return Err(Wrong::Usage(format!("Unknown field: {key}"))),
                },
            };
            if !is_meant {
                break;
            }
        }
        if is_meant {
            found.push(record);
        }
    }
    Ok(found)
}

async fn list(pool: &Pool, line: &Line, class: &Class) -> Done {
    let known = Pool::class(class.name)?;
    let asked = line.get("params");
    let every: Vec<String>;
    let columns: Vec<&str> = match asked {
        None if line.has("minimal") => vec!["uuid"],
        None => class.columns.to_vec(),
        Some("all") => {
            every = known.fields.iter().map(|field| word(field.name)).collect();
            every.iter().map(String::as_str).collect()
        }
        Some(names) => names.split(',').map(str::trim).collect(),
    };
    let mut shown = Vec::new();
    for record in meant(pool, line, class).await? {
        let mut params = Vec::new();
        for name in &columns {
            if let Some((text, rights)) = param(pool, known, &record, name).await? {
                params.push((name.to_string(), text, rights));
            }
        }
        shown.push(params);
    }
    if line.has("minimal") {
        let values: Vec<&str> = shown.iter().filter_map(|params| params.first().map(|(_, value, _)| value.as_str())).collect();
        return Ok(format!("{}\n", values.join(",")));
    }
    Ok(shown.iter().map(|params| lines(params) + "\n\n").collect())
}

/// The one record that a line names by its uuid.
async fn named(pool: &Pool, line: &Line, class: &Class) -> Result<Record, Wrong> {
    let uuid = line.get("uuid").ok_or_else(|| missing("uuid"))?;
    let reference = pool.find(class.name, uuid).await?;
    let records = pool.records(class.name).await?;
    let found = records.into_iter().find(|record| record.reference == reference);
    found.ok_or_else(|| Wrong::Pool(Failure::new("UUID_INVALID", [class.name, uuid])))
}

async fn param_list(pool: &Pool, line: &Line, class: &Class) -> Done {
    let (known, record) = (Pool::class(class.name)?, named(pool, line, class).await?);
    let mut params = Vec::new();
    for field in &known.fields {
        if let Some((text, rights)) = param(pool, known, &record, &word(field.name)).await? {
            params.push((word(field.name), text, rights));
        }
    }
    Ok(lines(&params) + "\n\n")
}

async fn param_get(pool: &Pool, line: &Line, class: &Class) -> Done {
    let (known, record) = (Pool::class(class.name)?, named(pool, line, class).await?);
    let name = line.get("param-name").ok_or_else(|| missing("param-name"))?;
    let unknown = || Wrong::Usage(format!("Error: parameter `{name}` not found"));
    let Some(key) = line.get("param-key") else {
        let (text, _) = param(pool, known, &record, name).await?.ok_or_else(unknown)?;
        return Ok(format!("{text}\n"));
    };
    let (text, _) = param(pool, known, &record, name).await?.ok_or_else(unknown)?;
    let value = text.split("; ").find_map(|pair| pair.strip_prefix(key)?.strip_prefix(": "));
    let value = value.ok_or_else(|| Wrong::Usage(format!("Error: Key {key} not found in map")))?;
    Ok(format!("{value}\n"))
}

fn writable<'a>(known: &'a crate::sim::datamodel::Class, name: &str) -> Result<&'a Field, Wrong> {
    record::field(known, name).ok_or_else(|| Wrong::Usage(format!("Error: Unknown parameter `{name}`")))
}

async fn param_set(pool: &Pool, line: &Line, class: &Class) -> Done {
    let (known, record) = (Pool::class(class.name)?, named(pool, line, class).await?);
    for (key, value) in line.words.iter().filter(|(key, _)| *key != "uuid") {
        if let Some((map, key)) = key.split_once(':') {
            let field = writable(known, map)?;
            put(pool, class, &record, field, key, Some(value)).await?;
            continue;
        }
        let field = writable(known, key)?;
        let value = read(pool, &field.kind, value).await?;
        pool.call(&format!("{}.set_{}", class.name, field.name), vec![json!(record.reference), value]).await?;
    }
    Ok(String::new())
}

/// Sets or removes a key of a map.
async fn put(pool: &Pool, class: &Class, record: &Record, field: &Field, key: &str, value: Option<&str>) -> Result<(), Wrong> {
    let method = |verb: &str| format!("{}.{verb}_{}", class.name, field.name);
    pool.call(&method("remove_from"), vec![json!(record.reference), json!(key)]).await?;
    if let Some(value) = value {
        pool.call(&method("add_to"), vec![json!(record.reference), json!(key), json!(value)]).await?;
    }
    Ok(())
}

async fn param_change(pool: &Pool, line: &Line, class: &Class, verb: &str) -> Done {
    let (known, record) = (Pool::class(class.name)?, named(pool, line, class).await?);
    let name = line.get("param-name").ok_or_else(|| missing("param-name"))?;
    let field = writable(known, name)?;
    let method = |verb: &str| format!("{}.{verb}_{}", class.name, field.name);
    match (verb, &field.kind) {
        ("param-clear", Type::Map(..)) => drop(pool.call(&method("set"), vec![json!(record.reference), json!({})]).await?),
        ("param-clear", Type::Set(_)) => drop(pool.call(&method("set"), vec![json!(record.reference), json!([])]).await?),
        ("param-clear", _) => drop(pool.call(&method("set"), vec![json!(record.reference), json!("")]).await?),
        (_, Type::Set(_)) => {
            let key = line.get("param-key").ok_or_else(|| missing("param-key"))?;
            let verb = if verb == "param-add" { "add" } else { "remove" };
            pool.call(&method(verb), vec![json!(record.reference), json!(key)]).await?;
        }
        ("param-remove", _) => {
            let key = line.get("param-key").ok_or_else(|| missing("param-key"))?;
            put(pool, class, &record, field, key, None).await?;
        }
        _ => {
            for (key, value) in line.words.iter().filter(|(key, _)| !["uuid", "param-name"].contains(&key.as_str())) {
                let params = vec![json!(record.reference), json!(key), json!(value)];
                pool.call(&method("add_to"), params).await?;
            }
        }
    }
    Ok(String::new())
}

/// Makes a VM of a template: a clone, provisioned.
async fn install(pool: &Pool, line: &Line) -> Done {
    let keys = ["template", "template-uuid", "template-name-label", "template-name"].map(String::from);
    let template = pool.find("VM", line.first(&keys).ok_or_else(|| missing("template"))?).await?;
    let name = line.get("new-name-label").ok_or_else(|| missing("new-name-label"))?;
    let made = match line.get("sr-uuid") {
        Some(sr) => {
            let sr = pool.find("SR", sr).await?;
            pool.call("VM.copy", vec![json!(template), json!(name), json!(sr)]).await?
        }
        None => pool.call("VM.clone", vec![json!(template), json!(name)]).await?,
    };
    pool.call("VM.provision", vec![made.clone()]).await?;
    told(pool, &Type::Ref("VM"), made).await
}

/// Removes a VM with the disks that are its own.
async fn uninstall(pool: &Pool, line: &Line) -> Done {
    let keys = ["uuid", "vm", "snapshot-uuid", "template-uuid"].map(String::from);
    let vm = pool.find("VM", line.first(&keys).ok_or_else(|| missing("uuid"))?).await?;
    let record = pool.call("VM.get_record", vec![json!(vm)]).await?;
    let mut disks = Vec::new();
    for vbd in record.get("VBDs").and_then(Value::as_array).into_iter().flatten() {
        let vbd = pool.call("VBD.get_record", vec![vbd.clone()]).await?;
        if vbd.get("type").and_then(Value::as_str) == Some("Disk") {
            disks.extend(vbd.get("VDI").cloned());
        }
    }
    if record.get("power_state").and_then(Value::as_str) != Some("Halted") {
        pool.call("VM.hard_shutdown", vec![json!(vm)]).await?;
    }
    pool.call("VM.destroy", vec![json!(vm)]).await?;
    for disk in disks {
        pool.call("VDI.destroy", vec![disk]).await?;
    }
    Ok("All objects destroyed\n".into())
}
