//! One try of a notice: what it says, and telling it.

use std::sync::Arc;
use std::time::Duration;

use takt_domain::notice::Step;
use takt_domain::{Event, EventId};
use takt_events::About;
use takt_ports::{Notice, Notifier, NotifyError};
use takt_projections::AlertRecord;

use super::Key;
use crate::shared::Shared;

/// A notifier that has not ended by then is taken for hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// Tells one receiver of one step.
pub(super) async fn tell(
    shared: Arc<Shared>,
    key: Key,
    notifier: Arc<dyn Notifier>,
) -> Result<(), NotifyError> {
    let notice = notice(&shared, &key).await?;
    let hung = |_| NotifyError {
        retry: true,
        after: None,
        reason: "the notifier did not end in time".into(),
    };
    tokio::time::timeout(PATIENCE, notifier.notify(&notice)).await.map_err(hung)?
}

/// The notice of a step. Only what cannot change any more is in it, so that it is the same bytes
/// whenever it is sent.
async fn notice(shared: &Shared, key: &Key) -> Result<Notice, NotifyError> {
    let retry = |reason: String| NotifyError { retry: true, after: None, reason: reason.into() };
    let entries = shared.log.read(key.sequence, 1).await;
    let entries = entries.map_err(|error| retry(error.to_string()))?;
    let entry = entries.first().ok_or_else(|| retry("its event is not there yet".to_owned()))?;
    let never = |reason: &str| NotifyError { retry: false, after: None, reason: reason.into() };
    let recorded = takt_events::decode(entry.seq, &entry.bytes);
    let recorded = recorded.map_err(|_| never("its event does not read"))?;
    let Event::Andon(event) = &recorded.event else {
        return Err(never("its event is not of an alert"));
    };
    let (step, alert) = Step::of(event).ok_or_else(|| never("its event is no step"))?;
    let record = shared.alert(&key.stream, alert.as_str());
    let id = notice_key(key, alert.as_str(), step);
    let about = record.as_ref().map(about);
    let body = takt_events::notice(id, &shared.source, &recorded, about.as_ref());
    let body = body.ok_or_else(|| never("its event is no step"))?;
    Ok(Notice {
        key: id.0,
        stream: key.stream.clone(),
        content_type: "application/cloudevents+json".into(),
        bytes: body.into(),
    })
}

/// The key of (alert, step, receiver). An alert may be acknowledged twice, so a step is told from
/// others by its place in the log as well as by its name.
fn notice_key(key: &Key, alert: &str, step: Step) -> EventId {
    let source = format!("urn:takt:notice:{}", key.receiver);
    let id = format!("{}/{alert}/{}/{}", key.stream, step.as_str(), key.sequence);
    EventId::derive(&source, &id, 0)
}

/// How an alert was pulled, for notices.
pub(crate) fn about(record: &AlertRecord) -> About<'_> {
    About {
        effect: record.effect,
        cause: &record.cause,
        summary: &record.summary,
        stage: record.stage.as_deref(),
        column: record.column.as_ref(),
        pulled_at: record.pulled_at,
        pulled_by: record.pulled_by.as_deref(),
    }
}
