//! Options that are short for variables, which sequences and testcases read.

use crate::cli::Io;
use crate::error::{Blame, Error, Kind, Result};
use crate::vars::{Layer, Variables};

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Variables")]
pub struct ShortcutArgs {
    /// The hosts, as RESOURCE_HOST_0, RESOURCE_HOST_1, …; this version does not log in to them
    #[arg(short = 'H', long, value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<String>,

    /// Hosts that run already
    #[arg(long, value_name = "HOST", value_delimiter = ',', hide = true)]
    pub existing: Vec<String>,

    /// Masters of pools that run already
    #[arg(short = 'P', long, value_name = "MASTER", value_delimiter = ',', hide = true)]
    pub pool: Vec<String>,

    /// Where the product to test is (INPUTDIR)
    #[arg(long, value_name = "DIR")]
    pub inputs: Option<String>,

    /// The system of guests that say nothing of it (DEFAULT_GUEST_DISTRO)
    #[arg(long, value_name = "DISTRO")]
    pub distro: Option<String>,

    /// Whom to write to (EMAIL)
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
}

impl ShortcutArgs {
    /// Sets the variables.
    ///
    /// # Errors
    /// `Unsupported`: machines that cannot be attached to; what setting a variable gives.
    pub fn set(&self, variables: &mut Variables) -> Result<()> {
        for (option, machines) in [("--existing", &self.existing), ("--pool", &self.pool)] {
            if !machines.is_empty() {
                let what = format!("{option} {}: this version cannot attach to hosts and pools", machines.join(","));
                let error = Error::new(Kind::Unsupported, what).blame(Blame::User);
                return Err(error.help("name the machines that testcases run on with --guest"));
            }
        }
        for (number, host) in self.host.iter().enumerate() {
            variables.set_from(Layer::Flag, &format!("RESOURCE_HOST_{number}"), host, "--host")?;
        }
        let texts = [("INPUTDIR", "--inputs", &self.inputs), ("DEFAULT_GUEST_DISTRO", "--distro", &self.distro)];
        for (name, option, value) in texts.into_iter().chain([("EMAIL", "--email", &self.email)]) {
            if let Some(value) = value {
                variables.set_from(Layer::Flag, name, value, option)?;
            }
        }
        Ok(())
    }

    /// Says what an option does not do.
    pub fn warn(&self, io: &Io) {
        if !self.host.is_empty() {
            io.say("warning: --host only sets the variables RESOURCE_HOST_…: a testcase that needs a host ends as errored");
        }
    }
}
