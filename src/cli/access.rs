//! Options that say how to reach machines and log in to them.

use super::Io;
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::lab::{Access, Address, Lab};
use crate::secret::{Mask, Secret};
use crate::vars::Variables;
use crate::wire::ssh::HostKeys;
use crate::wire::tls::Trust;
use std::path::PathBuf;

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Machines")]
pub struct AccessArgs {
    /// A machine to test: an address, user:password@host:port, [v6]:port, or `local` for this machine. May be repeated
    #[arg(short = 'G', long, value_name = "ADDRESS")]
    pub guest: Vec<String>,

    /// Read the password from the first line of a file
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Ask for the password
    #[arg(long, conflicts_with = "password_file")]
    pub ask_password: bool,

    /// Log in with this private key first. May be repeated
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,

    /// What to do about host keys: warn of a changed one, refuse unknown and changed ones, or not look at them
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    pub host_keys: HostKeyPolicy,

    /// Where host keys are recorded
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,

    /// How long a connection may take to be made
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = super::xrt::duration)]
    pub connect_timeout: std::time::Duration,

    /// Multiply every built-in wait by this: more than 1 for a slow lab
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    pub patience: f64,
}

fn factor(text: &str) -> std::result::Result<f64, String> {
    text.parse()
        .ok()
        .filter(|f: &f64| f.is_finite() && *f > 0.0 && *f <= 1000.0)
        .ok_or_else(|| "expected a number above 0, such as 2".into())
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum HostKeyPolicy {
    #[default]
    Warn,
    Strict,
    Ignore,
}

impl From<HostKeyPolicy> for HostKeys {
    fn from(policy: HostKeyPolicy) -> HostKeys {
        match policy {
            HostKeyPolicy::Warn => HostKeys::Warn,
            HostKeyPolicy::Strict => HostKeys::Strict,
            HostKeyPolicy::Ignore => HostKeys::Ignore,
        }
    }
}

impl AccessArgs {
    /// The machines of the command line. Nothing is connected yet.
    ///
    /// # Errors
    /// `Malformed`: an address; `NotFound`: a file.
    pub(super) fn attach(&self, io: &Io, variables: &Variables, mask: &Mask) -> Result<Lab> {
        let addresses = self.guest.iter().map(|text| text.parse()).collect::<Result<Vec<Address>>>()?;
        let access = self.access(io, variables)?;
        let candidates = access.password.iter().chain(&access.root_passwords).chain(&access.passphrase);
        for secret in addresses.iter().filter_map(Address::password).chain(candidates) {
            mask.learn(secret);
        }
        variables.secrets().iter().for_each(|secret| mask.learn(secret));
        Ok(Lab::attach(&addresses, &access))
    }

    pub(super) fn access(&self, io: &Io, variables: &Variables) -> Result<Access> {
        let candidates = variables.lookup("ROOT_PASSWORDS")?.unwrap_or_default();
        Ok(Access {
            password: self.password(io)?,
            root_passwords: candidates.split([',', ' ']).filter(|p| !p.is_empty()).map(Secret::new).collect(),
            key_files: self.key.clone(),
            usual_keys: usual_keys(io),
            passphrase: io.env("XRT_KEY_PASSPHRASE").map(Secret::new),
            agent: io.env("SSH_AUTH_SOCK").is_some(),
            host_keys: self.host_keys.into(),
            known_hosts: Some(self.known_hosts.clone().unwrap_or_else(|| io.state_dir().join("known_hosts"))),
            connect_timeout: self.connect_timeout,
            patience: self.patience,
        })
    }

    /// What to think of the certificates of servers.
    pub(super) fn trust(&self, io: &Io) -> Trust {
        Trust { policy: self.host_keys.into(), record: Some(io.state_dir().join("known_certificates")) }
    }

    /// From a file, a prompt, or `XRT_PASSWORD`.
    pub(super) fn password(&self, io: &Io) -> Result<Option<Secret>> {
        if let Some(path) = &self.password_file {
            let text = std::fs::read_to_string(path).at(format_args!("read the password file `{}`", path.display()))?;
            let first = text.lines().next().unwrap_or_default();
            if first.is_empty() {
                let what = format!("the password file `{}` has an empty first line", path.display());
                return Err(Error::new(Kind::Malformed, what).blame(Blame::User));
            }
            return Ok(Some(Secret::new(first)));
        }
        if self.ask_password {
            let typed = rpassword::prompt_password("password: ").at("ask for the password")?;
            return Ok(Some(Secret::new(typed)));
        }
        Ok(io.env("XRT_PASSWORD").map(Secret::new))
    }
}

fn usual_keys(io: &Io) -> Vec<PathBuf> {
    let dir = io.home().join(".ssh");
    ["id_ed25519", "id_ecdsa", "id_rsa"].iter().map(|name| dir.join(name)).filter(|path| path.is_file()).collect()
}

/// The command line without what must not be seen: the password in an address.
pub fn masked(words: Vec<String>, mask: &Mask) -> Vec<String> {
    words.into_iter().map(|word| mask.apply(&word).unwrap_or(word)).collect()
}
