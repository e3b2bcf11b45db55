//! Writers that keep writing while servers are killed, and remember what was acknowledged.

use std::time::{Duration, Instant};

use crate::{Random, Script, Server, binary};

/// The writers of `crash.py`; they end when they go out of scope.
#[derive(Debug)]
pub struct Writers {
    script: Script,
    /// How many events the log had at the last check, and how many acknowledgements stood in it.
    pub checked: [u64; 2],
}

impl Writers {
    /// Makes the stream `shop` on the first server, and starts to write to all; with a nats-server
    /// to its inbox too.
    ///
    /// # Panics
    /// When the stream cannot be made or the writers do not start.
    #[must_use]
    pub fn start(servers: &[&Server], nats: Option<&str>) -> Self {
        if let Some(first) = servers.first() {
            first.ok(&["stream", "create", "shop"]);
            for (column, kind) in [("Todo", "queue"), ("Doing", "active"), ("Done", "done")] {
                first.ok(&["column", "set", column, "--kind", kind]);
            }
        }
        let addresses = servers.iter().map(|server| server.address()).collect::<Vec<_>>().join(",");
        let takt = binary::takt().display().to_string();
        let mut args = vec![addresses.as_str(), takt.as_str()];
        args.extend(nats);
        Self { script: Script::start("crash.py", &args), checked: [0; 2] }
    }

    /// Waits until something was acknowledged, and then for a moment of less than 0.4 s.
    ///
    /// # Panics
    /// When the writers have ended.
    pub fn write_for_a_moment(&self, random: &mut Random) {
        let _ = self.script.line_that_starts("acked");
        let moment = Instant::now() + Duration::from_micros(random.below(400_000));
        let _ = self.script.hear_until(moment);
    }

    /// Has them hold the log to what was acknowledged; the last time they end with it.
    ///
    /// # Panics
    /// When something acknowledged is lost or doubled.
    pub fn check(&mut self, is_last: bool) {
        self.script.tell(if is_last { "done" } else { "check" });
        let line = self.script.line_that_starts("checked");
        let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
        self.checked = [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)];
    }

    /// Has them go on, where they wait for it.
    ///
    /// # Panics
    /// When they have ended.
    pub fn go_on(&mut self) {
        self.script.tell("go");
    }

    /// Waits for their end.
    ///
    /// # Panics
    /// When it is not a good one.
    pub fn end(mut self) -> [u64; 2] {
        let _ = self.script.last_line();
        self.checked
    }
}

/// Spreads rounds over folders, so that none grows over `most` of them.
pub fn in_folders(rounds: u64, most: u64, mut some: impl FnMut(u64)) {
    let mut left = rounds;
    while left > 0 {
        let now = left.min(most);
        some(now);
        left -= now;
    }
}
