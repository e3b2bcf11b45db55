//! The dictionary of the log: one row per type of event.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use takt_domain::event::Unknown;
use takt_domain::{Event, andon, board, change, deployment, stream, system, testing};

use crate::envelope::{DecodeError, shown};

/// Data with the CDEvent it was made of.
#[derive(Serialize)]
struct Made<'a, T> {
    #[serde(flatten)]
    data: &'a T,
    cdevent: &'a RawValue,
}

/// The CDEvent that an event with this data was made of, as it came.
pub(crate) fn cdevent_of(event: &Event, data: &str) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Original<'a> {
        #[serde(borrow)]
        cdevent: &'a RawValue,
    }
    let made = matches!(event, Event::Testing(_) | Event::Change(_) | Event::Deployment(_));
    if !made || !data.contains("\"cdevent\"") {
        return None;
    }
    serde_json::from_str::<Original<'_>>(data).ok().map(|it| it.cdevent.get().into())
}

macro_rules! dictionary {
    ($($kind:literal => $context:ident $module:ident::$variant:ident;)*) => {
        /// Every type of event that this version writes, in the order of the dictionary.
        pub const TYPES: &[&str] = &[$($kind),*];

        /// The CloudEvents type of an event.
        pub fn type_of(event: &Event) -> &str {
            match event {
                $(Event::$context($module::Event::$variant(_)) => $kind,)*
                Event::Unknown(unknown) => &unknown.kind,
            }
        }

        /// The event's data as JSON, with the CDEvent it was made of among its fields.
        pub(crate) fn data_of(
            event: &Event,
            cdevent: Option<&str>,
        ) -> serde_json::Result<Box<RawValue>> {
            let cdevent = cdevent.and_then(|text| serde_json::from_str(text).ok());
            match event {
                $(Event::$context($module::Event::$variant(data)) => match cdevent {
                    None => to_raw_value(data),
                    Some(cdevent) => to_raw_value(&Made { data, cdevent }),
                },)*
                Event::Unknown(unknown) => RawValue::from_string(unknown.data.to_string()),
            }
        }

        /// Why the data of an event of a known type was not understood, if it was not: such an
        /// event is kept as it is, under a type that this version knows.
        pub fn misfit(event: &Event) -> Option<DecodeError> {
            let Event::Unknown(unknown) = event else { return None };
            let error = match unknown.kind.as_str() {
                $($kind => serde_json::from_str(&unknown.data)
                    .map(|data| Event::$context($module::Event::$variant(data)))
                    .err(),)*
                _ => None,
            };
            error.map(|error| DecodeError::Data {
                kind: unknown.kind.to_string(),
                data: shown(&unknown.data),
                error,
            })
        }

        /// The event of a type with its data. History cannot be refused: what this version does
        /// not know, or cannot read, is kept as it is.
        pub(crate) fn read(kind: &str, data: &str) -> Event {
            let known = match kind {
                $($kind => serde_json::from_str(data)
                    .ok()
                    .map(|data| Event::$context($module::Event::$variant(data))),)*
                _ => None,
            };
            known.unwrap_or_else(|| {
                Event::Unknown(Unknown { kind: kind.into(), data: data.into() })
            })
        }
    };
}

dictionary! {
    "dev.takt.stream.created.v1" => Stream stream::Created;
    "dev.takt.stream.policy_set.v1" => Stream stream::PolicySet;
    "dev.takt.board.column_set.v1" => Board board::ColumnSet;
    "dev.takt.board.column_reported.v1" => Board board::ColumnReported;
    "dev.takt.board.card_added.v1" => Board board::CardAdded;
    "dev.takt.board.card_moved.v1" => Board board::CardMoved;
    "dev.takt.board.card_reported.v1" => Board board::CardReported;
    "dev.takt.board.card_blocked.v1" => Board board::CardBlocked;
    "dev.takt.board.card_unblocked.v1" => Board board::CardUnblocked;
    "dev.takt.board.card_deleted.v1" => Board board::CardDeleted;
    "dev.takt.board.card_overdue.v1" => Board board::CardOverdue;
    "dev.takt.board.gate_passed.v1" => Board board::GatePassed;
    "dev.takt.board.import_closed.v1" => Board board::ImportClosed;
    "dev.takt.andon.pulled.v1" => Andon andon::Pulled;
    "dev.takt.andon.joined.v1" => Andon andon::Joined;
    "dev.takt.andon.acknowledged.v1" => Andon andon::Acknowledged;
    "dev.takt.andon.acknowledgement_expired.v1" => Andon andon::AcknowledgementExpired;
    "dev.takt.andon.escalated.v1" => Andon andon::Escalated;
    "dev.takt.andon.condition_cleared.v1" => Andon andon::ConditionCleared;
    "dev.takt.andon.resolved.v1" => Andon andon::Resolved;
    "dev.takt.tests.reported.v1" => Testing testing::Reported;
    "dev.takt.tests.run_reported.v1" => Testing testing::RunReported;
    "dev.takt.change.reported.v1" => Change change::Reported;
    "dev.takt.pipeline.reported.v1" => Deployment deployment::PipelineReported;
    "dev.takt.deployment.reported.v1" => Deployment deployment::DeploymentReported;
    "dev.takt.service.reported.v1" => Deployment deployment::ServiceReported;
    "dev.takt.environment.reported.v1" => Deployment deployment::EnvironmentReported;
    "dev.takt.incident.reported.v1" => Deployment deployment::IncidentReported;
    "dev.takt.foreign.recorded.v1" => System system::ForeignRecorded;
    "dev.takt.refusals.summed.v1" => System system::RefusalsSummed;
    "dev.takt.reactor.advanced.v1" => System system::ReactorAdvanced;
    "dev.takt.intake.advanced.v1" => System system::IntakeAdvanced;
    "dev.takt.notice.requested.v1" => System system::NoticeRequested;
    "dev.takt.notice.delivered.v1" => System system::NoticeDelivered;
    "dev.takt.notice.failed.v1" => System system::NoticeFailed;
}
