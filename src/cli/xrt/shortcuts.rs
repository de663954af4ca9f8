//! Options that are short for variables, which sequences and testcases read.

use crate::cli::hosts::HostArgs;
use crate::error::Result;
use crate::vars::{Layer, Variables};

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Variables")]
pub struct ShortcutArgs {
    #[command(flatten)]
    pub hosts: HostArgs,

    /// Where the product to test is (INPUTDIR)
    #[arg(long, value_name = "DIR")]
    pub inputs: Option<String>,

    /// The system of guests that say nothing of it (DEFAULT_GUEST_DISTRO)
    #[arg(long, value_name = "DISTRO")]
    pub distro: Option<String>,

    /// Whom to write to at each pause and at the end; several with commas (EMAIL). See xrt help reports
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
}

impl ShortcutArgs {
    /// Sets the variables.
    ///
    /// # Errors
    /// `Malformed`: an address; what setting a variable gives.
    pub fn set(&self, variables: &mut Variables) -> Result<()> {
        self.hosts.set(variables)?;
        let texts = [("INPUTDIR", "--inputs", &self.inputs), ("DEFAULT_GUEST_DISTRO", "--distro", &self.distro)];
        for (name, option, value) in texts.into_iter().chain([("EMAIL", "--email", &self.email)]) {
            if let Some(value) = value {
                variables.set_from(Layer::Flag, name, value, option)?;
            }
        }
        Ok(())
    }
}
