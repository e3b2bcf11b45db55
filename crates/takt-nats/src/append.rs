//! Appending: one message, or an atomic batch, each with the expectations it rests on.

use std::collections::{HashMap, HashSet};

use async_nats::Client;
use async_nats::header::{HeaderName, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use takt_ports::{Append, AppendError, Condition, Entry, Hash, Subject};

use crate::batch::{self, Sending, Sent};
use crate::entry::headers;
use crate::heads::head_after;

/// Names the subject that an expectation is about, where it is not the message's own.
const EXPECTED_SUBJECT: HeaderName =
    HeaderName::from_static("Nats-Expected-Last-Subject-Sequence-Subject");
/// The limits of a batch, as [`Append`] states them.
const MOST: usize = 1000;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// What headers and subject may add to a payload.
const AROUND: usize = 2048;

/// A message with its expectation, still without its place in the log.
pub(crate) struct Draft {
    pub(crate) entry: Entry,
    expects: Option<(Option<Subject>, u64)>,
}

/// Whether an append keeps the limits.
pub(crate) fn check(append: &Append, max_payload: usize) -> Result<(), AppendError> {
    let too_large = |problem: String| Err(AppendError::TooLarge { problem });
    let count = append.entries.len();
    if count == 0 || count > MOST {
        return too_large(format!("has {count} entries, and takes 1 to {MOST}"));
    }
    let bytes: usize = append.entries.iter().map(|entry| entry.bytes.len()).sum();
    if bytes > MOST_BYTES {
        return too_large(format!("has {bytes} bytes, more than {MOST_BYTES}"));
    }
    let most = max_payload.saturating_sub(AROUND);
    match append.entries.iter().map(|entry| entry.bytes.len()).find(|length| *length > most) {
        Some(length) => too_large(format!(
            "has an entry of {length} bytes, more than the {most} that the nats-server takes \
             (`max_payload`)"
        )),
        None => Ok(()),
    }
}

/// Gives every entry its expectation: the first of a subject expects the subject's own end, a later
/// one may carry a condition on a subject that the batch does not write.
pub(crate) fn drafts(
    append: &Append,
    heads: &HashMap<Subject, (u64, Hash)>,
) -> Result<Vec<Draft>, AppendError> {
    let written: HashSet<&Subject> = append.entries.iter().map(|entry| &entry.subject).collect();
    let looked_at = |condition: &&Condition| !written.contains(&condition.subject);
    let mut others = append.conditions.iter().filter(looked_at);
    let mut ends = heads.clone();
    let mut seen: HashSet<&Subject> = HashSet::new();
    let mut drafts = Vec::with_capacity(append.entries.len());
    for new in &append.entries {
        let (last_seq, prev) = ends.get(&new.subject).copied().unwrap_or_default();
        let expects = if seen.insert(&new.subject) {
            Some((None, last_seq))
        } else {
            others.next().map(|it| (Some(it.subject.clone()), it.last_seq))
        };
        let (subject, id, bytes) = (new.subject.clone(), new.id, new.bytes.clone());
        let entry = Entry { seq: last_seq, subject, id, prev, bytes };
        ends.insert(entry.subject.clone(), head_after(&entry));
        drafts.push(Draft { entry, expects });
    }
    match others.next() {
        None => Ok(drafts),
        Some(left) => Err(AppendError::TooLarge {
            problem: format!(
                "has a condition on `{}` and no entry to carry it: one message carries one \
                 expectation, and the first of each subject its own",
                left.subject
            ),
        }),
    }
}

/// Sends one message or one atomic batch.
pub(crate) async fn send(client: &Client, drafts: &[Draft]) -> Sent {
    batch::send(client, drafts.iter().map(sending)).await
}

fn sending(draft: &Draft) -> Sending {
    let mut headers = headers(&draft.entry.id, &draft.entry.prev);
    if let Some((other, last_seq)) = &draft.expects {
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, last_seq.to_string().as_str());
        if let Some(other) = other {
            headers.insert(EXPECTED_SUBJECT, other.as_str());
        }
    }
    let (subject, bytes) = (draft.entry.subject.to_string(), draft.entry.bytes.clone());
    Sending { subject, headers, bytes }
}

#[cfg(test)]
mod tests {
    use takt_domain::EventId;
    use takt_ports::NewEntry;

    use super::*;

    fn entry(subject: &str, text: &str) -> NewEntry {
        let id = EventId::derive("urn:test", text, 0);
        NewEntry { subject: Subject::from_log(subject), id, bytes: text.to_owned().into() }
    }

    fn condition(subject: &str, last_seq: u64) -> Condition {
        Condition { subject: Subject::from_log(subject), last_seq }
    }

    fn expectations(append: &Append) -> Vec<Option<(Option<String>, u64)>> {
        let heads = [(Subject::from_log("a"), (4, Hash([1; 16])))].into();
        let drafts = drafts(append, &heads).unwrap();
        let text = |subject: Subject| subject.to_string();
        let expects = |it: Draft| it.expects.map(|(other, seq)| (other.map(text), seq));
        drafts.into_iter().map(expects).collect()
    }

    #[test]
    fn the_first_message_of_a_subject_expects_its_end_and_a_later_one_what_was_looked_at() {
        let entries = vec![entry("a", "1"), entry("b", "2"), entry("a", "3"), entry("a", "4")];
        let conditions = vec![condition("a", 4), condition("line", 9)];
        let append = Append { conditions, entries };
        let line = Some((Some("line".to_owned()), 9));
        assert_eq!(expectations(&append), [Some((None, 4)), Some((None, 0)), line, None]);
    }

    #[test]
    fn chains_go_on_within_a_batch() {
        let entries = vec![entry("a", "1"), entry("a", "2")];
        let heads = [(Subject::from_log("a"), (4, Hash([1; 16])))].into();
        let drafts = drafts(&Append { conditions: vec![], entries }, &heads).unwrap();
        let [one, two] = drafts.as_slice() else { panic!("two drafts") };
        assert_eq!(one.entry.prev, Hash([1; 16]));
        assert_eq!(two.entry.prev, head_after(&one.entry).1);
    }

    #[test]
    fn a_condition_that_no_message_can_carry_is_refused() {
        let append =
            Append { conditions: vec![condition("line", 9)], entries: vec![entry("a", "1")] };
        let refused = drafts(&append, &HashMap::new()).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("`line`"), "{refused}");
    }

    #[test]
    fn limits_are_told_with_their_figures() {
        let many = Append { conditions: vec![], entries: vec![entry("a", "1"); 1001] };
        let none = Append::default();
        let long = entry("a", &"x".repeat(5000));
        let long = Append { conditions: vec![], entries: vec![long] };
        for (append, figure) in [(many, "1001"), (none, "0 entries"), (long, "5000")] {
            let refused = check(&append, 4096).unwrap_err().to_string();
            assert!(refused.contains(figure), "{refused}");
        }
    }
}
