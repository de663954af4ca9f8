//! What goes over plain HTTP beside the calls: images of VMs, pictures of consoles, reports of hosts.

use super::encode::Format;
use super::endpoint::{Door, from_json};
use super::failure::{Failure, Outcome};
use super::value::{Ref, Value};
use super::xapi;
use super::{console, xva};
use crate::wire::xmlrpc;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use futures_util::StreamExt;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use tokio::sync::mpsc;

/// The largest image that is taken.
const LARGEST: u64 = 64 << 30;

/// Pieces of an image that wait to be sent.
const WAITING: usize = 8;

/// The paths of a host that are no calls.
pub fn router() -> Router<Door> {
    Router::new()
        .route("/export", get(export))
        .route("/import", put(import))
        .route("/vncsnapshot", get(picture))
        .layer(DefaultBodyLimit::disable())
}

/// One request, in the session that it names.
struct Request {
    door: Door,
    words: HashMap<String, String>,
}

impl Request {
    fn word(&self, name: &str) -> &str {
        self.words.get(name).map_or("", String::as_str)
    }

    /// Calls a method in the session of the request.
    async fn call(&self, method: &str, params: Vec<Json>) -> Outcome<Json> {
        let mut all = vec![xmlrpc::Value::text(self.word("session_id"))];
        all.extend(params.into_iter().map(from_json));
        // A member asks its master.
        let master = self.door.engine.with(|world| xapi::session::master_of(world, &self.door.host));
        let reply = self.door.engine.call(&master, method, all, Format::Json1("0".into())).await;
        let answer: Json = serde_json::from_str(&reply.body).map_err(Failure::internal)?;
        match answer.get("error").and_then(Json::as_array) {
            Some(words) => {
                let mut words = words.iter().map(|word| word.as_str().unwrap_or_default().to_string());
                Err(Failure { code: words.next().unwrap_or_default(), params: words.collect() })
            }
            None => Ok(answer.get("result").cloned().unwrap_or_default()),
        }
    }

    async fn record(&self, class: &str, reference: &Json) -> Outcome<Map<String, Json>> {
        match self.call(&format!("{class}.get_record"), vec![reference.clone()]).await? {
            Json::Object(record) => Ok(record),
            _ => Err(Failure::internal("a record that is none")),
        }
    }

    /// Where the same is to be asked instead, when this host does not have one of these SRs and another has them all.
    fn elsewhere(&self, stores: &[Ref], headers: &HeaderMap, uri: &Uri) -> Option<String> {
        let port = headers.get(header::HOST)?.to_str().ok()?.rsplit_once(':')?.1.to_string();
        self.door.engine.with(|world| {
            let place = world.site.hosts.get(&*self.door.host)?;
            let db = world.pools.get(place.pool)?;
            let sees = |host: Ref| stores.iter().all(|sr| xapi::host::sees(db, host, *sr));
            if sees(db.by_uuid("host", &self.door.host)?) {
                return None;
            }
            let other = db.all("host").into_iter().find(|host| xapi::host::is_live(db, *host) && sees(*host))?;
            let scheme = if world.site.options.tls { "https" } else { "http" };
            Some(format!("{scheme}://{}:{port}{uri}", db.text(other, "address")))
        })
    }

    /// Writes down how its task has ended, if it has one.
    fn end(&self, outcome: &Outcome<Value>) {
        self.with_task(|cx, task| xapi::task::end(cx, task, outcome));
    }

    fn with_task(&self, work: impl FnOnce(&mut super::world::Cx<'_>, Ref)) {
        let Some(task) = Ref::parse(self.word("task_id")).filter(|task| !task.is_null()) else { return };
        self.door.engine.with(|world| {
            let pool = world.pools.iter().position(|pool| pool.exists(task));
            if let Some(mut cx) = pool.and_then(|pool| world.cx(pool)) {
                work(&mut cx, task);
            }
        });
    }

    /// The answer of a request that cannot be done; its task says why.
    fn refuse(&self, failure: Failure) -> Response {
        let status = if failure.code == "SESSION_INVALID" { StatusCode::UNAUTHORIZED } else { StatusCode::INTERNAL_SERVER_ERROR };
        let text = format!("{failure}\n");
        self.end(&Err(failure));
        (status, text).into_response()
    }
}

/// The words of a query, with what is percent-encoded in them.
fn words(query: &str) -> HashMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decoded(key), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(meant) => {
                bytes.push(meant);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn list(record: &Map<String, Json>, field: &str) -> Vec<Json> {
    record.get(field).and_then(Json::as_array).cloned().unwrap_or_default()
}

fn text<'a>(record: &'a Map<String, Json>, field: &str) -> &'a str {
    record.get(field).and_then(Json::as_str).unwrap_or_default()
}

// ── export ──

async fn export(State(door): State<Door>, headers: HeaderMap, uri: Uri) -> Response {
    let request = Request { door, words: words(uri.query().unwrap_or_default()) };
    let (records, disks, stores) = match gather(&request).await {
        Ok(all) => all,
        Err(failure) => return request.refuse(failure),
    };
    if let Some(there) = request.elsewhere(&stores, &headers, &uri) {
        return (StatusCode::FOUND, [(header::LOCATION, there)]).into_response();
    }
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let progress = |part: f64| request.with_task(|cx, task| cx.db.set(task, "progress", part * 0.99));
        let mut pieces = io::BufWriter::with_capacity(64 << 10, Pieces(sender));
        let result = xva::write(&mut pieces, &records, &disks, progress).and_then(|()| pieces.flush());
        let outcome = result.map(|()| Value::Void).map_err(|_| Failure::new("CLIENT_ERROR", ["the connection was lost"]));
        request.end(&outcome);
    });
    let stream =
        futures_util::stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|piece| (piece, receiver)) });
    ([(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(stream.map(Ok::<Bytes, io::Error>))).into_response()
}

/// Sends what is written on to the connection.
struct Pieces(mpsc::Sender<Bytes>);

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Bytes::copy_from_slice(data));
        sent.map(|()| data.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The records of a VM and what belongs to it, and its disks.
async fn gather(request: &Request) -> Outcome<(String, Vec<xva::Disk>, Vec<Ref>)> {
    let vm = match request.word("ref") {
        "" => request.call("VM.get_by_uuid", vec![json!(request.word("uuid"))]).await?,
        reference => json!(reference),
    };
    let record = request.record("VM", &vm).await?;
    if !matches!(text(&record, "power_state"), "Halted" | "Suspended") {
        let words = [vm.as_str().unwrap_or_default(), "halted", &text(&record, "power_state").to_lowercase()].map(String::from);
        return Err(Failure::new("VM_BAD_POWER_STATE", words));
    }
    let mut objects = vec![("VM", vm, record.clone())];
    for (field, class, beside) in [("VBDs", "VBD", "VDI"), ("VIFs", "VIF", "network")] {
        for reference in list(&record, field) {
            let device = request.record(class, &reference).await?;
            let other = device.get(beside).cloned().unwrap_or_default();
            objects.push((class, reference, device));
            let is_known = objects.iter().any(|(_, known, _)| *known == other);
            if !is_known && other.as_str().is_some_and(|other| other != Ref::NULL.to_string()) {
                let record = request.record(beside, &other).await?;
                objects.push((beside, other, record));
            }
        }
    }
    let ids: BTreeMap<String, String> = objects
        .iter()
        .enumerate()
        .map(|(n, (_, reference, _))| (reference.as_str().unwrap_or_default().into(), format!("Ref:{n}")))
        .collect();
    let (mut disks, mut stores) = (Vec::new(), Vec::new());
    // A disc in a drive is no disk of the VM.
    let is_disk =
        |vdi: &Json| objects.iter().any(|(class, _, r)| *class == "VBD" && r.get("VDI") == Some(vdi) && text(r, "type") == "Disk");
    for (_, reference, vdi) in objects.iter().filter(|(class, reference, _)| *class == "VDI" && is_disk(reference)) {
        let uuid = text(vdi, "uuid").to_string();
        stores.extend(Ref::parse(text(vdi, "SR")));
        let (inside, system) =
            request.door.engine.with(|world| (world.site.inside.clone(), world.site.systems.get(uuid.as_str()).cloned()));
        let image = inside.disk_image(&uuid, system.as_deref()).map_err(Failure::internal)?;
        let size = vdi.get("virtual_size").map_or(0, number);
        disks.push(xva::Disk { id: ids[reference.as_str().unwrap_or_default()].clone(), size, image });
    }
    Ok((described(&objects, &ids), disks, stores))
}

fn number(value: &Json) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

/// The text of `ova.xml`.
fn described(objects: &[(&str, Json, Map<String, Json>)], ids: &BTreeMap<String, String>) -> String {
    let version = json!({
        "hostname": "localhost", "date": "2026-11-23", "product_version": "8.4.0", "product_brand": "XenServer",
        "build_number": "simulated", "xapi_major": "1", "xapi_minor": "20", "export_vsn": "2",
    });
    let objects: Vec<Json> = objects
        .iter()
        .map(|(class, reference, record)| {
            let id = &ids[reference.as_str().unwrap_or_default()];
            json!({ "class": class, "id": id, "snapshot": renamed(&Json::Object(record.clone()), ids) })
        })
        .collect();
    let mut out = String::new();
    xmlrpc::write_value(&mut out, &in_xml(&json!({ "version": version, "objects": objects })));
    out
}

/// The references of what is exported by their new names, all others as none.
fn renamed(value: &Json, ids: &BTreeMap<String, String>) -> Json {
    match value {
        Json::String(text) if text.starts_with("OpaqueRef:") => json!(ids.get(text).map_or("OpaqueRef:NULL", String::as_str)),
        Json::Array(items) => items.iter().map(|item| renamed(item, ids)).filter(|item| *item != "OpaqueRef:NULL").collect(),
        Json::Object(members) => members.iter().map(|(key, item)| (key.clone(), renamed(item, ids))).collect(),
        other => other.clone(),
    }
}

fn in_xml(value: &Json) -> xmlrpc::Value {
    match value {
        // XAPI's integers are strings in XML-RPC.
        Json::Number(number) if number.is_i64() => xmlrpc::Value::text(number.to_string()),
        Json::Array(items) => xmlrpc::Value::Array(items.iter().map(in_xml).collect()),
        Json::Object(members) => xmlrpc::Value::Struct(members.iter().map(|(key, item)| (key.clone(), in_xml(item))).collect()),
        other => from_json(other.clone()),
    }
}

// ── import ──

async fn import(State(door): State<Door>, uri: Uri, body: Body) -> Response {
    let request = Request { door, words: words(uri.query().unwrap_or_default()) };
    // Before anything is taken: who is it?
    if let Err(failure) = request.call("pool.get_all", Vec::new()).await {
        return request.refuse(failure);
    }
    let outcome = async {
        let file = received(body).await.map_err(|error| Failure::new("IMPORT_ERROR", [error.to_string()]))?;
        let read = tokio::task::spawn_blocking(move || xva::read(io::BufReader::new(file))).await;
        let (records, disks) = read.map_err(Failure::internal)??;
        let mut made = Vec::new();
        let vm = build(&request, &records, disks, &mut made).await;
        if vm.is_err() {
            // The last first, as what was made later stands on what was made before.
            for (class, reference) in made.iter().rev() {
                let _ = request.call(&format!("{class}.destroy"), vec![reference.clone()]).await;
            }
        }
        vm
    };
    match outcome.await {
        Ok(vm) => {
            let made = Ref::parse(vm.as_str().unwrap_or_default()).unwrap_or_default();
            request.end(&Ok(Value::Set(vec![Value::Ref(made)])));
            StatusCode::OK.into_response()
        }
        Err(failure) => request.refuse(failure),
    }
}

async fn received(body: Body) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    let mut stream = body.into_data_stream();
    let mut total = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(io::Error::other)?;
        total += piece.len() as u64;
        if total > LARGEST {
            return Err(io::Error::other("the image is too large"));
        }
        file.write_all(&piece)?;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// An object of an image.
struct Object {
    class: String,
    id: String,
    record: Map<String, Json>,
}

fn objects(records: &str) -> Outcome<Vec<Object>> {
    let wrong = |why: &str| Failure::new("IMPORT_ERROR", [why]);
    let whole = format!("<methodResponse><params><param>{records}</param></params></methodResponse>");
    let parsed = match xmlrpc::parse_answer(&whole).map_err(|error| wrong(&error.what))? {
        xmlrpc::Answer::Value(value) => in_json(&value),
        xmlrpc::Answer::Fault { .. } => return Err(wrong("ova.xml is no record")),
    };
    let objects = parsed.get("objects").and_then(Json::as_array).ok_or_else(|| wrong("ova.xml has no objects"))?;
    let object = |object: &Json| {
        let word = |name: &str| object.get(name).and_then(Json::as_str).map(String::from);
        let record = object.get("snapshot").and_then(Json::as_object).cloned();
        Some(Object { class: word("class")?, id: word("id")?, record: record? })
    };
    Ok(objects.iter().filter_map(object).collect())
}

fn in_json(value: &xmlrpc::Value) -> Json {
    use xmlrpc::Value as Xml;
    match value {
        Xml::Nil => Json::Null,
        Xml::Bool(is) => json!(is),
        Xml::Int(number) => json!(number),
        Xml::Double(number) => json!(number),
        Xml::Array(items) => items.iter().map(in_json).collect(),
        Xml::Struct(members) => Json::Object(members.iter().map(|(key, item)| (key.clone(), in_json(item))).collect()),
        other => json!(other.as_str().unwrap_or_default()),
    }
}

/// Makes what an image describes; everything made is in `made` at each moment.
async fn build(
    request: &Request,
    records: &str,
    mut disks: BTreeMap<String, File>,
    made: &mut Vec<(&'static str, Json)>,
) -> Outcome<Json> {
    let objects = objects(records)?;
    let sr = place(request).await?;
    let mut new: BTreeMap<&str, Json> = BTreeMap::new();
    let vm_object =
        objects.iter().find(|o| o.class == "VM").ok_or_else(|| Failure::new("IMPORT_ERROR", ["there is no VM in the image"]))?;
    for vdi in objects.iter().filter(|o| o.class == "VDI") {
        let Some(image) = disks.remove(&vdi.id) else { continue };
        let mut record = own(&vdi.record);
        record.insert("SR".into(), sr.clone());
        let reference = request.call("VDI.create", vec![Json::Object(record)]).await?;
        made.push(("VDI", reference.clone()));
        let uuid = request.call("VDI.get_uuid", vec![reference.clone()]).await?;
        fill(request, uuid.as_str().unwrap_or_default(), image)?;
        new.insert(&vdi.id, reference);
    }
    let mut record = own(&vm_object.record);
    for (field, value) in
        [("power_state", json!("Halted")), ("affinity", json!(Ref::NULL.to_string())), ("suspend_SR", json!(Ref::NULL.to_string()))]
    {
        record.insert(field.into(), value);
    }
    let vm = request.call("VM.create", vec![Json::Object(record)]).await?;
    made.push(("VM", vm.clone()));
    for device in objects.iter().filter(|o| o.class == "VBD") {
        let mut record = own(&device.record);
        let vdi = new.get(text(&device.record, "VDI"));
        let is_empty = vdi.is_none();
        if is_empty && text(&record, "type") == "Disk" {
            continue;
        }
        record.insert("empty".into(), json!(is_empty));
        record.insert("VDI".into(), vdi.cloned().unwrap_or_else(|| json!(Ref::NULL.to_string())));
        record.insert("VM".into(), vm.clone());
        request.call("VBD.create", vec![Json::Object(record)]).await?;
    }
    for device in objects.iter().filter(|o| o.class == "VIF") {
        let mut record = own(&device.record);
        let network = objects.iter().find(|o| o.id == text(&device.record, "network")).map(|o| &o.record);
        record.insert("network".into(), network_like(request, network).await?);
        record.insert("VM".into(), vm.clone());
        if request.word("restore") != "true" {
            // A copy has an address of its own.
            record.insert("MAC".into(), json!(""));
        }
        request.call("VIF.create", vec![Json::Object(record)]).await?;
    }
    Ok(vm)
}

/// What a record says of itself, without what it says of other objects of the image.
fn own(record: &Map<String, Json>) -> Map<String, Json> {
    let leads_away = |value: &Json| value.as_str().is_some_and(|text| text.starts_with("Ref:"));
    let is_own = |value: &Json| match value {
        Json::Array(items) => !items.iter().any(leads_away),
        Json::Object(members) => !members.values().any(leads_away),
        other => !leads_away(other),
    };
    record.iter().filter(|(_, value)| is_own(value)).map(|(field, value)| (field.clone(), value.clone())).collect()
}

/// The SR where the disks go: the one that is named, or the pool's own.
async fn place(request: &Request) -> Outcome<Json> {
    if let Some(uuid) = request.words.get("sr_uuid") {
        return request.call("SR.get_by_uuid", vec![json!(uuid)]).await;
    }
    match request.word("sr_id") {
        "" => {
            let pools = request.call("pool.get_all", Vec::new()).await?;
            request.call("pool.get_default_SR", vec![pools.get(0).cloned().unwrap_or_default()]).await
        }
        reference => Ok(json!(reference)),
    }
}

fn fill(request: &Request, uuid: &str, image: File) -> Outcome<()> {
    let inside = request.door.engine.with(|world| world.site.inside.clone());
    let system = inside.disk_filled(uuid, image).map_err(|error| Failure::new("IMPORT_ERROR", [error.to_string()]))?;
    if let Some(system) = system {
        request.door.engine.with(|world| world.site.systems.insert(uuid.into(), system.into()));
    }
    Ok(())
}

/// The network here that is most like one of the image: by uuid, by bridge, by name, or any.
async fn network_like(request: &Request, wanted: Option<&Map<String, Json>>) -> Outcome<Json> {
    let all = request.call("network.get_all_records", Vec::new()).await?;
    let all: Vec<(&String, &Json)> = all.as_object().into_iter().flatten().collect();
    let like = |field: &str| all.iter().find(|(_, record)| wanted.is_some_and(|w| record.get(field) == w.get(field)));
    let found = ["uuid", "bridge", "name_label"].iter().find_map(|field| like(field)).or(all.first());
    found.map(|(reference, _)| json!(reference)).ok_or_else(|| Failure::new("IMPORT_ERROR", ["there is no network here"]))
}

// ── pictures ──

async fn picture(State(door): State<Door>, uri: Uri) -> Response {
    let request = Request { door, words: words(uri.query().unwrap_or_default()) };
    let shown = async {
        let (reference, uuid) = (request.word("ref"), request.word("uuid"));
        let vm = match request.record("console", &json!(reference)).await {
            Ok(console) => console.get("VM").cloned().unwrap_or_default(),
            Err(failure) if failure.code == "SESSION_INVALID" => return Err(failure),
            Err(_) if !uuid.is_empty() => request.call("VM.get_by_uuid", vec![json!(uuid)]).await?,
            Err(_) => json!(reference),
        };
        let record = request.record("VM", &vm).await?;
        let state = text(&record, "power_state");
        if state != "Running" {
            let words = [vm.as_str().unwrap_or_default(), "running", &state.to_lowercase()].map(String::from);
            return Err(Failure::new("VM_BAD_POWER_STATE", words));
        }
        Ok(console::picture(&[text(&record, "name_label"), "", &format!("{} login:", text(&record, "name_label"))]))
    };
    match shown.await {
        Ok(picture) => ([(header::CONTENT_TYPE, "image/png")], picture).into_response(),
        Err(failure) => request.refuse(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read() {
        let words = words("session_id=OpaqueRef%3aab&uuid=%4&x&=y&a=b%20c");
        assert_eq!((words["session_id"].as_str(), words["uuid"].as_str(), words["a"].as_str()), ("OpaqueRef:ab", "%4", "b c"));
    }

    #[test]
    fn records_are_read_back_as_they_were_written() {
        let vm = json!({ "uuid": "u", "VCPUs_max": 2, "VBDs": ["OpaqueRef:b", "OpaqueRef:x"], "affinity": "OpaqueRef:x", "is_a_template": false });
        let record = vm.as_object().unwrap().clone();
        let ids = BTreeMap::from([("OpaqueRef:v".to_string(), "Ref:0".to_string()), ("OpaqueRef:b".into(), "Ref:1".into())]);
        let text = described(&[("VM", json!("OpaqueRef:v"), record)], &ids);
        let read = objects(&text).unwrap();
        assert_eq!((read[0].class.as_str(), read[0].id.as_str()), ("VM", "Ref:0"));
        let expected =
            json!({ "uuid": "u", "VCPUs_max": "2", "VBDs": ["Ref:1"], "affinity": "OpaqueRef:NULL", "is_a_template": false });
        assert_eq!(Json::Object(read[0].record.clone()), expected);
        assert!(objects("<value>nothing</value>").is_err());
        assert!(objects("no xml").is_err());
    }
}
