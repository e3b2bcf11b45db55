//! Errors on the wire: a status whose details name each unmet condition and its remedy.

use prost::Message;
use takt_domain::Rejection;
use tonic::{Code, Status};

use crate::v1::{ErrorDetail, ErrorInfo, RpcStatus};

const TYPE_URL: &str = "type.googleapis.com/takt.v1.ErrorInfo";

/// A status that carries its details in `grpc-status-details-bin`.
pub fn status(code: Code, message: &str, details: Vec<ErrorDetail>) -> Status {
    let any = prost_types::Any {
        type_url: TYPE_URL.to_owned(),
        value: ErrorInfo { details }.encode_to_vec(),
    };
    let body = RpcStatus { code: code as i32, message: message.to_owned(), details: vec![any] };
    Status::with_details(code, message, body.encode_to_vec().into())
}

/// The details of a status; empty if it has none or they are not ours.
pub fn details(status: &Status) -> Vec<ErrorDetail> {
    let Ok(body) = RpcStatus::decode(status.details()) else {
        return vec![];
    };
    body.details
        .iter()
        .filter(|any| any.type_url == TYPE_URL)
        .filter_map(|any| ErrorInfo::decode(any.value.as_ref()).ok())
        .flat_map(|info| info.details)
        .collect()
}

/// The status of a rejection: invalid, not found, or one detail for each unmet condition.
pub fn rejected(rejection: &Rejection) -> Status {
    let message = rejection.to_string();
    let one = |code: &str, field: &str, remedy: &str| {
        vec![ErrorDetail {
            code: code.to_owned(),
            field: field.to_owned(),
            message: message.clone(),
            remedy: remedy.to_owned(),
        }]
    };
    let (code, details) = match rejection {
        Rejection::Invalid { field, remedy, .. } => {
            (Code::InvalidArgument, one("invalid", field, remedy))
        }
        Rejection::NotFound { kind, remedy, .. } => {
            (Code::NotFound, one("not_found", kind, remedy))
        }
        Rejection::Refused(unmet) => {
            let each = unmet.iter().map(|unmet| ErrorDetail {
                code: unmet.code.to_owned(),
                field: String::new(),
                message: unmet.message.clone(),
                remedy: unmet.remedy.clone(),
            });
            (Code::FailedPrecondition, each.collect())
        }
    };
    status(code, &message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_remedy_over_the_wire() {
        let refusal = Rejection::refused("wip_limit", "`Review` holds 3 of 3", "finish a card");
        let status = rejected(&refusal);
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = details(&status);
        assert_eq!(details.len(), 1);
        assert_eq!(details[0].remedy, "finish a card");
        assert_eq!(details[0].code, "wip_limit");
    }

    #[test]
    fn details_that_are_not_ours_are_passed_over() {
        let status = Status::with_details(Code::Internal, "x", b"\xff\xff".to_vec().into());
        assert!(details(&status).is_empty());
    }
}
