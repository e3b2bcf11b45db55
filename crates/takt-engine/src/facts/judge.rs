//! What to do with each fact of a batch, before the batch is stored.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;
use takt_domain::system::Parked;
use takt_domain::{EventId, text};

use super::parked::Waiting;
use super::{Came, Misfit, Understood};
use crate::dead;
use crate::error::Error;
use crate::mailbox::{Draft, Mailbox};

/// Entries that stand so close to each other are read in one piece.
const CLOSE: u64 = 16;

/// What to do with one fact.
pub(super) enum Verdict {
    /// The draft at this place of the batch.
    Draft(usize),
    Known(u64),
    /// The same fact came earlier in this batch, as the draft at this place.
    Twin(usize),
    /// What is wrong, and the dead letter's id.
    Dead(Misfit, uuid::Uuid),
}

/// What to do with a batch.
pub(super) struct Judged {
    pub(super) verdicts: Vec<Verdict>,
    pub(super) drafts: Vec<Draft>,
    pub(super) parked: Vec<Parked>,
    pub(super) freed: Vec<uuid::Uuid>,
}

/// Judges a batch; `unfit` tells why the log cannot store the one fact that it is of.
pub(super) async fn judge(
    mailbox: &Mailbox,
    came: &[Came],
    unfit: Option<&str>,
) -> Result<Judged, Error> {
    let index: Vec<Option<u64>> = came
        .iter()
        .map(|came| came.fact.as_ref().ok().and_then(|fact| mailbox.sequence_of(&fact.draft.id)))
        .collect();
    let known = index.iter().filter_map(|known| *known).collect();
    let mut judging = Judging {
        digests: recorded_digests(mailbox, known).await?,
        waiting: Waiting::of(mailbox, came).await?,
        batch: BTreeMap::new(),
        judged: Judged {
            verdicts: Vec::with_capacity(came.len()),
            drafts: vec![],
            parked: vec![],
            freed: vec![],
        },
        mailbox,
        unfit,
    };
    for (came, known) in came.iter().zip(index) {
        let verdict = judging.one(came, known);
        judging.judged.verdicts.push(verdict);
    }
    let (parked, freed) = judging.waiting.changes();
    Ok(Judged { parked, freed, ..judging.judged })
}

struct Judging<'a> {
    mailbox: &'a Mailbox,
    digests: BTreeMap<u64, SmolStr>,
    waiting: Waiting,
    /// The places of the batch's own drafts, and their facts' digests.
    batch: BTreeMap<EventId, (usize, &'a SmolStr)>,
    judged: Judged,
    unfit: Option<&'a str>,
}

impl<'a> Judging<'a> {
    /// Judges what came; a fact that is in the log already stands there at `known`.
    fn one(&mut self, came: &'a Came, known: Option<u64>) -> Verdict {
        // What was read from the log and is published again is no news.
        if let Some(seq) = came.own.and_then(|own| self.mailbox.sequence_of(&own)) {
            return Verdict::Known(seq);
        }
        let fact = match &came.fact {
            Ok(fact) => fact,
            Err(misfit) => return self.dead(came, misfit.clone(), None),
        };
        let (same, digest) = match (self.batch.get(&fact.draft.id), known) {
            (Some((place, digest)), _) => (Verdict::Twin(*place), Some(*digest)),
            (None, Some(seq)) => (Verdict::Known(seq), self.digests.get(&seq)),
            (None, None) if fact.source == self.mailbox.shared.source => {
                return self.borrowed(came, fact);
            }
            (None, None) => return self.fresh(came, fact),
        };
        if digest == Some(&fact.digest) {
            return same;
        }
        self.dead(came, reused(fact), Some(name_of(fact)))
    }

    fn fresh(&mut self, came: &Came, fact: &'a Understood) -> Verdict {
        let thing = &fact.thing;
        let letter = came.letter.unwrap_or_else(|| {
            dead::id_of(&self.mailbox.stream, &came.bytes, Some(&name_of(fact)))
        });
        if let Some(first) = self.waiting.first(thing).filter(|first| *first != letter) {
            self.waiting.park(thing.clone(), letter);
            return Verdict::Dead(behind(first), letter);
        }
        if let Some(problem) = self.unfit {
            self.waiting.park(thing.clone(), letter);
            return Verdict::Dead(unfit(problem), letter);
        }
        self.waiting.free(letter);
        let place = self.judged.drafts.len();
        self.batch.insert(fact.draft.id, (place, &fact.digest));
        self.judged.drafts.push(fact.draft.clone());
        Verdict::Draft(place)
    }

    /// A fact under this Takt's own source: an event of another stream is no news either, and
    /// anything else was never written here.
    fn borrowed(&self, came: &Came, fact: &Understood) -> Verdict {
        let elsewhere = came.own.and_then(|own| {
            self.mailbox.shared.read(|world| {
                let mut streams = world.streams.keys();
                streams.find_map(|stream| world.sequence_of(stream, &own))
            })
        });
        match elsewhere {
            Some(seq) => Verdict::Known(seq),
            None => self.dead(came, not_its_own(fact), Some(name_of(fact))),
        }
    }

    fn dead(&self, came: &Came, misfit: Misfit, name: Option<String>) -> Verdict {
        let id = || dead::id_of(&self.mailbox.stream, &came.bytes, name.as_ref());
        Verdict::Dead(misfit, came.letter.unwrap_or_else(id))
    }
}

/// The digests of recorded events. Facts that are published again mostly come in the order in which
/// they were recorded, so what stands close together is read at once.
async fn recorded_digests(
    mailbox: &Mailbox,
    seqs: BTreeSet<u64>,
) -> Result<BTreeMap<u64, SmolStr>, Error> {
    let mut digests = BTreeMap::new();
    let mut left = seqs.iter().copied().peekable();
    while let Some(first) = left.next() {
        let mut last = first;
        while let Some(next) = left.next_if(|next| next - last <= CLOSE) {
            last = next;
        }
        read_digests(mailbox, first, last, &mut digests).await?;
    }
    Ok(digests)
}

async fn read_digests(
    mailbox: &Mailbox,
    first: u64,
    last: u64,
    digests: &mut BTreeMap<u64, SmolStr>,
) -> Result<(), Error> {
    let mut next = first;
    while next <= last {
        let count = usize::try_from(last - next + 1).unwrap_or(usize::MAX);
        // A read may end early: at large entries, or before a damaged one, which is then an error
        // and never taken for other content.
        let entries = mailbox.shared.log.read(next, count).await?;
        let Some(end) = entries.last() else { break };
        next = end.seq + 1;
        for entry in &entries {
            let digest = takt_events::recorded_digest(&entry.bytes).unwrap_or_default();
            digests.insert(entry.seq, digest);
        }
    }
    Ok(())
}

fn reused(fact: &Understood) -> Misfit {
    Misfit {
        reason: format!(
            "identity reused: source `{}` and id `{}` are recorded with other content",
            fact.source, fact.id
        ),
        place: "id".to_owned(),
        remedy: "give every event an id of its own".to_owned(),
    }
}

fn not_its_own(fact: &Understood) -> Misfit {
    Misfit {
        reason: format!(
            "not a fact: source `{}` is this Takt, which has recorded no event with id `{}`",
            fact.source,
            text::shown(&fact.id)
        ),
        place: "source".to_owned(),
        remedy: "give your service a source of its own".to_owned(),
    }
}

/// What a dead letter's id comes from where the fact is understood.
fn name_of(fact: &Understood) -> String {
    let (source, id) = (&fact.source, &fact.id);
    format!("{}:{source}{}:{id}{}", source.len(), id.len(), fact.digest)
}

fn unfit(problem: &str) -> Misfit {
    Misfit {
        reason: format!("cannot be applied: with its envelope it {problem}"),
        place: "the whole event".to_owned(),
        remedy: "publish it again in smaller parts, then drop this letter; what came later about \
                 the same thing waits until then"
            .to_owned(),
    }
}

fn behind(first: uuid::Uuid) -> Misfit {
    Misfit {
        reason: format!("parked behind {first}"),
        place: "the whole event".to_owned(),
        remedy: format!("replay or drop letter `{first}` first, then replay this one"),
    }
}
