//! Errors on the wire: a status whose details name each unmet condition and its remedy.

use prost::Message;
use takt_domain::Rejection;
use takt_domain::text::cut;
use tonic::{Code, Status};

use crate::v1::{ErrorDetail, ErrorInfo, RpcStatus};

const TYPE_URL: &str = "type.googleapis.com/takt.v1.ErrorInfo";

/// The longest message, in bytes.
///
/// All of a status goes into headers, of which clients take 8 KiB by default: the message with up
/// to three bytes for one, and the whole status with four for three.
const MESSAGE: usize = 1024;
/// The longest message or remedy of a detail.
const TEXT: usize = 384;
/// How many bytes a status may take, so that it is below 4 KiB in base64.
const BUDGET: usize = 3 * 1024;
/// What is kept free of the budget to say how many details were left out.
const RESERVE: usize = 128;

/// A status that carries its details in `grpc-status-details-bin`, cut to what headers hold.
pub fn status(code: Code, message: &str, details: Vec<ErrorDetail>) -> Status {
    let message = cut(message, MESSAGE);
    let budget = BUDGET.saturating_sub(message.len()).saturating_sub(RESERVE);
    let any = prost_types::Any {
        type_url: TYPE_URL.to_owned(),
        value: ErrorInfo { details: fitted(details, budget) }.encode_to_vec(),
    };
    let body = RpcStatus { code: code as i32, message: message.to_string(), details: vec![any] };
    Status::with_details(code, message, body.encode_to_vec().into())
}

/// Details up to a number of bytes, and one that says how many more there are.
fn fitted(details: Vec<ErrorDetail>, budget: usize) -> Vec<ErrorDetail> {
    let (total, mut bytes, mut fitted) = (details.len(), 0, Vec::new());
    for detail in details {
        let detail = ErrorDetail {
            code: cut(&detail.code, TEXT).into_owned(),
            field: cut(&detail.field, TEXT).into_owned(),
            message: cut(&detail.message, TEXT).into_owned(),
            remedy: cut(&detail.remedy, TEXT).into_owned(),
        };
        // A field's tag and length take up to three bytes.
        bytes += 3 + detail.encoded_len();
        if bytes > budget {
            break;
        }
        fitted.push(detail);
    }
    let left = total - fitted.len();
    if left > 0 {
        fitted.push(ErrorDetail {
            code: "more".to_owned(),
            message: format!("… and {left} more"),
            ..ErrorDetail::default()
        });
    }
    fitted
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
    fn a_status_fits_into_headers_however_much_there_is_to_say() {
        let long = "ü".repeat(4096);
        let of = |text: &str, count: usize| {
            let one = || takt_domain::Unmet {
                code: "andon_open",
                message: text.to_owned(),
                remedy: text.to_owned(),
            };
            rejected(&Rejection::Refused((0..count).map(|_| one()).collect()))
        };
        let invalid =
            Rejection::Invalid { field: "kind", problem: long.clone(), remedy: long.clone() };
        for (status, expected) in [
            (of(&long, 1), 1),
            (of(&long, 1000), 2),
            (of("`Done` takes nothing while `alert-0123456789ab` is open", 25), 1),
            (rejected(&invalid), 1),
        ] {
            let headers = status.message().len() * 3 + status.details().len().div_ceil(3) * 4;
            assert!(headers < 7 * 1024, "{headers} bytes");
            assert!(details(&status).len() >= expected, "{:?}", details(&status));
            assert!(status.message().ends_with('…'), "{}", status.message());
        }
        let many = details(&of("an open stop", 1000));
        let named = many.len() - 1;
        assert_eq!(many[named].message, format!("… and {} more", 1000 - named));
    }

    #[test]
    fn details_that_are_not_ours_are_passed_over() {
        let status = Status::with_details(Code::Internal, "x", b"\xff\xff".to_vec().into());
        assert!(details(&status).is_empty());
    }
}
