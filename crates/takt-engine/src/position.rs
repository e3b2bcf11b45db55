//! How far a stream's inbox is taken in: kept in memory between batches, and written with them.

use std::time::{Duration, Instant};

use takt_domain::system::IntakeAdvanced;
use takt_ports::AppendError;

use crate::error::Error;
use crate::facts;
use crate::mailbox::Mailbox;

/// How often a position that nothing was recorded with is written, at most.
const EVERY: Duration = Duration::from_secs(1);

impl Mailbox {
    /// The inbox and the position in it; nil and 0 where there is none.
    pub(crate) fn position(&self) -> (uuid::Uuid, u64) {
        let inbox = self.shared.nodes.as_ref().map(|nodes| nodes.inbox.creation());
        let inbox = inbox.unwrap_or_default();
        (inbox, self.taken.unwrap_or_else(|| self.durable_position(inbox)))
    }

    fn durable_position(&self, inbox: uuid::Uuid) -> u64 {
        self.shared.read(|world| {
            let view = world.streams.get(&self.stream);
            view.map_or(0, |view| view.intake.position(inbox))
        })
    }

    /// Refuses facts for a stream that is not made, and on a node that does not hold its lease;
    /// and a batch of the inbox that does not follow what is taken in.
    ///
    /// # Errors
    /// `UnknownStream`, or `Unavailable` with the reason.
    pub(crate) fn may_record(&mut self, after: Option<u64>) -> Result<(), Error> {
        if !self.shared.read(|world| world.streams.contains_key(&self.stream)) {
            return Err(Error::UnknownStream(self.stream.clone()));
        }
        if !self.shared.holds(&self.stream) {
            return Err(nobody());
        }
        let (inbox, _) = self.position();
        // Another node's position counts for more than what is remembered here.
        let durable = self.durable_position(inbox);
        self.taken = self.taken.map(|taken| taken.max(durable));
        let at = self.position().1;
        if after.is_some_and(|after| after != at) {
            let reason = format!("the inbox of `{}` is taken in up to {at} by now", self.stream);
            return Err(Error::Unavailable(reason));
        }
        Ok(())
    }
}

/// Why a fact cannot be recorded here, nor anywhere as far as this node can tell.
pub(crate) fn nobody() -> Error {
    Error::Unavailable("no node holds the stream's lease now; try again".to_owned())
}

/// Where to follow the inbox from, once everything is folded that another node may have taken in.
pub(crate) async fn begin(mailbox: &mut Mailbox) -> Result<u64, Error> {
    mailbox.settle().await?;
    mailbox.may_record(None)?;
    Ok(mailbox.position().1)
}

/// Writes the position when it has waited long enough.
pub(crate) async fn tick(mailbox: &mut Mailbox) {
    if mailbox.position_at.is_none_or(|at| at.elapsed() >= EVERY) {
        write(mailbox).await;
    }
}

/// Writes the position, if there is more to it than the log knows.
pub(crate) async fn write(mailbox: &mut Mailbox) {
    match try_write(mailbox).await {
        Ok(()) | Err(AppendError::Conflict { .. }) => {}
        Err(error) => {
            tracing::warn!(stream = %mailbox.stream, %error, "the intake's position waits");
        }
    }
}

async fn try_write(mailbox: &mut Mailbox) -> Result<(), AppendError> {
    let as_of = mailbox.as_of();
    let (inbox, through) = mailbox.position();
    if through <= mailbox.durable_position(inbox) || !mailbox.shared.holds(&mailbox.stream) {
        return Ok(());
    }
    let event = IntakeAdvanced { inbox, through, parked: vec![], freed: vec![] };
    let draft = facts::advanced(mailbox, event);
    mailbox.position_at = Some(Instant::now());
    mailbox.append(&[draft], &[], as_of).await.map(drop)
}
