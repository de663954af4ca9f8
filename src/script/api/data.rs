//! Numbers, sizes, texts, tables and files on the controller: what would be slow or clumsy in a script.

use crate::error::Whereabouts;
use crate::script::case::Case;
use crate::script::failure::{Raised, misuse, raise};
use crate::script::show;
use crate::unit;
use rhai::plugin::*;
use rhai::{Array, Blob, Dynamic};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(data);

/// The largest local file that a script can read into a text.
const LARGEST_READ: u64 = 64 << 20;

#[export_module(manifest)]
mod data {
    /// 1024 bytes.
    pub const KIB: i64 = 1 << 10;
    /// 1024 KiB in bytes.
    pub const MIB: i64 = 1 << 20;
    /// 1024 MiB in bytes.
    pub const GIB: i64 = 1 << 30;
    /// An hour in seconds.
    pub const HOUR: i64 = 3600;

    /// Gives so many KiB in bytes.
    ///
    /// ```rhai
    /// check(kib(2) == 2048, "1024-based");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn kib(n: Dynamic) -> Raised<i64> {
        scaled("kib", &n, 1 << 10)
    }

    /// Gives so many MiB in bytes.
    ///
    /// ```rhai
    /// check(mib(1) == 1048576, "1024-based");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mib(n: Dynamic) -> Raised<i64> {
        scaled("mib", &n, 1 << 20)
    }

    /// Gives so many GiB in bytes.
    ///
    /// ```rhai
    /// check(gib(0.5) == mib(512), "1024-based");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn gib(n: Dynamic) -> Raised<i64> {
        scaled("gib", &n, 1 << 30)
    }

    /// Gives the bytes of a size such as "64MiB" or "2G".
    ///
    /// ```rhai
    /// check(bytes("64MiB") == mib(64), "the same size");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn bytes(size: &str) -> Raised<i64> {
        let parsed = unit::parse_size(size).map_err(|e| misuse(e.what, e.help))?;
        i64::try_from(parsed).map_err(|_| misuse(format!("`{size}` is too large"), None))
    }

    /// Gives the seconds of a duration such as "10m" or "1h30m".
    ///
    /// ```rhai
    /// check(seconds("1h30m") == 5400.0, "the same time");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn seconds(duration: &str) -> Raised<f64> {
        unit::parse_duration(duration).map(|d| d.as_secs_f64()).map_err(|e| misuse(e.what, e.help))
    }

    /// Gives the number at the beginning of a text, or `()` when there is none: "12.5 MB/s" is 12.5.
    ///
    /// ```rhai
    /// check(to_number(" 12.5 MB/s") == 12.5, "the number in front");
    /// check(to_number("none") == (), "no number");
    /// ```
    pub fn to_number(text: &str) -> Dynamic {
        let text = text.trim_start();
        let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
        // "1e" of "1exabyte" is no number, its beginning is.
        for cut in (1..=end).rev().filter(|cut| text.is_char_boundary(*cut)) {
            if let Ok(whole) = text[..cut].parse::<i64>() {
                return whole.into();
            }
            if let Some(number) = text[..cut].parse::<f64>().ok().filter(|n| n.is_finite()) {
                return number.into();
            }
        }
        Dynamic::UNIT
    }

    /// Gives the rows of a comma-separated text as lists of texts.
    ///
    /// ```rhai
    /// check(parse_csv("a,b\n1,\"x,y\"")[1][1] == "x,y", "quotes are understood");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn parse_csv(text: &str) -> Raised<Array> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut rows = Array::new();
        for record in reader.records() {
            let record = record.map_err(|e| misuse(format!("not a comma-separated table: {e}"), None))?;
            let row: Array = record.iter().map(|cell| Dynamic::from(cell.to_string())).collect();
            rows.push(row.into());
        }
        Ok(rows)
    }

    /// Gives the value of a JSON text: objects become maps, `null` becomes `()`.
    ///
    /// ```rhai
    /// check(parse_json(`{"jobs": [1, 2]}`).jobs.len() == 2, "two jobs");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn parse_json(text: &str) -> Raised<Dynamic> {
        serde_json::from_str(text).map_err(|e| {
            let beginning = crate::context::clip(text.trim_start(), 80);
            misuse(format!("not JSON: {e}; it begins with `{beginning}`"), None)
        })
    }

    /// Gives the groups of the first match of a regular expression (the whole match first), or `()` when nothing matches.
    ///
    /// ```rhai
    /// check(matches("up 31 s", "up ([0-9]+) s")[1] == "31", "the group");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn matches(text: &str, pattern: &str) -> Raised<Dynamic> {
        let expression = compiled(pattern)?;
        Ok(expression.captures(text).map_or(Dynamic::UNIT, |found| groups(&found)))
    }

    /// Gives all matches of a regular expression, each as a list of its groups.
    ///
    /// ```rhai
    /// check(all_matches("a1 b2", "([a-z])([0-9])").len() == 2, "two");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn all_matches(text: &str, pattern: &str) -> Raised<Array> {
        let expression = compiled(pattern)?;
        Ok(expression.captures_iter(text).map(|found| groups(&found)).collect())
    }

    /// Gives the name of a file without its folder and its ending. Both `/` and `\` part folders.
    ///
    /// ```rhai
    /// check(file_stem("/tmp/seq_read.json") == "seq_read", "the stem");
    /// ```
    pub fn file_stem(path: &str) -> String {
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem }).to_string()
    }

    /// Gives a text as one word for a shell, quoted where it has to be.
    ///
    /// ```rhai
    /// check(quote("two words") == "'two words'", "one word");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn quote(text: &str) -> Raised<String> {
        let quoted = shlex::try_quote(text).map_err(|_| misuse("a text with a NUL byte cannot be a word of a shell", None))?;
        Ok(quoted.into_owned())
    }

    /// Gives a name that nothing else has, beginning with a prefix.
    ///
    /// ```rhai
    /// let name = random_name("nfs");
    /// ```
    pub fn random_name(prefix: &str) -> String {
        crate::name::unlike_others(prefix)
    }

    /// Gives a random, locally administered MAC address.
    ///
    /// ```rhai
    /// check(random_mac().len() == 17, "six bytes");
    /// ```
    pub fn random_mac() -> String {
        crate::name::random_mac()
    }

    /// Saves a text (or a blob) as a file of the testcase, in its results directory.
    ///
    /// ```rhai
    /// save_file("notes.txt", "all is well\n");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn save_file(call: NativeCallContext, name: &str, data: Dynamic) -> Raised<()> {
        let case = Case::of(&call)?;
        if !is_plain_path(name) {
            return Err(no_file(name));
        }
        let bytes = data.read_lock::<Blob>().map_or_else(|| show::plain(&data).into_bytes(), |blob| blob.clone());
        let path = case.context.file(name).map_err(|e| raise(&case.context, &e))?;
        std::fs::write(&path, &bytes).at(format_args!("write `{}`", path.display())).map_err(|e| raise(&case.context, &e))?;
        case.context.attach(&path);
        Ok(())
    }

    /// Reads a file of the controller as text.
    ///
    /// ```rhai
    /// // let profile = read_local("profiles/fast.ini");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn read_local(call: NativeCallContext, path: &str) -> Raised<String> {
        let case = Case::of(&call)?;
        let read = || -> crate::error::Result<String> {
            use std::io::Read;
            let doing = format!("read `{path}`");
            let file = std::fs::File::open(path).at(&doing)?;
            let mut bytes = Vec::new();
            file.take(LARGEST_READ).read_to_end(&mut bytes).at(&doing)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().map_err(|e| raise(&case.context, &e))
    }

    /// Gives the path of a file on the controller: one that is there already, by its path or its name below `INPUTDIR`, or what a
    /// web server has, which is fetched among the testcase's files once. It is an error of kind `not_found` when there is none.
    ///
    /// ```rhai
    /// save_file("disk.img", "…");
    /// let path = get_file(work_dir() + "/disk.img");
    /// check(read_local(path) == "…", path);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn get_file(call: NativeCallContext, name: &str) -> Raised<String> {
        let case = Case::of(&call)?;
        let inputs = case.variables.lookup("INPUTDIR").map_err(|e| raise(&case.context, &e))?;
        let path = crate::lab::download::local(name, inputs.as_deref(), &case.context).map_err(|e| raise(&case.context, &e))?;
        Ok(path.display().to_string())
    }

    /// Tells whether there is a `<name>.tgz` below the address in `TEST_TARBALL_BASE`; without that there is none. `fetch_tarball`
    /// brings it to a guest.
    ///
    /// ```rhai
    /// if !tarball_exists("iometer") { log("the site has no iometer"); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn tarball_exists(call: NativeCallContext, name: &str) -> Raised<bool> {
        let Some(url) = tarball(&call, name)? else { return Ok(false) };
        let case = Case::of(&call)?;
        crate::lab::download::is_there(&url, &case.context.cancel()).map_err(|e| raise(&case.context, &e))
    }

    /// Removes a file of the testcase from its results directory; it need not be there.
    ///
    /// ```rhai
    /// save_file("large.bin", "…");
    /// remove_local("large.bin");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn remove_local(call: NativeCallContext, name: &str) -> Raised<()> {
        let case = Case::of(&call)?;
        if !is_plain_path(name) {
            return Err(no_file(name));
        }
        let path = case.context.dir().join(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                let removed: crate::error::Result<()> = Err(e).at(format_args!("remove `{}`", path.display()));
                removed.map_err(|e| raise(&case.context, &e))
            }
            _ => Ok(()),
        }
    }

    /// Gives the directory of the testcase's files on the controller, made if it is not there.
    ///
    /// ```rhai
    /// log(work_dir());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn work_dir(call: NativeCallContext) -> Raised<String> {
        let case = Case::of(&call)?;
        case.context.file(".").map_err(|e| raise(&case.context, &e))?;
        Ok(case.context.dir().display().to_string())
    }
}

/// The address of a tool, where the site has any.
pub(super) fn tarball(call: &NativeCallContext, name: &str) -> Raised<Option<String>> {
    let case = Case::of(call)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-._/".contains(c);
    if !is_plain_path(name) || !name.chars().all(plain) {
        return Err(misuse(
            format!("`{name}` is no name of a tarball"),
            Some("it is its name without `.tgz`, such as iometer".into()),
        ));
    }
    let base = case.variables.lookup("TEST_TARBALL_BASE").map_err(|e| raise(&case.context, &e))?;
    Ok(base.filter(|base| !base.is_empty()).map(|base| format!("{}/{name}.tgz", base.trim_end_matches('/'))))
}

fn no_file(name: &str) -> Box<rhai::EvalAltResult> {
    misuse(format!("`{name}` is no name of a file of the testcase"), Some("use a relative path without `..`".into()))
}

/// Whether a name stays below the directory that it is joined to.
fn is_plain_path(name: &str) -> bool {
    let path = std::path::Path::new(name);
    !name.is_empty() && path.components().all(|c| matches!(c, std::path::Component::Normal(_)))
}

fn scaled(name: &str, n: &Dynamic, unit: i64) -> Raised<i64> {
    let number = n.as_float().ok().or_else(|| n.as_int().ok().map(|n| n as f64));
    let bytes = number.map(|n| (n * unit as f64).round()).filter(|b| b.is_finite() && b.abs() < i64::MAX as f64);
    bytes.map(|b| b as i64).ok_or_else(|| misuse(format!("`{name}({})` is no size", show::value(n, 40)), None))
}

fn compiled(pattern: &str) -> Raised<regex::Regex> {
    regex::RegexBuilder::new(pattern)
        .multi_line(true)
        .build()
        .map_err(|e| misuse(format!("`{pattern}` is no regular expression: {}", e.to_string().replace('\n', " ")), None))
}

fn groups(found: &regex::Captures<'_>) -> Dynamic {
    let all: Array = found.iter().map(|g| g.map_or(Dynamic::UNIT, |m| m.as_str().to_string().into())).collect();
    all.into()
}
