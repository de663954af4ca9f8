//! Processes of a Windows guest, as `tasklist` lists them: its columns have no titles, so that the language does not matter.

use crate::context::Action;
use crate::error::Result;
use crate::lab::guest::Guest;
use crate::lab::processes::Process;
use crate::lab::wait::{Look, Patience, until};
use crate::wire::Command;
use crate::wire::windows::Windows;

const LIST: &str = "tasklist /fo csv /nh";

impl Guest {
    pub(in crate::lab) fn windows_processes(&self) -> Result<Vec<Process>> {
        let output = self.run_any(&Command::new(LIST, self.patience(Patience::QUESTION).limit))?;
        if !output.is_success() {
            return Err(self.refused(LIST, &output));
        }
        Ok(parse(&output.stdout.text()))
    }

    /// Ends all of this name, by force: Windows has no other way for what has no window. Returns how many there were.
    pub(in crate::lab) fn windows_kill(&self, windows: &dyn Windows, action: &Action<'_>, name: &str) -> Result<usize> {
        let image = image(name);
        let called =
            || -> Result<usize> { Ok(self.windows_processes()?.iter().filter(|p| p.name.eq_ignore_ascii_case(&image)).count()) };
        let count = called()?;
        if count == 0 {
            return Ok(0);
        }
        self.heard(windows.kill_all(&image, &self.question("end of processes")))?;
        let what = format!("`{image}` on {} to end", self.name());
        until(self.context(), action, &what, &self.patience(Patience::PROCESS_END), |_| {
            Ok(match called()? {
                0 => Look::Done(()),
                left => Look::NotYet(format!("{left} left")),
            })
        })?;
        Ok(count)
    }
}

/// The name of a program as Windows has it: with `.exe`, unless it has another ending.
pub(in crate::lab) fn image(name: &str) -> String {
    if name.contains('.') { name.to_string() } else { format!("{name}.exe") }
}

fn parse(text: &str) -> Vec<Process> {
    let field = |text: &str| text.trim().trim_matches('"').to_string();
    let mut found: Vec<Process> = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.trim().split("\",\"");
            let (name, pid) = (field(fields.next()?), field(fields.next()?));
            Some(Process { pid: pid.parse().ok()?, name })
        })
        .collect();
    found.sort_by_key(|p| p.pid);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        let text = "\"fio.exe\",\"812\",\"Console\",\"1\",\"12,345 K\"\r\n\"System Idle Process\",\"0\",\"Services\",\"0\",\"8 K\"\r\n\r\nINFO: x\r\n";
        let found: Vec<(u32, String)> = parse(text).into_iter().map(|p| (p.pid, p.name)).collect();
        assert_eq!(found, [(0, "System Idle Process".to_string()), (812, "fio.exe".to_string())]);
        assert_eq!([image("fio"), image("fio.exe"), image("a.com")], ["fio.exe", "fio.exe", "a.com"]);
    }
}
