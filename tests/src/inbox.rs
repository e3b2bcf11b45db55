//! What a service publishes to NATS, with a client that nobody here wrote.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::talk::Script;

/// How long something that must come may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A message whose payload is text, with the content type of structured CloudEvents.
#[must_use]
pub fn message(subject: &str, text: &str) -> Value {
    let headers = json!({ "content-type": "application/cloudevents+json" });
    json!({ "subject": subject, "headers": headers, "text": text })
}

/// A publisher that runs; what it publishes lies in a file of its own.
#[derive(Debug)]
pub struct Publisher {
    script: Script,
    _file: NamedTempFile,
}

impl Publisher {
    /// Starts to publish messages, each until it is acknowledged.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(nats: &str, messages: &[Value]) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        for message in messages {
            writeln!(file, "{message}").unwrap();
        }
        file.flush().unwrap();
        let script = Script::start("inbox.py", &[nats, file.path().to_str().unwrap()]);
        Self { script, _file: file }
    }

    /// Waits until so many messages are stored.
    ///
    /// # Panics
    /// When the publisher ends before.
    pub fn stored(&self, count: usize) {
        loop {
            let line = self.script.line_that_starts("stored");
            if line.split(' ').filter_map(|word| word.parse().ok()).any(|it: usize| it >= count) {
                return;
            }
        }
    }

    /// Waits until all is stored, and tells how many acknowledgements said `duplicate`.
    ///
    /// # Panics
    /// When the publisher fails.
    #[must_use]
    pub fn done(mut self) -> usize {
        let last = self.script.last_line();
        last.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// Asks again and again until the answer is the one that must come.
///
/// # Panics
/// When it does not come in time; with the last answer.
pub fn until<T: std::fmt::Debug>(what: &str, ask: impl Fn() -> T, is: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask();
        if is(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} does not come: {answer:?}");
    }
}
