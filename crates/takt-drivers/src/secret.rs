//! The secrets of a webhook: what requests are signed with, and never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

const PREFIX: &str = "whsec_";
/// How long a secret may be, in bytes, by the standard.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// More than two are no change of secrets.
const MOST: usize = 4;
/// A file that is longer holds something else.
const MOST_FILE_BYTES: u64 = 4096;

/// Why secrets cannot be used; says nothing of what they are.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file does not read.
    #[error("the file of secrets `{}` could not be read", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// There is none, or too many.
    #[error(
        "there are {0} secrets; give 1 to {MOST}, each on a line, made with `echo \"whsec_$(openssl rand -base64 32)\"`"
    )]
    Count(usize),
    /// One is no secret.
    #[error(
        "secret {number} is not `whsec_` and the base64 of 24 to 64 bytes; make one with `echo \"whsec_$(openssl rand -base64 32)\"`"
    )]
    Malformed {
        /// Which, from 1.
        number: usize,
    },
}

/// What requests are signed with. While secrets change there are two: the receiver takes either.
#[derive(Clone)]
pub struct Secrets(Vec<hmac::Key>);

impl Secrets {
    /// From a text with a secret on each line; blank lines are passed over.
    ///
    /// # Errors
    /// When there is none or one is malformed.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() || lines.len() > MOST {
            return Err(SecretsError::Count(lines.len()));
        }
        let keys = lines.iter().zip(1..).map(|(line, number)| {
            let bytes = line.strip_prefix(PREFIX).and_then(|line| STANDARD.decode(line).ok());
            let bytes = bytes.filter(|bytes| LENGTHS.contains(&bytes.len()));
            let bytes = bytes.ok_or(SecretsError::Malformed { number })?;
            Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// From a file, as [`Secrets::parse`].
    ///
    /// # Errors
    /// When the file does not read or holds no secrets.
    pub fn read(path: &Path) -> Result<Self, SecretsError> {
        let read = || {
            if std::fs::metadata(path)?.len() > MOST_FILE_BYTES {
                let reason = format!("it is longer than {MOST_FILE_BYTES} bytes");
                return Err(std::io::Error::other(reason));
            }
            std::fs::read_to_string(path)
        };
        let failed = |source| SecretsError::File { path: path.to_path_buf(), source };
        Self::parse(&read().map_err(failed)?)
    }

    /// The value of `webhook-signature`: one signature by each secret over `id.timestamp.body`.
    pub(crate) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let signatures = self.0.iter().map(|key| {
            let mut signing = hmac::Context::with_key(key);
            signing.update(format!("{id}.{timestamp}.").as_bytes());
            signing.update(body);
            format!("v1,{}", STANDARD.encode(signing.sign()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} hidden)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_the_standard_gives_for_its_example() {
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_twice_so_that_they_can_be_changed() {
        let both = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\n \
            whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
        let signature = Secrets::parse(both).unwrap().sign("a", 1, b"{}");
        let parts: Vec<&str> = signature.split(' ').collect();
        assert!(matches!(parts[..], [one, two] if one != two && two.starts_with("v1,")));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        for wrong in ["", "\n", "hunter2", "whsec_hunter2", "whsec_AAAA", "whsec_$$$$"] {
            let error = Secrets::parse(wrong).unwrap_err();
            let told = format!("{error} {error:?}");
            assert!(!told.contains("hunter2") && !told.contains("AAAA"), "{told}");
        }
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        assert!(matches!(Secrets::parse(&long), Err(SecretsError::Malformed { number: 1 })));
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets(1 hidden)");
    }

    #[test]
    fn a_file_of_secrets_that_is_not_there_is_named() {
        let error = Secrets::read(Path::new("/nowhere/secret")).unwrap_err();
        assert!(error.to_string().contains("`/nowhere/secret`"), "{error}");
    }
}
