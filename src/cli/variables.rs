//! Options that set variables, and the configuration files.
//!
//! From the weakest to the strongest: built-in, the site's file, the project's file, `-c`, the sequence, the environment, `-D`.

use super::Io;
use crate::config;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Blame, Error, Kind, Result};
use crate::vars::{Layer, Variables};
use std::path::PathBuf;

/// The project's file, in the directory where `xrt` is started.
const PROJECT: &str = "xenrt.xml";
/// The site's file, for everyone on this machine.
const SITE: &str = "/etc/xenrt/site.xml";

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Variables")]
pub struct VariableArgs {
    /// Set a variable, which scripts read with config(NAME); NAME may be a path such as A/B/C. May be repeated
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    pub define: Vec<String>,

    /// Set the variables of this file: XML, YAML or JSON. May be repeated
    #[arg(short = 'c', long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub config: Vec<PathBuf>,
}

impl VariableArgs {
    /// The variables of configuration files, the environment and the command line. What is wrong with a file is shown.
    ///
    /// # Errors
    /// `Malformed`: a file; not `NAME=VALUE`; a name that none can have. `NotFound`: a file that is named and not there.
    pub fn load(&self, io: &Io) -> Result<Variables> {
        let mut variables = Variables::built_in()?;
        let mut wrong = Vec::new();
        for (layer, path) in self.files(io) {
            let found = config::read(&path, layer, &mut variables)?;
            super::xrt::show(io, &found);
            if found.iter().any(|d: &Diagnostic| d.severity == Severity::Error) {
                wrong.push(format!("`{}`", path.display()));
            }
        }
        if !wrong.is_empty() {
            let what = format!("nothing was done: something is wrong with {}", wrong.join(" and "));
            return Err(Error::new(Kind::Malformed, what).blame(Blame::User));
        }
        for (name, value) in io.variables() {
            variables.set_from(Layer::Environment, &name, value, format!("XRT_{name}"))?;
        }
        for define in &self.define {
            let Some((name, value)) = define.split_once('=') else {
                let error = Error::new(Kind::Malformed, format!("`-D {define}`: expected NAME=VALUE"));
                return Err(error.blame(Blame::User).help("-D ROOT_PASSWORDS=one,two"));
            };
            variables.set_from(Layer::Flag, name, value, "-D")?;
        }
        Ok(variables)
    }

    /// The configuration files there are, the weakest first. Those that somebody names have to be there.
    fn files(&self, io: &Io) -> Vec<(Layer, PathBuf)> {
        let site = match io.env("XRT_SITE_CONFIG") {
            Some(path) => vec![PathBuf::from(path)],
            None => {
                let own = io.config_dir().join("site.xml");
                [PathBuf::from(SITE), own].into_iter().filter(|path| path.exists()).collect()
            }
        };
        let project = Some(PathBuf::from(PROJECT)).filter(|path| path.exists());
        let site = site.into_iter().map(|path| (Layer::Site, path));
        site.chain(project.map(|path| (Layer::Project, path)))
            .chain(self.config.iter().map(|path| (Layer::Config, path.clone())))
            .collect()
    }
}
