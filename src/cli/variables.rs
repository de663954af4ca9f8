//! Options that set variables.

use super::Io;
use crate::error::{Blame, Error, Kind, Result};
use crate::vars::{Layer, Variables};

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Variables")]
pub struct VariableArgs {
    /// Set a variable, which scripts read with config(NAME); NAME may be a path such as A/B/C. May be repeated
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    pub define: Vec<String>,
}

impl VariableArgs {
    /// The variables that the environment and the command line set.
    ///
    /// # Errors
    /// `Malformed`: not `NAME=VALUE`, or a name that none can have.
    pub fn load(&self, io: &Io) -> Result<Variables> {
        let mut variables = Variables::default();
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
}
