//! A TCP proxy that does what networks do: it cuts, delays, swallows and half-closes.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test by panicking")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::server::steady_address;

/// A proxy before one server. New connections pass until it is told otherwise; it stops with the
/// test's process.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    mood: Mood,
    /// Both ends of each connection that has passed.
    open: Vec<(TcpStream, TcpStream)>,
}

/// What happens to what passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mood {
    /// No new connection.
    closed: bool,
    /// The client's bytes arrive, and the server's answers do not.
    swallows: bool,
    /// How late everything arrives.
    delay: Duration,
}

impl Proxy {
    /// A proxy before the server at an address.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn before(server: &str) -> Self {
        let address = steady_address();
        let listener = TcpListener::bind(&address).unwrap();
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let (server, passing) = (server.to_owned(), Arc::clone(&shared));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                pass(&client, &server, &passing);
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    fn with(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut lock(&self.shared).mood);
    }

    /// Ends every connection, and lets none through until it heals.
    ///
    /// # Panics
    /// Never, as nothing panics while it holds the connections.
    pub fn cut(&self) {
        let mut shared = lock(&self.shared);
        shared.mood.closed = true;
        for (client, server) in shared.open.drain(..) {
            // The other side may have been faster.
            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        }
    }

    /// Tells the server of every connection that its client will send no more; the client still
    /// hears.
    ///
    /// # Panics
    /// Never, as nothing panics while it holds the connections.
    pub fn half_close(&self) {
        for (_, server) in &lock(&self.shared).open {
            // It may be closed already.
            let _ = server.shutdown(Shutdown::Write);
        }
    }

    /// Swallows every answer from now on: what a client sends arrives, and it never hears so.
    pub fn swallow(&self) {
        self.with(|mood| mood.swallows = true);
    }

    /// Lets everything arrive late.
    pub fn delay(&self, delay: Duration) {
        self.with(|mood| mood.delay = delay);
    }

    /// Lets everything pass again. Connections that were cut stay cut, and one that lost answers
    /// must be cut, since the rest of an answer alone means nothing.
    pub fn heal(&self) {
        self.with(|mood| *mood = Mood::default());
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap()
}

fn pass(client: &TcpStream, server: &str, shared: &Arc<Mutex<Shared>>) {
    if lock(shared).mood.closed {
        return;
    }
    // A server that is down refuses the client by closing on it.
    let Ok(server) = TcpStream::connect(server) else { return };
    let both = || (client.try_clone().unwrap(), server.try_clone().unwrap());
    // Small messages must not wait for each other.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    lock(shared).open.push(both());
    let (from_client, to_server) = both();
    let (to_client, from_server) = both();
    let (there, back) = (Arc::clone(shared), Arc::clone(shared));
    thread::spawn(move || carry(from_client, to_server, &there, false));
    thread::spawn(move || carry(from_server, to_client, &back, true));
}

fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Mutex<Shared>, is_answer: bool) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let mood = lock(shared).mood;
        thread::sleep(mood.delay);
        let swallowed = is_answer && mood.swallows;
        if !swallowed && to.write_all(bytes.get(..count).unwrap()).is_err() {
            break;
        }
    }
    // The end of one way is told on; the other way ends by itself.
    let _ = to.shutdown(Shutdown::Write);
}
