//! Dead letters: what could not be understood, visible and replayable.

use bytes::Bytes;
use takt_ports::{DeadLetter, DeadLettersError};
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

impl Services {
    async fn letter(&self, id: &str) -> Result<DeadLetter, Status> {
        let remedy = "`takt dead list` shows them";
        let uuid: uuid::Uuid =
            id.parse().map_err(|_| invalid("id", &format!("`{id}` is not a UUID"), remedy))?;
        let found = self.engine.dead_letters().get(uuid).await.map_err(unavailable)?;
        found.ok_or_else(|| not_found("dead letter", id, remedy))
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
            invalid("page_token", &format!("`{}` is no page", asked.page_token), remedy)
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
        let letter = self.letter(&request.get_ref().id).await?;
        let content = letter.letter.bytes.clone();
        Ok(Response::new(message(letter, content)))
    }

    async fn replay(
        &self,
        request: Request<v1::DeadLetterRequest>,
    ) -> Result<Response<v1::PublishResult>, Status> {
        let wait = deadline(&request);
        checks::short("actor", &request.get_ref().actor)?;
        let letter = self.letter(&request.get_ref().id).await?.letter;
        if letter.length != letter.bytes.len() as u64 {
            let problem =
                format!("only {} of {} bytes were kept", letter.bytes.len(), letter.length);
            return Err(invalid("id", &problem, "publish the event again, below 1 MiB"));
        }
        let published = self.record(&letter.stream, vec![letter.bytes], wait).await?;
        let published = published.into_iter().next();
        let published = published.ok_or_else(|| Status::internal("no answer for the letter"))?;
        let dead = matches!(published, takt_engine::Published::Dead { .. });
        if !dead {
            self.engine.dead_letters().drop_letter(letter.id).await.map_err(unavailable)?;
        }
        Ok(Response::new(result(published)))
    }

    async fn drop(
        &self,
        request: Request<v1::DeadLetterRequest>,
    ) -> Result<Response<v1::DropDeadLetterResponse>, Status> {
        checks::short("actor", &request.get_ref().actor)?;
        let id = self.letter(&request.get_ref().id).await?.letter.id;
        self.engine.dead_letters().drop_letter(id).await.map_err(unavailable)?;
        let sequence = self.sequence(0, deadline(&request)).await?;
        Ok(Response::new(v1::DropDeadLetterResponse { sequence }))
    }
}
