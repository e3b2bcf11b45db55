//! Messages to streams that nobody has made: dead letters with the remedy, by one node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use takt_domain::StreamName;
use takt_ports::{Inbox, stream_token, unescaped};
use tokio_util::sync::CancellationToken;

use crate::dead;
use crate::engine::Engine;
use crate::error::Error;
use crate::facts::{Misfit, unreadable};
use crate::intake::letter_id;
use crate::shared::Shared;

/// How often the inbox is asked for messages to streams that are not known: it must name all its
/// subjects for it.
const EVERY: Duration = Duration::from_secs(5);
/// How soon it is asked again where there were some.
const SOON: Duration = Duration::from_secs(1);
/// How many messages are read at once, and how many bytes.
const AT_ONCE: (usize, usize) = (100, 4 * 1024 * 1024);

/// Looks for messages to unknown streams while the lease is held.
pub(crate) async fn run(engine: Engine, inbox: Arc<dyn Inbox>, token: CancellationToken) {
    loop {
        let looked = tokio::select! {
            () = token.cancelled() => return,
            looked = look(&engine, inbox.as_ref()) => looked,
        };
        let pause = match looked {
            Ok(true) => SOON,
            Ok(false) => EVERY,
            Err(error) => {
                tracing::warn!(%error, "messages to unknown streams could not be kept yet");
                EVERY
            }
        };
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Keeps what is there now as dead letters; tells whether there was any and all of it could be kept.
async fn look(engine: &Engine, inbox: &dyn Inbox) -> Result<bool, Error> {
    let shared = engine.shared();
    let strays = unknown(shared, inbox.tokens().await.map_err(Error::unavailable)?);
    if strays.is_empty() {
        return Ok(false);
    }
    // A stream may have been made on another node a moment ago.
    shared.settled(shared.log.head().await?).await?;
    let mut are_kept = true;
    for token in unknown(shared, strays) {
        // What one token's messages stop on is no reason for the others to wait.
        if let Err(error) = bury(shared, inbox, &token).await {
            tracing::warn!(%token, %error, "messages to an unknown stream could not be kept yet");
            are_kept = false;
        }
    }
    Ok(are_kept)
}

/// Keeps the messages of one token as dead letters, and then takes them out of the inbox.
async fn bury(shared: &Shared, inbox: &dyn Inbox, token: &str) -> Result<(), Error> {
    let (max, max_bytes) = AT_ONCE;
    let mut messages = inbox.read(token, 0, max, max_bytes).await.map_err(Error::unavailable)?;
    messages.retain(|message| message.subject.split('.').nth(2) == Some(token));
    let Some(last) = messages.last().map(|message| message.seq) else { return Ok(()) };
    let stream = name_of(token);
    for message in messages {
        let id = letter_id(inbox.creation(), message.seq);
        let misfit = unreadable(&message).unwrap_or_else(|| misfit(&stream, token));
        let bytes = shared.text_of(&message).unwrap_or(message.bytes);
        dead::keep(shared, &stream, id, &bytes, misfit).await?;
    }
    inbox.purge(token, last).await.map_err(Error::unavailable)
}

fn unknown(shared: &Shared, mut tokens: Vec<SmolStr>) -> Vec<SmolStr> {
    let known: BTreeSet<String> =
        shared.read(|world| world.streams.keys().map(stream_token).collect());
    tokens.retain(|token| !known.contains(token.as_str()));
    tokens
}

fn misfit(stream: &StreamName, token: &str) -> Misfit {
    let (mut reason, place) =
        (format!("unknown stream: `{stream}` is not made"), "subject".to_owned());
    let remedy = if token.contains(['*', '>']) {
        reason = format!("unknown stream: `{token}` stands for no stream");
        "publish it to `takt.in.` and the stream's name, where `=` and two hex digits stand for a \
         byte that is no letter, digit, `-` or `_`"
            .to_owned()
    } else if stream.as_str().starts_with('$') {
        "publish under the name of a value stream; one that begins with `$` cannot be made"
            .to_owned()
    } else {
        format!("make it with `takt stream create {stream}`, then replay the letter")
    };
    Misfit { reason, place, remedy }
}

/// The stream that a token stands for; a token that is a hash names itself.
fn name_of(token: &str) -> StreamName {
    let name = unescaped(token, '=').and_then(|text| StreamName::parse(&text).ok());
    name.unwrap_or_else(|| StreamName::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_the_stream_that_it_stands_for() {
        for name in ["shop", "a.b *>", "ä=41"] {
            assert_eq!(name_of(&stream_token(&name.into())).as_str(), name);
        }
        assert_eq!(name_of("a=4").as_str(), "a=4");
    }
}
