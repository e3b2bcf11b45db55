//! Metrics, computed from the board when they are asked for.

use takt_domain::board::Board;
use takt_projections::{LeadTime, Quality, StreamView, Window, cycle_time, lead_time};
use takt_proto::v1;
use tonic::{Request, Response, Status};

use super::status::not_found;
use super::{Services, board_id, checks, deadline};

#[tonic::async_trait]
impl v1::metrics_service_server::MetricsService for Services {
    async fn get_lead_time(
        &self,
        request: Request<v1::GetLeadTimeRequest>,
    ) -> Result<Response<v1::GetLeadTimeResponse>, Status> {
        let named = |it: Quality| {
            vec![
                ("first_seen_in_done", it.first_seen_in_done),
                ("negative_spans", it.negative_spans),
                ("never_seen", it.never_seen),
            ]
        };
        self.spans(request, lead_time, named).await
    }

    async fn get_cycle_time(
        &self,
        request: Request<v1::GetLeadTimeRequest>,
    ) -> Result<Response<v1::GetLeadTimeResponse>, Status> {
        let named = |it: Quality| {
            vec![
                ("negative_spans", it.negative_spans),
                ("never_active", it.never_active),
                ("never_seen", it.never_seen),
            ]
        };
        self.spans(request, cycle_time, named).await
    }
}

impl Services {
    async fn spans(
        &self,
        request: Request<v1::GetLeadTimeRequest>,
        measure: fn(&Board, Window) -> LeadTime,
        named: fn(Quality) -> Vec<(&'static str, u64)>,
    ) -> Result<Response<v1::GetLeadTimeResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let id = board_id(&asked.board)?;
        let since = checks::time("since", asked.since.as_ref())?;
        let window = Window { since, until: checks::time("until", asked.until.as_ref())? };
        let read = |view: &StreamView, _: &_| {
            let board = view.boards.get(&id).map(|board| measure(board, window));
            board.ok_or_else(|| not_found("board", id.as_str(), "use the board `main`"))
        };
        let (found, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        let quality = named(found.quality);
        Ok(Response::new(v1::GetLeadTimeResponse {
            stream: asked.stream,
            completed: found.completed,
            reopened: found.reopened,
            reopened_open: found.reopened_open,
            open: found.open,
            unit: "seconds".to_owned(),
            p50: found.p50,
            p85: found.p85,
            p95: found.p95,
            mean: found.mean,
            quality: quality.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            sequence,
        }))
    }
}
