//! A run that goes on in a process of its own, and those who steer it from others: `xenrt interact`, and clients of XML-RPC.

use super::xrt::{Ran, Running, Xrt};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use xenrt::event::Fact;

pub const XENRT: &str = env!("CARGO_BIN_EXE_xenrt");

impl Running {
    /// The directory of its results.
    pub fn results(&self) -> PathBuf {
        fs::canonicalize(self.dir().join("results/latest")).unwrap()
    }

    /// The URL that may do everything, as its owner reads it, once the run listens.
    pub fn url(&mut self) -> String {
        self.listening();
        fs::read_to_string(self.results().join("interact.url")).unwrap().trim().to_string()
    }

    /// The URL that may only look.
    pub fn read_url(&mut self) -> String {
        self.listening();
        fs::read_to_string(self.results().join("interact.read.url")).unwrap().trim().to_string()
    }

    /// Host and port, as the run says it to people.
    pub fn address(&mut self) -> String {
        self.url().rsplit_once('@').unwrap().1.trim_end_matches('/').to_string()
    }

    fn listening(&mut self) {
        self.until("it listens", |fact| matches!(fact, Fact::Listening { .. }));
    }

    /// Waits until this testcase has been paused so many times.
    pub fn until_paused(&mut self, id: &str, times: usize) {
        self.until_count(&format!("{id} is paused ({times})"), times, |event| {
            matches!(event.fact, Fact::Paused(_)) && event.case.as_ref().is_some_and(|case| case.as_str() == id)
        });
    }

    /// `xenrt interact HOST:PORT WORDS`, to its end.
    pub fn interact(&mut self, words: &str) -> Ran {
        self.interacting(words).run()
    }

    /// The same, to be started.
    pub fn interacting(&mut self, words: &str) -> Xrt {
        let address = self.address();
        self.beside().of(XENRT).args("interact").arg(address).env("USER", "jane").args(words)
    }

    /// What a walk of `tests/interact/client.py` prints: the names of its steps, as each is done.
    pub fn python(&mut self, walk: &str) -> Vec<String> {
        let (url, read) = (self.url(), self.read_url());
        let mut client = Command::new("python3");
        client.args(["-I", "tests/interact/client.py", walk, &url, &read]).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = client.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}\n{err}");
        out.lines().map(str::to_string).collect()
    }
}
