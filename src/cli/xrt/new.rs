//! `xrt new`: a testcase or a sequence from a template.

use crate::cli::Io;
use crate::error::{Blame, Error, Exit, Kind, Result, Whereabouts};
use std::io::Write;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  xrt new scripts/disk/trim.rhai --title \"Discard gives space back\"
  xrt new mine.rhai && xrt --guest local --testcase mine.rhai
  xrt new sequence nightly && xrt --guest local -s nightly.seq";

/// Write a new testcase or sequence from a template, ready to run
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, disable_help_subcommand = true)]
pub struct NewArgs {
    #[command(subcommand)]
    pub what: Option<What>,

    #[command(flatten)]
    pub testcase: FileArgs,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum What {
    /// Write a new sequence
    Sequence(FileArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub struct FileArgs {
    /// The file to write; it must not exist. One that ends in .seq is a sequence
    #[arg(required = true)]
    pub file: Option<PathBuf>,

    /// One line that says what is tested
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
}

/// What can be written: its ending, what it is called, how it is run, and its text for a title.
struct Sort {
    ending: &'static str,
    word: &'static str,
    run: &'static str,
    template: fn(&str) -> String,
}

const TESTCASE: Sort = Sort { ending: "rhai", word: "testcase", run: "--testcase", template: testcase };
const SEQUENCE: Sort = Sort { ending: "seq", word: "sequence", run: "-s", template: sequence };

pub fn run(io: &Io, args: &NewArgs) -> Result<Exit> {
    let (args, sort) = match &args.what {
        Some(What::Sequence(args)) => (args, SEQUENCE),
        None if args.testcase.file.as_deref().and_then(Path::extension).is_some_and(|e| e == "seq") => (&args.testcase, SEQUENCE),
        None => (&args.testcase, TESTCASE),
    };
    let file = args.file.clone().unwrap_or_default();
    let path = if file.extension().is_none() { file.with_extension(sort.ending) } else { file };
    if path.extension().is_none_or(|e| e != sort.ending) {
        let error = Error::new(Kind::Malformed, format!("`{}` does not end in .{}", path.display(), sort.ending));
        return Err(error.blame(Blame::User).help(format!("a {} is a .{} file", sort.word, sort.ending)));
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).at(format_args!("make the directory `{}`", parent.display()))?;
    }
    let title = args.title.clone().unwrap_or_else(|| title_of(&path)).replace(['\n', '\r'], " ");
    let mut file = std::fs::File::create_new(&path).at(format_args!("write `{}`", path.display()))?;
    file.write_all((sort.template)(&title).as_bytes()).at(format_args!("write `{}`", path.display()))?;
    let shown = path.display();
    io.say(&format!("wrote {shown}\n  check it: xrt check {shown}\n  run it:   xrt --guest local {} {shown}", sort.run));
    Ok(Exit::Passed)
}

/// "scripts/disk/write_back.rhai" is about "Write back".
fn title_of(path: &Path) -> String {
    let words = path.file_stem().unwrap_or_default().to_string_lossy().replace(['_', '-'], " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn testcase(title: &str) -> String {
    let quoted = title.replace('\\', "\\\\").replace('"', "\\\"");
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

fn sequence(title: &str) -> String {
    // No two hyphens may stand together in a comment.
    let title = title.replace("--", "- -").replace("--", "- -");
    format!(
        r#"<!-- {title}

     xrt check FILE                       what is wrong with it
     xrt plan -s FILE -D SECONDS=2        what would be run
     xrt -G local -s FILE -D SECONDS=2    run it against this machine
     xrt help sequences                   everything that can stand in it -->
<xenrt>
  <default name="SECONDS" value="1"/>
  <testsequence>
    <serial group="Basics">
      <testcase id="dummy.TCSleep" name="Breathe" blocker="yes">
        <arg>seconds=0.1</arg>
      </testcase>
      <testcase id="benchmarks.syscalls">
        <arg>seconds=${{SECONDS}}</arg>
      </testcase>
      <finally>
        <testcase id="dummy.TCSleep" name="TidyUp">
          <arg>seconds=0.1</arg>
        </testcase>
      </finally>
    </serial>
  </testsequence>
</xenrt>
"#
    )
}
