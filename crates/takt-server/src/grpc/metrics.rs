//! Metrics, computed from the board when they are asked for.

use takt_domain::board::Board;
use takt_projections::{LeadTime, StreamView, Window, cycle_time, lead_time};
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
        self.spans(request, lead_time).await
    }

    async fn get_cycle_time(
        &self,
        request: Request<v1::GetLeadTimeRequest>,
    ) -> Result<Response<v1::GetLeadTimeResponse>, Status> {
        let mut answer = self.spans(request, cycle_time).await?;
        answer.get_mut().quality.remove("first_seen_in_done");
        Ok(answer)
    }
}

impl Services {
    async fn spans(
        &self,
        request: Request<v1::GetLeadTimeRequest>,
        measure: fn(&Board, Window) -> LeadTime,
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
        let mut quality = vec![
            ("first_seen_in_done", found.quality.first_seen_in_done),
            ("negative_spans", found.quality.negative_spans),
            ("never_seen", found.quality.never_seen),
        ];
        // Only a cycle begins with an active column.
        quality.extend(Some(("never_active", found.quality.never_active)).filter(|(_, n)| *n > 0));
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
