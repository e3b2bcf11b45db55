//! How the nats-server is reached, and who we are to it.

use std::fmt;
use std::path::PathBuf;

/// A secret that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text to itself.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> String {
        self.0.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Who we are to the nats-server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// Nobody in particular.
    #[default]
    Nobody,
    /// A user with a password.
    User {
        /// The name.
        name: String,
        /// The password.
        password: Secret,
    },
    /// Whoever has the token.
    Token(Secret),
    /// Whoever has the seed of an nkey, such as `SUAM…`.
    Nkey(Secret),
    /// A file as `nsc` writes it, with a JWT and a seed.
    Credentials(PathBuf),
}

/// What TLS needs; it is on as soon as anything is given, or the server asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The certificates to trust, in PEM, beside those of the machine.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key, in PEM.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// How the nats-server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The servers, such as `nats://127.0.0.1:4222`, with commas between those of a cluster.
    pub servers: String,
    /// Who we are.
    pub login: Login,
    /// What TLS needs.
    pub tls: Tls,
    /// How many servers of a cluster keep each stream: 1, 3 or 5.
    pub replicas: usize,
    /// How much may wait in the inbox, in bytes.
    pub inbox_bytes: i64,
}

impl Settings {
    /// One server that asks for no login.
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            login: Login::Nobody,
            tls: Tls::default(),
            replicas: 1,
            inbox_bytes: crate::MOST_INBOX_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let login = Login::User { name: "takt".into(), password: Secret::new("hunter2") };
        assert_eq!(format!("{login:?}"), "User { name: \"takt\", password: Secret(…) }");
    }
}
