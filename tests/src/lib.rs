//! The whole from outside: the real binary, a real server, and a stranger's tools.

pub mod binary;
pub mod browser;
pub mod compose;
pub mod crash;
pub mod devtools;
pub mod docker;
pub mod http;
pub mod inbox;
pub mod nats;
pub mod node;
pub mod past;
pub mod proxy;
pub mod random;
pub mod server;
pub mod summary;
pub mod talk;
pub mod tools;

use std::path::{Path, PathBuf};

pub use browser::{Browser, Window};
pub use nats::Nats;
pub use proxy::Proxy;
pub use random::Random;
pub use server::{Ended, Server};
pub use talk::Script;

/// The folder of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// A file of the shared data that lies beside the repository, if it is there.
///
/// A test that goes without it says so aloud: what was not checked must be seen.
#[must_use]
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let file = repository().join("../shared/data").join(name);
    if file.exists() {
        return Some(file);
    }
    tools::say(&format!("SKIPPED: `{}` is not there, nothing was held to it", file.display()));
    None
}

/// A number from the environment: how long a test runs, how many rounds it makes.
///
/// # Panics
/// When the variable is set to something else.
#[must_use]
pub fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("`{variable}` is `{text}`: set it to a number"))
}
