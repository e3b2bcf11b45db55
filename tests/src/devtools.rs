//! The Chrome DevTools Protocol over a pair of pipes: commands in, answers and events out.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what a test needs fails the test by panicking"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a page may take on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The line to a browser, for all its pages.
pub struct Devtools {
    commands: Mutex<Commands>,
    heard: Arc<Heard>,
}

struct Commands {
    to: Box<dyn Write + Send>,
    last: u64,
}

#[derive(Default)]
struct Heard {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    answers: HashMap<u64, Value>,
    /// What went wrong in a page, by its session.
    errors: HashMap<String, Vec<String>>,
    ended: bool,
}

impl std::fmt::Debug for Devtools {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Devtools").finish_non_exhaustive()
    }
}

impl Devtools {
    /// Speaks and listens over the two pipes of a browser.
    #[must_use]
    pub fn new(to: impl Write + Send + 'static, from: impl Read + Send + 'static) -> Self {
        let heard = Arc::new(Heard::default());
        let listener = Arc::clone(&heard);
        std::thread::spawn(move || {
            // A message ends with a zero byte.
            for message in BufReader::new(from).split(0).map_while(Result::ok) {
                let message: Value = serde_json::from_slice(&message).unwrap_or_default();
                listener.state.lock().unwrap().hear(message);
                listener.news.notify_all();
            }
            listener.state.lock().unwrap().ended = true;
            listener.news.notify_all();
        });
        Self { commands: Mutex::new(Commands { to: Box::new(to), last: 0 }), heard }
    }

    /// Gives a command to the browser, or to the page of a session, and waits for its answer.
    ///
    /// # Errors
    /// What the browser has against it.
    ///
    /// # Panics
    /// When the browser has ended or does not answer.
    pub fn ask(&self, session: Option<&str>, method: &str, params: &Value) -> Result<Value, Value> {
        let id = {
            let mut commands = self.commands.lock().unwrap();
            commands.last += 1;
            let mut command = json!({ "id": commands.last, "method": method, "params": params });
            if let Some(session) = session {
                command["sessionId"] = session.into();
            }
            // When the browser has ended, the wait for its answer says so.
            let _ = commands.to.write_all(format!("{command}\0").as_bytes());
            let _ = commands.to.flush();
            commands.last
        };
        let begun = Instant::now();
        let mut state = self.heard.state.lock().unwrap();
        loop {
            if let Some(mut answer) = state.answers.remove(&id) {
                return match answer.get_mut("error") {
                    Some(error) => Err(error.take()),
                    None => Ok(answer["result"].take()),
                };
            }
            assert!(!state.ended, "the browser has ended before it answered `{method}`");
            assert!(begun.elapsed() < PATIENCE, "the browser does not answer `{method}`");
            state = self.heard.news.wait_timeout(state, PATIENCE).unwrap().0;
        }
    }

    /// Asks the browser to end, and waits a while until it has.
    pub fn close(&self) {
        if let Ok(mut commands) = self.commands.lock() {
            let _ = commands.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
            let _ = commands.to.flush();
        }
        if let Ok(state) = self.heard.state.lock() {
            let patience = Duration::from_secs(10);
            let _ = self.heard.news.wait_timeout_while(state, patience, |state| !state.ended);
        }
    }

    /// What went wrong in the page of a session since this was last asked for.
    ///
    /// # Panics
    /// Never, as nothing panics while it holds the list.
    #[must_use]
    pub fn errors(&self, session: &str) -> Vec<String> {
        self.heard.state.lock().unwrap().errors.remove(session).unwrap_or_default()
    }
}

impl State {
    fn hear(&mut self, message: Value) {
        if let Some(id) = message["id"].as_u64() {
            self.answers.insert(id, message);
            return;
        }
        let params = &message["params"];
        let wrong = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => params["type"] == "error",
            Some("Log.entryAdded") => params["entry"]["level"] == "error",
            _ => false,
        };
        if let Some(session) = message["sessionId"].as_str().filter(|_| wrong) {
            self.errors.entry(session.to_owned()).or_default().push(params.to_string());
        }
    }
}
