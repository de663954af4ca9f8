//! Processes of a guest, read from its `/proc`: `ps` differs too much between systems.

use super::guest::Guest;
use super::wait::{Look, Patience, until};
use super::windows::image;
use crate::error::{Error, Kind, Result};

/// The kernel cuts the name of a process to this many bytes.
const LONGEST_NAME: usize = 15;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// The kernel's name for it: that of the program, cut to 15 bytes.
    pub name: String,
}

impl Process {
    /// Whether the program of this name is meant. Only the first 15 bytes of a longer name can be compared.
    fn is_called(&self, name: &str) -> bool {
        if self.name.to_ascii_lowercase().ends_with(".exe") {
            return self.name.eq_ignore_ascii_case(&image(name));
        }
        let name = name.as_bytes();
        self.name.as_bytes() == &name[..name.len().min(LONGEST_NAME)]
    }
}

/// Built-in commands of the shell only: a process for each process would show up in the list.
const LIST: &str = "for d in /proc/[0-9]*; do \
    if read -r n 2>/dev/null <\"$d/comm\" && [ \"${d#/proc/}\" != \"$$\" ]; then printf '%s %s\\n' \"${d#/proc/}\" \"$n\"; fi; \
    done 2>/dev/null; true";

impl Guest {
    /// The processes, by number.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`, `Refused`.
    pub fn processes(&self) -> Result<Vec<Process>> {
        self.told("list processes", |action| {
            let found = self.list_processes()?;
            action.says(format!("{} processes", found.len()));
            Ok(found)
        })
    }

    /// Whether a program of this name runs.
    ///
    /// # Errors
    /// As [`Guest::processes`].
    pub fn is_running(&self, name: &str) -> Result<bool> {
        check_name(name)?;
        self.told(&format!("does {name} run?"), |action| {
            let runs = self.list_processes()?.iter().any(|p| p.is_called(name));
            action.says(if runs { "yes" } else { "no" });
            Ok(runs)
        })
    }

    /// Ends all programs of this name: asked first, after a few seconds forced. Returns how many there were.
    ///
    /// # Errors
    /// As [`Guest::processes`]; `Timeout` when one is still there.
    pub fn kill_process(&self, name: &str) -> Result<usize> {
        check_name(name)?;
        self.told(&format!("kill {name}"), |action| {
            if let Some(windows) = self.windows()? {
                let count = self.windows_kill(&*windows, action, name)?;
                action.says(format!("{count} killed"));
                return Ok(count);
            }
            let victims = self.called(name)?;
            let half = self.patience(Patience { limit: Patience::PROCESS_END.limit / 2, ..Patience::PROCESS_END });
            for signal in ["TERM", "KILL"] {
                let pids: Vec<String> =
                    self.called(name)?.iter().filter(|p| victims.contains(p)).map(|p| p.pid.to_string()).collect();
                if pids.is_empty() {
                    break;
                }
                // One that has just ended is no error.
                self.ask(&format!("kill -{signal} {} 2>/dev/null; true", pids.join(" ")))?;
                let gone = until(self.context(), action, &format!("`{name}` on {} to end", self.name()), &half, |_| {
                    let left = self.called(name)?.iter().filter(|p| victims.contains(p)).count();
                    Ok(if left == 0 { Look::Done(()) } else { Look::NotYet(format!("{left} left after SIG{signal}")) })
                });
                match gone {
                    Err(error) if error.kind == Kind::Timeout && signal == "TERM" => {}
                    other => other?,
                }
            }
            action.says(format!("{} killed", victims.len()));
            Ok(victims.len())
        })
    }

    /// The processes of this name, but for the first one of the system and this program itself.
    fn called(&self, name: &str) -> Result<Vec<Process>> {
        let own = self.place().is_here().then(std::process::id);
        let all = self.list_processes()?;
        Ok(all.into_iter().filter(|p| p.pid > 1 && Some(p.pid) != own && p.is_called(name)).collect())
    }

    fn list_processes(&self) -> Result<Vec<Process>> {
        if self.is_windows()? { self.windows_processes() } else { Ok(parse(&self.answer(LIST)?)) }
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains(['/', '\n', '\0']) {
        return Err(Error::new(Kind::Malformed, format!("`{name}` is not the name of a process"))
            .help("the name of the program without its directory, such as fio"));
    }
    Ok(())
}

fn parse(text: &str) -> Vec<Process> {
    let mut found: Vec<Process> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(pid, name)| Some(Process { pid: pid.parse().ok()?, name: name.to_string() }))
        .collect();
    found.sort_by_key(|p| p.pid);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_read_and_compared() {
        let found = parse("20 fio\n3 a name with spa\nodd\n100 stress-ng-cpu-m\n");
        assert_eq!(found.iter().map(|p| p.pid).collect::<Vec<_>>(), [3, 20, 100]);
        assert!(found[0].is_called("a name with spaces"), "the kernel cuts at 15 bytes, so a longer name is cut too");
        assert!(found[1].is_called("fio") && !found[1].is_called("fi") && !found[1].is_called("fio2"));
        assert!(found[2].is_called("stress-ng-cpu-method"));
    }
}
