//! How a command is told of NATS: servers, and who we are to them.

use std::path::{Path, PathBuf};

use takt_nats::{Login, Secret, Settings, Tls};

use crate::exit::{Failure, USAGE};

/// Who we are to a nats-server. Secrets are read from files or from the environment, since others see
/// a process's arguments.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct NatsLogin {
    /// The user; its password comes from `--nats-password-file`
    #[arg(long, env = "TAKT_NATS_USER", value_name = "NAME", help_heading = NATS)]
    nats_user: Option<String>,
    /// The file of the password; also the variable `TAKT_NATS_PASSWORD`
    #[arg(long, env = "TAKT_NATS_PASSWORD_FILE", value_name = "FILE", help_heading = NATS)]
    nats_password_file: Option<PathBuf>,
    /// The file of a token; also the variable `TAKT_NATS_TOKEN`
    #[arg(long, env = "TAKT_NATS_TOKEN_FILE", value_name = "FILE", help_heading = NATS)]
    nats_token_file: Option<PathBuf>,
    /// The file of an nkey seed
    #[arg(long, env = "TAKT_NATS_NKEY_FILE", value_name = "FILE", help_heading = NATS)]
    nats_nkey_file: Option<PathBuf>,
    /// The credentials file that `nsc` writes
    #[arg(long, env = "TAKT_NATS_CREDS", value_name = "FILE", help_heading = NATS)]
    nats_creds: Option<PathBuf>,
    /// The certificates to trust, in PEM; turns TLS on
    #[arg(long, env = "TAKT_NATS_TLS_CA", value_name = "FILE", help_heading = NATS)]
    nats_tls_ca: Option<PathBuf>,
    /// Our own certificate, in PEM
    #[arg(long, env = "TAKT_NATS_TLS_CERT", value_name = "FILE", requires = "nats_tls_key")]
    #[arg(help_heading = NATS)]
    nats_tls_cert: Option<PathBuf>,
    /// The key of our certificate, in PEM
    #[arg(long, env = "TAKT_NATS_TLS_KEY", value_name = "FILE", requires = "nats_tls_cert")]
    #[arg(help_heading = NATS)]
    nats_tls_key: Option<PathBuf>,
}

/// The heading of these options.
pub(super) const NATS: &str = "NATS";

impl NatsLogin {
    /// How the servers are reached that somebody names.
    pub(super) fn settings(&self, servers: &str) -> Result<Settings, Failure> {
        Ok(Settings { login: self.login()?, tls: self.tls(), ..Settings::new(servers) })
    }

    fn tls(&self) -> Tls {
        let own = self.nats_tls_cert.clone().zip(self.nats_tls_key.clone());
        Tls { ca: self.nats_tls_ca.clone(), own }
    }

    /// One way to log in, or none.
    fn login(&self) -> Result<Login, Failure> {
        let token = secret(self.nats_token_file.as_deref(), "TAKT_NATS_TOKEN")?.map(Login::Token);
        let nkey = self.nats_nkey_file.as_deref().map(read).transpose()?.map(Login::Nkey);
        let creds = self.nats_creds.clone().map(Login::Credentials);
        let user = self.nats_user.as_ref().map(|name| self.user(name)).transpose()?;
        let mut given = [user, token, nkey, creds].into_iter().flatten();
        match (given.next(), given.next()) {
            (login, None) => Ok(login.unwrap_or_default()),
            (_, Some(_)) => Err(Failure::new(
                USAGE,
                "NATS is given more than one login",
                "keep one of user, token, nkey and credentials file",
            )),
        }
    }

    fn user(&self, name: &str) -> Result<Login, Failure> {
        let password = secret(self.nats_password_file.as_deref(), "TAKT_NATS_PASSWORD")?;
        let password = password.ok_or_else(|| {
            Failure::new(
                USAGE,
                format!("the NATS user `{name}` has no password"),
                "name its file with `--nats-password-file`, or set `TAKT_NATS_PASSWORD`",
            )
        })?;
        Ok(Login::User { name: name.to_owned(), password })
    }
}

/// A secret from its file, else from its variable.
fn secret(file: Option<&Path>, variable: &str) -> Result<Option<Secret>, Failure> {
    match file {
        Some(file) => read(file).map(Some),
        None => Ok(std::env::var(variable).ok().filter(|it| !it.is_empty()).map(Secret::new)),
    }
}

fn read(file: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let hint = "make it readable for the user that takt runs as";
        Failure::new(USAGE, format!("cannot read `{}`: {error}", file.display()), hint)
    })?;
    let text = text.trim();
    if text.is_empty() {
        let hint = "write the secret into it";
        return Err(Failure::new(USAGE, format!("`{}` is empty", file.display()), hint));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(of: NatsLogin) -> Result<Login, String> {
        of.settings("nats://127.0.0.1:4222").map(|it| it.login).map_err(|it| it.message)
    }

    #[test]
    fn without_a_word_we_are_nobody() {
        assert_eq!(login(NatsLogin::default()), Ok(Login::Nobody));
    }

    #[test]
    fn a_secret_comes_from_its_file_without_the_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let (nats_user, nats_password_file) = (Some("takt".into()), Some(file));
        let of = NatsLogin { nats_user, nats_password_file, ..NatsLogin::default() };
        let password = Secret::new("hunter2");
        assert_eq!(login(of), Ok(Login::User { name: "takt".into(), password }));
    }

    #[test]
    fn two_logins_and_a_missing_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (token, missing) = (folder.path().join("token"), folder.path().join("missing"));
        std::fs::write(&token, "t").unwrap();
        let (nats_creds, nats_token_file) = (Some(missing.clone()), Some(token));
        let two = NatsLogin { nats_token_file, nats_creds, ..NatsLogin::default() };
        let gone = NatsLogin { nats_nkey_file: Some(missing), ..NatsLogin::default() };
        assert_eq!(login(two).unwrap_err(), "NATS is given more than one login");
        assert!(login(gone).unwrap_err().contains("missing"));
    }
}
