//! A script of the stranger that runs beside the test: what it says, line by line, and what it is told.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a script may be silent before the test gives it up.
const PATIENCE: Duration = Duration::from_secs(180);

/// A script of `tests/python` that runs; it is ended when it goes out of scope.
#[derive(Debug)]
pub struct Script {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Script {
    /// Starts a script.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(name: &str, args: &[&str]) -> Self {
        Self::run(name, crate::tools::script(name).args(args))
    }

    /// Starts any command as a script.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn run(name: &str, command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (tell, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // A test that has ended hears no more.
            while lines.next().is_some_and(|line| tell.send(line).is_ok()) {}
        });
        let stdin = child.stdin.take();
        Self { name: name.to_owned(), child, stdin, lines }
    }

    /// The next line that it says; none once it has said all.
    ///
    /// # Panics
    /// When it is silent for too long.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("`{}` is silent", self.name),
        }
    }

    /// Hears what it says until a moment, and counts the lines.
    ///
    /// # Panics
    /// When it ends before.
    pub fn hear_until(&self, moment: Instant) -> u64 {
        let mut heard = 0;
        loop {
            match self.lines.recv_timeout(moment.saturating_duration_since(Instant::now())) {
                Ok(_) => heard += 1,
                Err(RecvTimeoutError::Timeout) => return heard,
                Err(RecvTimeoutError::Disconnected) => panic!("`{}` ended too early", self.name),
            }
        }
    }

    /// The next line that starts so, past all others.
    ///
    /// # Panics
    /// When it ends before it says so.
    #[must_use]
    pub fn line_that_starts(&self, start: &str) -> String {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("`{}` ended too early", self.name));
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Tells it a line.
    ///
    /// # Panics
    /// When it no longer listens.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for its end, which must be a good one, and gives the last line that it said.
    ///
    /// # Panics
    /// When it ends badly or is silent for too long.
    #[must_use]
    pub fn last_line(&mut self) -> String {
        let mut last = String::new();
        while let Some(line) = self.line() {
            last = line;
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "`{}` ended with {status}: see above", self.name);
        last
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended by itself, as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
