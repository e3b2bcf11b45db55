//! Value streams and their policy.

use takt_domain::StreamName;
use takt_domain::stream::Command;
use takt_projections::StreamView;
use takt_proto::v1;
use tonic::{Request, Response, Status};

use super::{Services, call, checks, deadline, invalid, receipt, status, stream_name};

fn message(name: &StreamName, view: &StreamView) -> v1::Stream {
    let on_board = |board: &takt_domain::board::Board| {
        let open = board.counts.iter().filter(|(column, _)| !board.is_done(column));
        open.map(|(_, count)| u64::from(*count)).sum::<u64>()
    };
    v1::Stream {
        stream: name.to_string(),
        title: view.state.title.as_deref().unwrap_or_default().to_owned(),
        boards: view.boards.keys().map(ToString::to_string).collect(),
        open_cards: view.boards.values().map(on_board).sum(),
        open_alerts: view.line.open.len() as u64,
        stopped: view.line.is_stopped(),
    }
}

#[tonic::async_trait]
impl v1::stream_service_server::StreamService for Services {
    async fn create_stream(
        &self,
        request: Request<v1::CreateStreamRequest>,
    ) -> Result<Response<v1::Receipt>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let name = stream_name(&asked.stream)?;
        checks::texts(&[("title", &asked.title)])?;
        let title = if asked.title.is_empty() { &asked.stream } else { &asked.title };
        let command = Command::Create { name: name.clone(), title: title.into() };
        let call = call(wait, &asked.actor, &asked.idempotency_key, None)?;
        let done = self.done(self.engine.stream(&name, call, command).await)?;
        Ok(Response::new(receipt(done)))
    }

    async fn list_streams(
        &self,
        request: Request<v1::ListStreamsRequest>,
    ) -> Result<Response<v1::ListStreamsResponse>, Status> {
        let wait = deadline(&request);
        let answer = self.engine.view(request.get_ref().min_sequence, wait, |world| {
            let streams = world.streams.iter().map(|(name, view)| message(name, view)).collect();
            v1::ListStreamsResponse { streams, sequence: world.seq }
        });
        answer.await.map(Response::new).map_err(status)
    }

    async fn get_stream(
        &self,
        request: Request<v1::GetStreamRequest>,
    ) -> Result<Response<v1::GetStreamResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let name = stream_name(&asked.stream)?;
        let read = |view: &StreamView, _: &_| Ok(message(&name, view));
        let (stream, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::GetStreamResponse { stream: Some(stream), sequence }))
    }

    async fn set_policy(
        &self,
        request: Request<v1::SetPolicyRequest>,
    ) -> Result<Response<v1::Receipt>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let name = stream_name(&asked.stream)?;
        checks::policy(&asked.policy)?;
        let policy = super::policy::read(&asked.policy).map_err(|problem| {
            invalid("policy", &problem, "`takt stream policy show` prints one that is good")
        })?;
        let call = call(wait, &asked.actor, &asked.idempotency_key, None)?;
        let done = self.engine.stream(&name, call, Command::SetPolicy(policy)).await;
        Ok(Response::new(receipt(self.done(done)?)))
    }

    async fn get_policy(
        &self,
        request: Request<v1::GetPolicyRequest>,
    ) -> Result<Response<v1::GetPolicyResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let read = |view: &StreamView, _: &_| {
            super::policy::write(&view.state.policy).map_err(Status::internal)
        };
        let (policy, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::GetPolicyResponse { policy, sequence }))
    }
}
