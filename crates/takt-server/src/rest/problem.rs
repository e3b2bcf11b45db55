//! What went wrong, as JSON: the code, the words, the field and the remedy.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tonic::{Code, Status};

/// The refusal of a request.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    said: Said,
}

/// Its words.
#[derive(Debug, Serialize)]
struct Said {
    code: String,
    message: String,
    field: String,
    remedy: String,
}

impl Problem {
    fn new(status: StatusCode, code: &str, message: &str, remedy: &str) -> Self {
        let [code, message, remedy] = [code, message, remedy].map(str::to_owned);
        Self { status, said: Said { code, message, field: String::new(), remedy } }
    }

    /// A value that cannot be.
    pub(super) fn invalid(field: &str, message: &str, remedy: &str) -> Self {
        crate::grpc::status::invalid(field, message, remedy).into()
    }

    /// A body in a format that is not read here.
    pub(super) fn format(message: &str, remedy: &str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", message, remedy)
    }

    /// A body over the limit.
    pub(super) fn large(message: &str) -> Self {
        let remedy = "send fewer events at once";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message, remedy)
    }

    /// All seats are taken.
    pub(super) fn full(message: &str) -> Self {
        let remedy = "end some of them, or try again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_much", message, remedy)
    }

    /// A caller that is not let in.
    pub(crate) fn forbidden(message: &str) -> Self {
        let remedy = "call the server by its own name, and from no page of another site";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message, remedy)
    }

    /// A path that is there, by another method.
    pub(super) fn method() -> Self {
        let remedy = "`/openapi.json` lists the methods of every path";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "the path has no such method", remedy)
    }

    /// Its words as JSON.
    pub(super) fn text(&self) -> String {
        // Four texts can always be written.
        serde_json::to_string(&self.said).unwrap_or_default()
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let first = takt_proto::error::details(&status).into_iter().next().unwrap_or_default();
        let code = match first.code.as_str() {
            "" => "internal".to_owned(),
            code => code.to_owned(),
        };
        let http = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Aborted | Code::AlreadyExists | Code::FailedPrecondition => StatusCode::CONFLICT,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::ResourceExhausted if code == "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Code::Ok | Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let (field, remedy) = (first.field, first.remedy);
        Self { status: http, said: Said { code, message: status.message().into(), field, remedy } }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let wait = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let later = wait.then_some([(header::RETRY_AFTER, "1")]);
        (self.status, later, Json(self.said)).into_response()
    }
}
