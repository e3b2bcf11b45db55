//! One try of a notice: what it says, and telling it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use takt_domain::notice::Step;
use takt_domain::{Event, EventId, Recorded, Time, andon};
use takt_ports::{Notice, Notifier, NotifyError};
use takt_projections::AlertRecord;

use super::Key;
use crate::shared::Shared;

/// The type of every notice of an alert.
const TYPE: &str = "dev.takt.andon.notice.v1";
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
    let record = shared.read(|world| {
        world.streams.get(&key.stream).and_then(|view| view.alerts.all.get(alert).cloned())
    });
    let own: Value = serde_json::from_slice(&entry.bytes).unwrap_or_default();
    let id = notice_key(key, alert.as_str(), step);
    let body = json!({
        "specversion": "1.0",
        "id": id.to_string(),
        "source": shared.source,
        "type": TYPE,
        "subject": alert,
        "time": recorded.meta.time,
        "datacontenttype": "application/json",
        "taktstream": key.stream,
        "data": data(key, &recorded, step, record.as_ref(), own.get("data")),
    });
    Ok(Notice {
        key: id,
        stream: key.stream.clone(),
        content_type: "application/cloudevents+json".into(),
        bytes: body.to_string().into(),
    })
}

/// The key of (alert, step, receiver). An alert may be acknowledged twice, so a step is told from
/// others by its place in the log as well as by its name.
fn notice_key(key: &Key, alert: &str, step: Step) -> uuid::Uuid {
    let source = format!("urn:takt:notice:{}", key.receiver);
    let id = format!("{}/{alert}/{}/{}", key.stream, step.as_str(), key.sequence);
    EventId::derive(&source, &id, 0).0
}

/// Until when an acknowledgement holds, or the deadline that passed.
const fn until(event: &Event) -> Option<Time> {
    use andon::Event as E;
    let Event::Andon(event) = event else { return None };
    match event {
        E::Acknowledged(it) => Some(it.until),
        E::AcknowledgementExpired(it) => Some(it.at),
        E::Escalated(it) => Some(it.at),
        E::Pulled(_) | E::Joined(_) | E::ConditionCleared(_) | E::Resolved(_) => None,
    }
}

fn data(
    key: &Key,
    recorded: &Recorded,
    step: Step,
    record: Option<&AlertRecord>,
    event: Option<&Value>,
) -> Map<String, Value> {
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            data.insert(name.to_owned(), value);
        }
    };
    put("stream", json!(key.stream));
    put("alert", json!(recorded.meta.subject));
    put("step", json!(step));
    put("sequence", json!(key.sequence));
    put("by", json!(recorded.meta.actor));
    put("until", json!(until(&recorded.event)));
    if let Some(record) = record {
        put("effect", json!(record.effect));
        put("cause", json!(record.cause));
        put("summary", json!(record.summary));
        put("stage", json!(record.stage));
        put("column", json!(record.column));
        put("pulled_at", json!(record.pulled_at));
        put("pulled_by", json!(record.pulled_by));
    }
    put("event", event.cloned().unwrap_or_default());
    data
}
