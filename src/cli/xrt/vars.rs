//! `xrt vars`, `xrt --lookup`: the variables there are, with who set them.

use super::Common;
use super::shortcuts::ShortcutArgs;
use crate::cli::variables::VariableArgs;
use crate::cli::{Io, table};
use crate::error::{Blame, Error, Exit, Kind, Result};
use crate::report::{Verbosity, printable};
use crate::secret::MASK;
use crate::sequence::{Library, Mode, load};
use crate::vars::{KNOWN, Layer, Setting, Variables, is_secret, known};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  xrt vars                               every variable that is set, and who set it
  xrt vars -s smoke.seq -D SECONDS=5     with those of a sequence
  xrt vars -s smoke.seq --origin         everyone who set it, the strongest first
  xrt vars CLIOPTIONS                    one, or all below a path
  xrt vars --all                         also those that nobody set, and what all of them mean

Passwords, tokens and keys are not shown; xrt --lookup NAME prints the value of one, whatever it is.

The JSON is a list of objects: name, value (nothing when it is not set or cannot be worked out), layer, origin, history (layer, origin
and value as set, the strongest first), default, reader, meaning, secret. Later versions only add to it.

See also: xrt help variables";

/// Show the variables and who set them
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct VarsArgs {
    /// Only this one, or those below this path
    pub name: Option<String>,

    /// Show everyone who set it, layer by layer
    #[arg(long)]
    pub origin: bool,

    /// Show those that nobody set too, and what they mean
    #[arg(long)]
    pub all: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// With the variables of this sequence
    #[arg(short = 's', long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = "Sequence")]
    pub sequence: Option<String>,

    /// Look for sequences here too. May be repeated
    #[arg(long, value_name = "DIR", env = "XRT_SEQUENCES", value_delimiter = ':', help_heading = "Sequence")]
    pub sequence_path: Vec<PathBuf>,

    /// Take what is wrong with the sequence as warnings
    #[arg(long, help_heading = "Sequence")]
    pub lenient: bool,

    #[command(flatten)]
    pub variables: VariableArgs,
    #[command(flatten)]
    pub shortcuts: ShortcutArgs,
    #[command(flatten)]
    pub common: Common,
}

/// A variable as it is shown.
#[derive(Serialize)]
struct Shown<'v> {
    name: &'v str,
    value: Option<String>,
    layer: Option<Layer>,
    origin: Option<&'v str>,
    history: Vec<Set<'v>>,
    default: Option<&'static str>,
    reader: Option<&'static str>,
    meaning: Option<&'static str>,
    secret: bool,
    /// Why there is no value, for people.
    #[serde(skip)]
    error: Option<Error>,
}

/// One who set it.
#[derive(Serialize)]
struct Set<'v> {
    layer: Layer,
    origin: &'v str,
    value: String,
}

/// # Errors
/// A name that nobody set; what reading files gives.
pub fn run(io: &Io, args: &VarsArgs) -> Result<Exit> {
    let mut variables = args.variables.load(io)?;
    args.shortcuts.set(&mut variables)?;
    let mut is_wrong = false;
    if let Some(file) = &args.sequence {
        let mode = if args.lenient { Mode::Lenient } else { Mode::Strict };
        let loaded = load(&Library { paths: args.sequence_path.clone() }, file, variables, mode)?;
        super::check::show(io, &loaded.diagnostics);
        is_wrong = loaded.has_errors();
        variables = loaded.variables;
    }
    let all = shown(&variables, args)?;
    if args.json {
        io.print(&format!("{}\n", serde_json::to_string_pretty(&all).unwrap_or_default()))?;
    } else {
        io.print(&text(io, &all, args))?;
    }
    for error in all.iter().filter_map(|shown| shown.error.as_ref()) {
        io.say(&format!("error: {}", printable(&error.report())));
        is_wrong = true;
    }
    Ok(if is_wrong { Exit::Usage } else { Exit::Passed })
}

/// `--lookup`: prints the value of one variable, for programs. With the variable `OUTPUT_JSON` it is a JSON object.
///
/// # Errors
/// Nobody set it, or it cannot be worked out.
pub fn lookup(io: &Io, variables: &Variables, name: &str) -> Result<Exit> {
    let value = variables.lookup(name)?.ok_or_else(|| missing(variables, name))?;
    match variables.boolean("OUTPUT_JSON")? {
        Some(true) => io.print(&format!("{}\n", serde_json::json!({ name: value })))?,
        _ => io.print(&format!("{value}\n"))?,
    }
    Ok(Exit::Passed)
}

fn missing(variables: &Variables, name: &str) -> Error {
    let error = variables.missing(name);
    match known(name) {
        Some(known) => error.help(format!("it means: {}", known.meaning)),
        None => error,
    }
}

/// What is asked for, by name.
fn shown<'v>(variables: &'v Variables, args: &VarsArgs) -> Result<Vec<Shown<'v>>> {
    let unset = KNOWN.iter().map(|known| known.name).filter(|name| args.all && variables.get(name).is_none());
    let mut names: Vec<&str> = variables.names().chain(unset).collect();
    names.sort_unstable();
    if let Some(wanted) = &args.name {
        let path = wanted.replace(':', "/");
        let below = format!("{}/", path.trim_end_matches('/'));
        names.retain(|name| *name == path || name.starts_with(&below));
        if names.is_empty() {
            return Err(missing(variables, wanted).blame(Blame::User).with_kind(Kind::NotFound));
        }
    }
    Ok(names.into_iter().map(|name| one(variables, name)).collect())
}

fn one<'v>(variables: &'v Variables, name: &'v str) -> Shown<'v> {
    let secret = is_secret(name);
    let masked = |text: &str| if secret && !text.is_empty() { MASK.to_string() } else { text.to_string() };
    let (value, error) = match variables.lookup(name) {
        Ok(value) => (value.as_deref().map(masked), None),
        Err(error) => (None, Some(error)),
    };
    let set = |(layer, setting): (Layer, &'v Setting)| Set { layer, origin: &setting.origin, value: masked(&setting.value) };
    let mut history: Vec<Set> = variables.history(name).map(set).collect();
    history.reverse();
    let (layer, origin) = (history.first().map(|set| set.layer), history.first().map(|set| set.origin));
    let known = known(name);
    Shown {
        name,
        // What is secret must not come out by way of another variable.
        value: value.map(|value| without_secrets(variables, name, value)),
        layer,
        origin,
        history,
        default: known.and_then(|known| known.default),
        reader: known.map(|known| known.reader.word()),
        meaning: known.map(|known| known.meaning),
        secret,
        error,
    }
}

/// A value in which the values of secret variables are masked, which it may refer to.
fn without_secrets(variables: &Variables, name: &str, value: String) -> String {
    let refers = variables.get(name).is_some_and(|text| text.contains("${"));
    if !refers {
        return value;
    }
    let mask = crate::secret::Mask::default();
    variables.secrets().iter().for_each(|secret| mask.learn(secret));
    mask.apply(&value).unwrap_or(value)
}

fn text(io: &Io, all: &[Shown], args: &VarsArgs) -> String {
    let width = io.look(Verbosity::Normal).width;
    let header: &[&str] = match (args.origin, args.all) {
        (true, _) => &["NAME", "VALUE", "LAYER", "WHERE"],
        (false, true) => &["NAME", "VALUE", "SET BY", "READ BY", "MEANING"],
        (false, false) => &["NAME", "VALUE", "SET BY"],
    };
    let rows = all.iter().flat_map(|shown| if args.origin { origins(shown) } else { vec![line(shown, args.all)] });
    table::plain(header, rows, width)
}

/// A variable as one row.
fn line(shown: &Shown, has_meaning: bool) -> Vec<String> {
    let value = shown.value.clone().or_else(|| shown.history.first().map(|set| set.value.clone()));
    let by = shown.layer.map_or(String::new(), |layer| by(layer, shown.origin.unwrap_or_default()));
    let mut row = vec![shown.name.to_string(), cell(&value.unwrap_or_default()), by];
    if has_meaning {
        row.extend([shown.reader, shown.meaning].map(|text| text.unwrap_or_default().to_string()));
    }
    row
}

/// A variable as a row for each who set it; those that are overridden are told so.
fn origins(shown: &Shown) -> Vec<Vec<String>> {
    let rows = shown.history.iter().enumerate().map(|(index, set)| {
        let is_strongest = index == 0;
        let name = if is_strongest { shown.name.to_string() } else { String::new() };
        let expanded = shown.value.as_ref().filter(|value| is_strongest && **value != set.value);
        let value = match expanded {
            Some(value) => format!("{} = {}", cell(&set.value), cell(value)),
            None => cell(&set.value),
        };
        let overridden = if is_strongest { "" } else { " (overridden)" };
        vec![name, value, format!("{}{overridden}", set.layer.word()), set.origin.to_string()]
    });
    let mut rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        rows.push(vec![shown.name.to_string(), String::new(), "nobody".into(), String::new()]);
    }
    rows
}

fn by(layer: Layer, origin: &str) -> String {
    match origin {
        "" => layer.word().to_string(),
        origin => format!("{} {origin}", layer.word()),
    }
}

/// A value in one line.
fn cell(value: &str) -> String {
    printable(value).replace('\n', "\\n")
}
