//! How to get into machines known by their addresses: passwords, keys, and what to think of host keys.

use super::address::{Address, SSH_PORT};
use super::entrance::Entrance;
use super::place::Place;
use super::roster::{Lab, names};
use crate::secret::{Secret, WELL_KNOWN_PASSWORD};
use crate::wire::Transport;
use crate::wire::execd::Execd;
use crate::wire::local::Local;
use crate::wire::ssh::{HostKeys, Login, Ssh, Target};
use crate::wire::windows::DAEMON_PORT;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How to get in. One for all machines of a run; what an address says itself comes first.
#[derive(Clone, Debug)]
pub struct Access {
    /// From a person: an option, the environment, a file or a prompt.
    pub password: Option<Secret>,
    /// Further passwords to try: the `ROOT_PASSWORDS` list.
    pub root_passwords: Vec<Secret>,
    /// Private keys that a person named: tried before anything that was not asked for.
    pub key_files: Vec<PathBuf>,
    /// Private keys that lie in the usual places: tried last but for the agent.
    pub usual_keys: Vec<PathBuf>,
    /// Of the key files.
    pub passphrase: Option<Secret>,
    /// Whether the running ssh-agent is asked.
    pub agent: bool,
    pub host_keys: HostKeys,
    /// Where host keys are recorded.
    pub known_hosts: Option<PathBuf>,
    pub connect_timeout: Duration,
    /// What every built-in limit is multiplied by: more than 1 for a slow lab.
    pub patience: f64,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            password: None,
            root_passwords: Vec::new(),
            key_files: Vec::new(),
            usual_keys: Vec::new(),
            passphrase: None,
            agent: false,
            host_keys: HostKeys::Warn,
            known_hosts: None,
            connect_timeout: Duration::from_secs(30),
            patience: 1.0,
        }
    }
}

impl Access {
    /// The ways to log in, in the order in which they are tried.
    ///
    /// A password that somebody gave, in the address or for the run, is the only one: a wrong one is to be said, not to be got
    /// around. Without one: the key files that somebody named, the password that every guest has, the `ROOT_PASSWORDS`, the usual
    /// keys, the agent.
    ///
    /// # Source
    /// User guide, "Running benchmarks in a VM"; `reference/library.md` 9.0.
    pub fn logins(&self, address: &Address) -> Vec<Login> {
        if let Some(password) = address.password().or(self.password.as_ref()) {
            return vec![Login::Password(password.clone())];
        }
        let usual = Secret::new(WELL_KNOWN_PASSWORD);
        let further = self.root_passwords.iter().filter(|p| **p != usual).cloned();
        let mut passwords = vec![usual.clone()];
        for password in further {
            if !passwords.contains(&password) {
                passwords.push(password);
            }
        }
        let key = |path: &PathBuf| Login::KeyFile { path: path.clone(), passphrase: self.passphrase.clone() };
        let named = self.key_files.iter().map(key);
        let usual = passwords.into_iter().map(Login::Password).chain(self.usual_keys.iter().map(key));
        named.chain(usual).chain(self.agent.then_some(Login::Agent)).collect()
    }

    /// The password that a machine gets which is installed for this run: one that lets it in.
    pub fn given_password(&self) -> Secret {
        self.password.clone().unwrap_or_else(|| Secret::new(WELL_KNOWN_PASSWORD))
    }

    /// The way to the machine at an address, by SSH unless the address says otherwise. Nothing is connected yet.
    pub fn transport(&self, address: &Address) -> Arc<dyn Transport> {
        match address {
            Address::Local => Arc::new(Local::new()),
            Address::Daemon { host, port } => Arc::new(Execd::new(host, *port, self.connect_timeout)),
            Address::Remote { host, port, .. } => Arc::new(self.ssh(address, host, *port)),
        }
    }

    /// The way to a guest, which may run Windows: what answers there says so, when it is first needed. Who names a user, a password or
    /// a port means SSH.
    pub fn entrance(&self, address: &Address) -> Arc<dyn Transport> {
        let Address::Remote { user, password, host, port } = address else { return self.transport(address) };
        let is_ssh = user.is_some() || password.is_some() || *port != SSH_PORT;
        let daemon = (!is_ssh).then(|| Execd::new(host, DAEMON_PORT, self.connect_timeout));
        Arc::new(Entrance::new(self.ssh(address, host, *port), daemon))
    }

    fn ssh(&self, address: &Address, host: &str, port: u16) -> Ssh {
        Ssh::new(Target {
            host: host.to_string(),
            port,
            user: address.user().to_string(),
            logins: self.logins(address),
            host_keys: self.host_keys,
            known_hosts: self.known_hosts.clone(),
            connect_timeout: self.connect_timeout,
        })
    }
}

impl Lab {
    /// A lab of machines known by their addresses only. Each is connected when it is first needed.
    pub fn attach(addresses: &[Address], access: &Access) -> Lab {
        let names = names(addresses.iter().map(Address::name));
        let places = names.into_iter().zip(addresses);
        Lab::new(
            places.map(|(name, address)| Place::new(name, address.clone(), access.entrance(address), access.patience)).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(logins: &[Login]) -> Vec<String> {
        let show = |login: &Login| match login {
            Login::Password(password) => password.reveal().to_string(),
            Login::KeyFile { path, .. } => path.display().to_string(),
            Login::Agent => "agent".to_string(),
        };
        logins.iter().map(show).collect()
    }

    #[test]
    fn a_password_that_somebody_gave_is_the_only_way() {
        let all = Access {
            root_passwords: ["one", "xensource", "two", "one"].map(Secret::new).into(),
            usual_keys: vec!["id".into()],
            agent: true,
            ..Access::default()
        };
        let given = Access { password: Some(Secret::new("given")), ..all.clone() };
        let check = |access: &Access, address: &str, expected: &[&str]| {
            assert_eq!(shown(&access.logins(&address.parse().unwrap())), expected, "{address}");
        };
        check(&given, "root:own@h", &["own"]);
        check(&given, "root:@h", &[""]);
        check(&given, "h", &["given"]);
        check(&all, "h", &["xensource", "one", "two", "id", "agent"]);
        let keyed = Access { key_files: vec!["mine".into()], ..all.clone() };
        check(&keyed, "h", &["mine", "xensource", "one", "two", "id", "agent"]);
        check(&Access::default(), "root@h", &["xensource"]);
    }

    #[test]
    fn a_lab_of_addresses_has_their_names() {
        let addresses: Vec<Address> = ["local", "root:x@h:1", "h:2", "[fe80::1]:22"].iter().map(|a| a.parse().unwrap()).collect();
        let lab = Lab::attach(&addresses, &Access::default());
        assert_eq!(lab.names(), ["local", "h", "h#2", "fe80::1"]);
        assert_eq!(lab.shown(), ["local", "root:••••••@h:1", "h:2", "[fe80::1]"]);
    }
}
