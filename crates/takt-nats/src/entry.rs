//! Between entries of the log and messages of JetStream.

use async_nats::HeaderMap;
use async_nats::header::HeaderName;
use bytes::Bytes;
use takt_domain::EventId;
use takt_ports::{Entry, Hash, LogError, Subject};

/// The CloudEvents id of an entry. Names are checked here, once, and not for every entry.
const ID: HeaderName = HeaderName::from_static("ce-id");
/// The hash of the subject's previous entry.
const PREV: HeaderName = HeaderName::from_static("takt-prev");
const KIND: (HeaderName, &str) =
    (HeaderName::from_static("content-type"), "application/cloudevents+json");

/// The headers of an entry.
pub(crate) fn headers(id: &EventId, prev: &Hash) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ID, id.to_string().as_str());
    headers.insert(PREV, prev.to_string().as_str());
    headers.insert(KIND.0, KIND.1);
    headers
}

/// The entry that a message is.
///
/// # Errors
/// `Damaged` when the headers that every entry has are missing or do not read.
pub(crate) fn entry(
    seq: u64,
    subject: &str,
    headers: Option<&HeaderMap>,
    bytes: Bytes,
) -> Result<Entry, LogError> {
    let header = |name: HeaderName| headers.and_then(|it| it.get(name)).map(|value| value.as_str());
    let damaged = |name: HeaderName| LogError::Damaged {
        seq,
        reason: format!("its header `{name}` is missing or does not read").into(),
    };
    let id = header(ID).and_then(|id| id.parse().ok()).ok_or_else(|| damaged(ID))?;
    let prev = header(PREV).and_then(|prev| prev.parse().ok()).ok_or_else(|| damaged(PREV))?;
    Ok(Entry { seq, subject: Subject::from_log(subject), id: EventId(id), prev, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_from_its_headers() {
        let (id, prev) = (EventId::derive("urn:test", "1", 0), Hash([0xA7; 16]));
        let headers = headers(&id, &prev);
        let back = entry(3, "takt.log.shop.line", Some(&headers), "{}".into()).unwrap();
        assert_eq!((back.id, back.prev, back.seq), (id, prev, 3));
    }

    #[test]
    fn a_message_without_the_headers_of_an_entry_is_damage() {
        let id = EventId::derive("urn:test", "1", 0);
        for (name, value) in [(PREV, "zz"), (PREV, ""), (ID, "x")] {
            let mut headers = headers(&id, &Hash::default());
            headers.insert(name.clone(), value);
            let found = entry(3, "takt.log.shop.line", Some(&headers), "{}".into());
            assert!(matches!(found, Err(LogError::Damaged { seq: 3, .. })), "{name}: {value}");
        }
        assert!(entry(3, "takt.log.shop.line", None, "{}".into()).is_err());
    }
}
