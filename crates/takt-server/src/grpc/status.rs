//! The one place where the engine's errors become gRPC codes.

use std::time::Duration;

use takt_domain::text::shown;
use takt_engine::Error;
use takt_proto::error;
use takt_proto::v1::ErrorDetail;
use tonic::{Code, Status};

use crate::web::quoted;

/// The status of an error of the engine.
pub(crate) fn status(error: Error) -> Status {
    let message = error.to_string();
    let (code, name, remedy) = match error {
        Error::Rejected(rejection) => return error::rejected(&rejection),
        Error::Aborted { .. } => (Code::Aborted, "version", "read again and decide anew".into()),
        Error::KeyReused { .. } => (
            Code::InvalidArgument,
            "idempotency_key",
            "use a new idempotency key for every command".into(),
        ),
        Error::UnknownStream(stream) => {
            let name = quoted(stream.as_str());
            (Code::NotFound, "not_found", format!("make it with `takt stream create {name}`"))
        }
        Error::TooLarge(_) => (Code::ResourceExhausted, "too_large", "send less at once".into()),
        Error::Unavailable(_) => (
            Code::Unavailable,
            "unavailable",
            "try again; nothing that was acknowledged is lost".into(),
        ),
        Error::Damaged(_) => (
            Code::Unavailable,
            "damaged",
            "stop every node, restore the log from a backup, and keep the folders `projections` \
             until then: they may be the last to know what was lost"
                .into(),
        ),
        Error::DeadlineExceeded => (
            Code::DeadlineExceeded,
            "deadline",
            "try again with the same idempotency key, or with more time".into(),
        ),
    };
    error::status(code, &message, vec![detail(name, "", &message, &remedy)])
}

/// A field that has a value it cannot have.
pub(crate) fn invalid(field: &str, problem: &str, remedy: &str) -> Status {
    error::status(Code::InvalidArgument, problem, vec![detail("invalid", field, problem, remedy)])
}

/// More than is served at once.
pub(crate) fn too_much(problem: &str, remedy: &str) -> Status {
    let details = vec![detail("too_much", "", problem, remedy)];
    error::status(Code::ResourceExhausted, problem, details)
}

/// The server takes no more calls.
pub(crate) fn stopped() -> Status {
    status(Error::Unavailable("the server is stopping".to_owned()))
}

/// A call that had no answer in any time that is sensible.
pub(crate) fn unanswered(after: Duration) -> Status {
    let problem = format!("no answer within {} seconds", after.as_secs());
    let remedy = "send the request faster, or less at once";
    error::status(Code::DeadlineExceeded, &problem, vec![detail("deadline", "", &problem, remedy)])
}

/// What tonic says of a message over the limit, in the words of the interface.
pub(crate) fn too_large(status: Status) -> Option<Status> {
    let sizes = status.message().strip_prefix("Error, decoded message length too large: ")?;
    Some(too_much(&format!("the message is too large: {sizes}"), "send less at once"))
}

/// A thing that is not there.
pub(crate) fn not_found(kind: &str, name: &str, remedy: &str) -> Status {
    let message = format!("{kind} `{}` does not exist", shown(name));
    error::status(Code::NotFound, &message, vec![detail("not_found", kind, &message, remedy)])
}

fn detail(code: &str, field: &str, message: &str, remedy: &str) -> ErrorDetail {
    ErrorDetail {
        code: code.to_owned(),
        field: field.to_owned(),
        message: message.to_owned(),
        remedy: remedy.to_owned(),
    }
}
