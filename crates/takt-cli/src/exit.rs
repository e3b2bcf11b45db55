//! Exit codes: what a script learns from how a command ended.

use tonic::{Code, Status};

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: u8,
    /// What is wrong.
    pub(crate) message: String,
    /// What would make it right.
    pub(crate) hints: Vec<String>,
}

/// The answer is no: something was checked and found wanting.
pub(crate) const VERDICT: u8 = 1;
/// Usage, an invalid argument, or something that is not there.
pub(crate) const USAGE: u8 = 2;
/// The server cannot be reached.
pub(crate) const UNREACHABLE: u8 = 3;
/// The rules say no.
pub(crate) const REFUSED: u8 = 4;
/// A fault of Takt's own.
pub(crate) const INTERNAL: u8 = 5;

/// Ended by Ctrl-C, as shells count it.
pub(crate) const INTERRUPTED: u8 = 130;

impl Failure {
    /// A failure with an exit code.
    pub(crate) fn new(exit: u8, message: impl Into<String>, hint: &str) -> Self {
        let hints = if hint.is_empty() { vec![] } else { vec![hint.to_owned()] };
        Self { exit, message: message.into(), hints }
    }

    /// The same, with one more thing to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same, with the name of the server where it could not be reached.
    pub(crate) fn at(mut self, server: &str) -> Self {
        if let Some(rest) = self.message.strip_prefix(UNREACHED) {
            self.message = format!("{UNREACHED} at `{server}`{rest}");
        }
        self
    }
}

/// How a message begins that wants the server's name.
const UNREACHED: &str = "cannot reach the server";

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        if let Some(cause) = cause(&status) {
            let message = format!("{UNREACHED}: {cause}");
            let hint = "start one with `takt dev`, or name another with `--server`";
            return Self::new(UNREACHABLE, message, hint);
        }
        let details = takt_proto::error::details(&status);
        let mut hints: Vec<String> = details.into_iter().map(|one| one.remedy).collect();
        hints.retain(|hint| !hint.is_empty());
        let exit = code(status.code());
        if hints.is_empty() {
            hints.extend(remedy(status.code()).map(str::to_owned));
        }
        Self { exit, message: status.message().to_owned(), hints }
    }
}

/// The root of a failure on the way; a status that the server sent has none.
fn cause(status: &Status) -> Option<String> {
    let mut cause = std::error::Error::source(status)?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let cause = cause.to_string().to_lowercase();
    Some(cause.split(" (os error").next().unwrap_or_default().to_owned())
}

/// What helps where the server names no remedy.
fn remedy(code: Code) -> Option<&'static str> {
    match code {
        Code::Cancelled | Code::DeadlineExceeded => {
            Some("give it more time with `--timeout`, or try again")
        }
        Code::Unavailable => Some("try again; what was acknowledged is in the log"),
        Code::Unimplemented => Some("the server is older than this command; start a newer one"),
        Code::OutOfRange => Some("ask for less, such as one column or a lower limit"),
        Code::Unknown | Code::Internal | Code::DataLoss => {
            Some("look at what the server wrote on its stderr, and run `takt doctor`")
        }
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted => None,
    }
}

/// The exit code for a gRPC code.
fn code(code: Code) -> u8 {
    match code {
        Code::Ok => 0,
        Code::InvalidArgument | Code::NotFound | Code::OutOfRange | Code::AlreadyExists => USAGE,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => UNREACHABLE,
        Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::ResourceExhausted
        | Code::Aborted => REFUSED,
        Code::Unknown | Code::Internal | Code::DataLoss | Code::Unimplemented => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use takt_proto::v1::ErrorDetail;

    #[test]
    fn every_kind_of_refusal_has_its_exit_code() {
        for (grpc, exit) in [
            (Code::InvalidArgument, 2),
            (Code::NotFound, 2),
            (Code::Unavailable, 3),
            (Code::FailedPrecondition, 4),
            (Code::Cancelled, 3),
            (Code::Internal, 5),
        ] {
            assert_eq!(Failure::from(Status::new(grpc, "x")).exit, exit, "{grpc:?}");
        }
    }

    #[test]
    fn a_connection_that_ends_within_a_call_is_a_server_that_cannot_be_reached() {
        let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(Failure::from(Status::from_error(Box::new(cut))).exit, UNREACHABLE);
        assert_eq!(Failure::from(Status::unknown("said by the server")).exit, INTERNAL);
    }

    #[test]
    fn what_broke_on_the_way_is_unreachable_and_names_the_server() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let failure = Failure::from(Status::from_error(broken.into())).at("http://x:1");
        assert_eq!(failure.exit, UNREACHABLE);
        assert_eq!(failure.message, "cannot reach the server at `http://x:1`: connection refused");
        assert!(!failure.hints.is_empty());
    }

    #[test]
    fn a_refusal_ends_with_the_remedy_as_a_hint() {
        let detail = ErrorDetail { remedy: "finish a card".to_owned(), ..ErrorDetail::default() };
        let status = takt_proto::error::status(Code::FailedPrecondition, "full", vec![detail]);
        assert_eq!(Failure::from(status).hints, ["finish a card"]);
    }
}
