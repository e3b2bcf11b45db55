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

impl Failure {
    /// A failure with an exit code.
    pub(crate) fn new(exit: u8, message: impl Into<String>, hint: &str) -> Self {
        let hints = if hint.is_empty() { vec![] } else { vec![hint.to_owned()] };
        Self { exit, message: message.into(), hints }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = takt_proto::error::details(&status);
        let mut hints: Vec<String> = details.into_iter().map(|one| one.remedy).collect();
        hints.retain(|hint| !hint.is_empty());
        let exit = if is_broken_off(&status) { UNREACHABLE } else { code(status.code()) };
        if exit == UNREACHABLE && hints.is_empty() {
            hints.push("start a server with `takt dev`, or name one with `--server`".to_owned());
        }
        Self { exit, message: status.message().to_owned(), hints }
    }
}

/// Whether the connection ended within the call. A status that the server sent has no source; one
/// that was made here of an error does, under codes as vague as `Unknown`.
fn is_broken_off(status: &Status) -> bool {
    let vague = matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled);
    vague && std::error::Error::source(status).is_some()
}

/// The exit code for a gRPC code.
fn code(code: Code) -> u8 {
    match code {
        Code::Ok => 0,
        Code::InvalidArgument | Code::NotFound | Code::OutOfRange | Code::AlreadyExists => USAGE,
        Code::Unavailable | Code::DeadlineExceeded => UNREACHABLE,
        Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::ResourceExhausted
        | Code::Aborted => REFUSED,
        Code::Unknown | Code::Internal | Code::DataLoss | Code::Unimplemented | Code::Cancelled => {
            INTERNAL
        }
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
    fn a_refusal_ends_with_the_remedy_as_a_hint() {
        let detail = ErrorDetail { remedy: "finish a card".to_owned(), ..ErrorDetail::default() };
        let status = takt_proto::error::status(Code::FailedPrecondition, "full", vec![detail]);
        assert_eq!(Failure::from(status).hints, ["finish a card"]);
    }
}
