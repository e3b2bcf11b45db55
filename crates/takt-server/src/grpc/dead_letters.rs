//! Dead letters: what could not be understood, visible and replayable.

use takt_ports::{DeadLetter, DeadLettersError};
use takt_proto::convert::timestamp;
use takt_proto::v1;
use tonic::{Request, Response, Status};

use super::events::result;
use super::status::{invalid, not_found};
use super::{Services, status, stream_name};

/// How many letters an answer holds when the caller names no limit.
const ROWS: usize = 100;

fn unavailable(error: DeadLettersError) -> Status {
    status(takt_engine::Error::Unavailable(error.to_string()))
}

fn message(letter: DeadLetter) -> v1::DeadLetter {
    let letter = letter.letter;
    v1::DeadLetter {
        id: letter.id.to_string(),
        stream: letter.stream.to_string(),
        reason: letter.reason.to_string(),
        place: letter.place.to_string(),
        remedy: letter.remedy.to_string(),
        time: Some(timestamp(letter.at)),
        content: letter.bytes,
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
        let asked = request.into_inner();
        let stream = (!asked.stream.is_empty()).then(|| stream_name(&asked.stream)).transpose()?;
        let rows = if asked.limit == 0 { ROWS } else { asked.limit as usize };
        let letters = self.engine.dead_letters().list(stream.as_ref(), 0, rows.min(1000)).await;
        let letters = letters.map_err(unavailable)?.into_iter().map(message).collect();
        Ok(Response::new(v1::ListDeadLettersResponse { letters }))
    }

    async fn get(
        &self,
        request: Request<v1::DeadLetterRequest>,
    ) -> Result<Response<v1::DeadLetter>, Status> {
        self.letter(&request.get_ref().id).await.map(message).map(Response::new)
    }

    async fn replay(
        &self,
        request: Request<v1::DeadLetterRequest>,
    ) -> Result<Response<v1::PublishResult>, Status> {
        let letter = self.letter(&request.get_ref().id).await?.letter;
        if letter.length != letter.bytes.len() as u64 {
            let problem =
                format!("only {} of {} bytes were kept", letter.bytes.len(), letter.length);
            return Err(invalid("id", &problem, "publish the event again, below 1 MiB"));
        }
        let published = self.engine.publish(&letter.stream, vec![letter.bytes]).await;
        let published = published.map_err(status)?.into_iter().next();
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
        let id = self.letter(&request.get_ref().id).await?.letter.id;
        self.engine.dead_letters().drop_letter(id).await.map_err(unavailable)?;
        Ok(Response::new(v1::DropDeadLetterResponse {}))
    }
}
