//! Tools that a testcase needs in a guest: there already, or installed by the guest's package manager.

use super::command::quote;
use super::distro::{self, Manager};
use super::facts::Facts;
use super::guest::{Guest, last_line};
use super::wait::{Look, Patience, until};
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result};
use crate::wire::{Command, Output};
use std::sync::{MutexGuard, TryLockError};

/// Where tools are that a plain user's path leaves out.
const PATH: &str = "PATH=\"$PATH:/usr/local/sbin:/usr/sbin:/sbin\"";

/// How to install on one machine.
struct Installer<'a> {
    guest: &'a Guest,
    action: &'a Action<'a>,
    manager: Manager,
    command: &'static str,
    /// "sudo -n " for who is not root.
    prefix: &'static str,
}

impl Guest {
    /// Makes sure that a command is there, by the guest's package manager if need be; returns its path.
    ///
    /// # Errors
    /// `Unsupported`, blamed on the lab, with what was tried and the last thing it said; `Malformed` for what is no name of a
    /// command; `Unreachable`, `Timeout`, `Cancelled`.
    pub fn install_tool(&self, tool: &str) -> Result<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        if tool.is_empty() || tool.starts_with('-') || !tool.chars().all(plain) {
            return Err(Error::new(Kind::Malformed, format!("`{tool}` is not the name of a command")).help("name one, such as fio"));
        }
        let result = self.told(&format!("install {tool}"), |action| {
            if let Some(path) = self.find_tool(tool)? {
                action.says(format!("{path} is there"));
                return Ok(path);
            }
            self.install_missing(tool, action)
        });
        // A slow mirror, not the product.
        result.map_err(|e| if e.kind == Kind::Timeout { e.blame(Blame::Lab) } else { e })
    }

    /// Installs a package by its own name there, which may have no command. One that is there is brought up to date, as the package
    /// manager has it.
    ///
    /// # Errors
    /// As [`Guest::install_tool`].
    pub fn install_package(&self, package: &str) -> Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-._:@".contains(c);
        if package.is_empty() || package.starts_with('-') || !package.chars().all(plain) {
            return Err(
                Error::new(Kind::Malformed, format!("`{package}` is not the name of a package")).help("name one, such as fio")
            );
        }
        let result = self.told(&format!("install the package {package}"), |action| {
            let _turn = self.turn(action)?;
            let facts = self.facts()?;
            self.installer(action, &facts, package)?.install(package, package, &facts)
        });
        result.map_err(|e| if e.kind == Kind::Timeout { e.blame(Blame::Lab) } else { e })
    }

    /// Waits until nobody else installs anything there.
    fn turn(&self, action: &Action<'_>) -> Result<MutexGuard<'_, ()>> {
        let patience = self.patience(Patience::INSTALL);
        until(self.context(), action, &format!("another installation on {}", self.name()), &patience, |_| {
            Ok(match self.place().installing.try_lock() {
                Ok(turn) => Look::Done(turn),
                Err(TryLockError::Poisoned(turn)) => Look::Done(turn.into_inner()),
                Err(TryLockError::WouldBlock) => Look::NotYet("another testcase installs a tool there".into()),
            })
        })
    }

    fn install_missing(&self, tool: &str, action: &Action<'_>) -> Result<String> {
        // Another testcase may be at it.
        let _turn = self.turn(action)?;
        if let Some(path) = self.find_tool(tool)? {
            action.says(format!("{path} is there now"));
            return Ok(path);
        }
        let facts = self.facts()?;
        let installer = self.installer(action, &facts, tool)?;
        installer.install(installer.manager.package(tool), tool, &facts)?;
        let path = self.find_tool(tool)?.ok_or_else(|| {
            let package = installer.manager.package(tool);
            self.no_tool(tool, &facts, &format!("the package `{package}` was installed, but has no such command"))
        })?;
        action.says(format!("{path}, installed by {}", installer.command));
        Ok(path)
    }

    fn find_tool(&self, tool: &str) -> Result<Option<String>> {
        let output = self.ask(&format!("{PATH} command -v {}", quote(tool)?))?;
        let path = output.stdout.text().trim().to_string();
        Ok((output.is_success() && !path.is_empty()).then_some(path))
    }

    fn installer<'a>(&'a self, action: &'a Action<'a>, facts: &Facts, tool: &str) -> Result<Installer<'a>> {
        let known = distro::manager(&facts.os_release);
        let candidates: Vec<(Manager, &str)> = known
            .into_iter()
            .chain(Manager::ALL.into_iter().filter(|m| Some(*m) != known))
            .flat_map(|manager| manager.commands().iter().map(move |command| (manager, *command)))
            .collect();
        let names: Vec<&str> = candidates.iter().map(|(_, command)| *command).collect();
        let script = format!("for c in {}; do {PATH} command -v $c >/dev/null && echo $c; done; true", names.join(" "));
        let there = self.answer(&script)?;
        let found = there.lines().find_map(|line| candidates.iter().copied().find(|(_, command)| *command == line));
        let Some((manager, command)) = found else {
            return Err(self.no_tool(tool, facts, "it has no package manager that is known here"));
        };
        let prefix = match facts.uid {
            0 => "",
            _ if self.ask("sudo -n true")?.is_success() => "sudo -n ",
            _ => return Err(self.no_tool(tool, facts, "we are not root there, and sudo asks for a password")),
        };
        Ok(Installer { guest: self, action, manager, command, prefix })
    }

    fn no_tool(&self, tool: &str, facts: &Facts, why: &str) -> Error {
        let distro = if facts.distro.is_empty() { "unknown system" } else { &facts.distro };
        Error::new(Kind::Unsupported, format!("cannot install `{tool}` on {} ({distro}): {why}", self.name()))
            .blame(Blame::Lab)
            .help(format!("install `{tool}` there by hand, or use a guest whose packages can be reached"))
    }
}

impl Installer<'_> {
    /// Tries with the lists that are there, and once more with new ones.
    fn install(&self, package: &str, tool: &str, facts: &Facts) -> Result<()> {
        let install = self.manager.install(self.command, &quote(package)?);
        let update = self.manager.update(self.command);
        if self.run(&install)?.is_success() {
            return Ok(());
        }
        let updated = self.run(&update)?;
        let output = self.run(&install)?;
        if output.is_success() {
            return Ok(());
        }
        let mut why = format!("`{install}` said: {}", complaint(&output));
        if !updated.is_success() {
            why.push_str(&format!("; before that `{update}` said: {}", complaint(&updated)));
        }
        Err(self.guest.no_tool(tool, facts, &why).details(output.details(self.guest.name(), &install)))
    }

    /// Runs the manager, and again as long as another one holds its lock.
    fn run(&self, command: &str) -> Result<Output> {
        let script = format!("export LC_ALL=C {PATH}; {}{}", self.prefix, env_first(self.prefix, command));
        let guest = self.guest;
        let what = format!("`{}` on {}", self.command, guest.name());
        let patience = guest.patience(Patience::INSTALL);
        self.action.progress(command, None);
        until(guest.context(), self.action, &what, &patience, |_| {
            let output = guest.run(&Command::new(&script, patience.limit))?;
            let said = format!("{}\n{}", output.stderr.tail(8192), output.stdout.tail(8192));
            if !output.is_success() && self.manager.is_locked(&said) {
                return Ok(Look::NotYet("another package manager is at work".into()));
            }
            Ok(Look::Done(output))
        })
    }
}

/// sudo takes variables only through `env`.
fn env_first(prefix: &str, command: &str) -> String {
    if prefix.is_empty() { command.to_string() } else { format!("env {command}") }
}

/// The line that says best what went wrong: the last error, or the last line.
fn complaint(output: &Output) -> String {
    let said = format!("{}\n{}", output.stdout.tail(8192), output.stderr.tail(8192));
    let error = said.lines().rev().find(|l| l.starts_with("E: ") || l.to_lowercase().contains("error"));
    error.map_or_else(|| last_line(&said), last_line)
}
