//! `xrt new`: a testcase from a template.

use crate::cli::Io;
use crate::error::{Blame, Error, Exit, Kind, Result, Whereabouts};
use std::io::Write;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  xrt new scripts/disk/trim.rhai --title \"Discard gives space back\"
  xrt new mine.rhai && xrt --guest local --testcase mine.rhai";

/// Write a new testcase from a template, ready to run
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct NewArgs {
    /// The file to write; it must not exist
    pub file: PathBuf,

    /// One line that says what is tested
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
}

pub fn run(io: &Io, args: &NewArgs) -> Result<Exit> {
    let path = if args.file.extension().is_none() { args.file.with_extension("rhai") } else { args.file.clone() };
    if path.extension().is_none_or(|e| e != "rhai") {
        let error = Error::new(Kind::Malformed, format!("`{}` does not end in .rhai", path.display())).blame(Blame::User);
        return Err(error.help("a testcase is a .rhai file"));
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).at(format_args!("make the directory `{}`", parent.display()))?;
    }
    let title = args.title.clone().unwrap_or_else(|| title_of(&path));
    let mut file = std::fs::File::create_new(&path).at(format_args!("write `{}`", path.display()))?;
    file.write_all(template(&title).as_bytes()).at(format_args!("write `{}`", path.display()))?;
    let shown = path.display();
    io.say(&format!("wrote {shown}\n  check it: xrt check {shown}\n  run it:   xrt --guest local --testcase {shown}"));
    Ok(Exit::Passed)
}

/// "scripts/disk/write_back.rhai" is about "Write back".
fn title_of(path: &Path) -> String {
    let words = path.file_stem().unwrap_or_default().to_string_lossy().replace(['_', '-'], " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn template(title: &str) -> String {
    let quoted = title.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
    let title = title.replace(['\n', '\r'], " ");
    format!(
        r#"//! {title}.

fn meta() {{
    #{{
        title: "{quoted}",
        target: "guest",
        args: #{{ loops: 3 }},
        help: #{{ loops: "how often it is done" }},
        timeout: "10m"
    }}
}}

fn run(args) {{
    let vm = target();
    let times = [];
    repeat(args.loops, |i| {{
        times.push(timed(|| vm.exec("true")));
    }});
    values("EXEC", times, "s");
}}
"#
    )
}
