//! Dead letters: what could not be understood, visible and replayable.

use bytes::Bytes;
use takt_domain::text::shown;
use takt_engine::Published;
use takt_ports::{DeadLetter, DeadLettersError, Fate};
use takt_proto::convert::timestamp;
use takt_proto::v1;
use tonic::{Request, Response, Status};

use super::events::result;
use super::status::{invalid, not_found};
use super::{Services, checks, deadline, status, stream_name};

/// How many letters an answer holds when the caller names no limit.
const ROWS: usize = 100;

fn unavailable(error: DeadLettersError) -> Status {
    status(takt_engine::Error::Unavailable(error.to_string()))
}

fn message(letter: DeadLetter, content: Bytes) -> v1::DeadLetter {
    let letter = letter.letter;
    v1::DeadLetter {
        id: letter.id.to_string(),
        stream: letter.stream.to_string(),
        reason: letter.reason.to_string(),
        place: letter.place.to_string(),
        remedy: letter.remedy.to_string(),
        time: Some(timestamp(letter.at)),
        content,
        length: letter.length,
        sha256: letter.sha256.to_string(),
    }
}

const REMEDY: &str = "`takt dead list` shows them";

fn uuid(id: &str) -> Result<uuid::Uuid, Status> {
    id.parse().map_err(|_| invalid("id", &format!("`{}` is not a UUID", shown(id)), REMEDY))
}

fn no_letter(id: &str) -> Status {
    not_found("dead letter", id, REMEDY)
}

impl Services {
    async fn letter(&self, id: &str) -> Result<Option<DeadLetter>, Status> {
        self.engine.dead_letters().get(uuid(id)?).await.map_err(unavailable)
    }

    /// What became of a letter that is not kept: whoever asks for the same again is told so.
    async fn fate(&self, id: &str) -> Result<Fate, Status> {
        let fate = self.engine.dead_letters().fate(uuid(id)?).await.map_err(unavailable)?;
        fate.ok_or_else(|| no_letter(id))
    }

    async fn replayed(
        &self,
        letter: DeadLetter,
        wait: std::time::Duration,
    ) -> Result<Published, Status> {
        let letter = letter.letter;
        if letter.length != letter.bytes.len() as u64 {
            let problem =
                format!("only {} of {} bytes were kept", letter.bytes.len(), letter.length);
            return Err(invalid("id", &problem, "publish the event again, below 1 MiB"));
        }
        let published =
            self.record(&letter.stream, vec![letter.bytes], Some(letter.id), wait).await?;
        let published = published.into_iter().next();
        let published = published.ok_or_else(|| Status::internal("no answer for the letter"))?;
        if let Published::Recorded { sequence } | Published::Duplicate { sequence } = published {
            let fate = Fate::Recorded { sequence };
            self.engine.dead_letters().remove(letter.id, fate).await.map_err(unavailable)?;
        }
        Ok(published)
    }
}

#[tonic::async_trait]
impl v1::dead_letter_service_server::DeadLetterService for Services {
    async fn list(
        &self,
        request: Request<v1::ListDeadLettersRequest>,
    ) -> Result<Response<v1::ListDeadLettersResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let sequence = self.sequence(asked.min_sequence, wait).await?;
        let after = if asked.page_token.is_empty() { Ok(0) } else { asked.page_token.parse() };
        let after: u64 = after.map_err(|_| {
            let remedy = "pass what the last page gave as `next_page_token`";
            invalid("page_token", &format!("`{}` is no page", shown(&asked.page_token)), remedy)
        })?;
        let stream = (!asked.stream.is_empty()).then(|| stream_name(&asked.stream)).transpose()?;
        let rows = if asked.limit == 0 { ROWS } else { asked.limit as usize };
        let rows = rows.min(1000);
        let found = self.engine.dead_letters().list(stream.as_ref(), after, rows + 1).await;
        let found = found.map_err(unavailable)?;
        let seqs: Vec<u64> = found.iter().map(|letter| letter.seq).collect();
        let letters = found.into_iter().map(|letter| message(letter, Bytes::new()));
        let (letters, more) = checks::fill(letters, rows);
        let last = letters.len().checked_sub(1).filter(|_| more).and_then(|at| seqs.get(at));
        let next_page_token = last.map(ToString::to_string).unwrap_or_default();
        Ok(Response::new(v1::ListDeadLettersResponse { letters, next_page_token, sequence }))
    }

    async fn get(
        &self,
        request: Request<v1::DeadLetterRequest>,
    ) -> Result<Response<v1::DeadLetter>, Status> {
        self.sequence(request.get_ref().min_sequence, deadline(&request)).await?;
        let id = &request.get_ref().id;
        let letter = self.letter(id).await?.ok_or_else(|| no_letter(id))?;
        let content = letter.letter.bytes.clone();
        Ok(Response::new(message(letter, content)))
    }

    async fn replay(
        &self,
        request: Request<v1::DeadLetterRequest>,
    ) -> Result<Response<v1::PublishResult>, Status> {
        let wait = deadline(&request);
        checks::short("actor", &request.get_ref().actor)?;
        let id = &request.get_ref().id;
        let published = match self.letter(id).await? {
            Some(letter) => self.replayed(letter, wait).await?,
            None => match self.fate(id).await? {
                Fate::Recorded { sequence } => Published::Duplicate { sequence },
                Fate::Dropped => return Err(no_letter(id)),
            },
        };
        Ok(Response::new(result(published)))
    }

    async fn drop(
        &self,
        request: Request<v1::DeadLetterRequest>,
    ) -> Result<Response<v1::DropDeadLetterResponse>, Status> {
        checks::short("actor", &request.get_ref().actor)?;
        let id = &request.get_ref().id;
        let removed = self.engine.dead_letters().remove(uuid(id)?, Fate::Dropped).await;
        if !removed.map_err(unavailable)? {
            // It is gone already, as is wanted; what was never there is an error.
            self.fate(id).await?;
        }
        let sequence = self.sequence(0, deadline(&request)).await?;
        Ok(Response::new(v1::DropDeadLetterResponse { sequence }))
    }
}
