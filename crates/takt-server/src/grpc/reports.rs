//! What services have reported: test runs, changes, deployments; the newest first.

use takt_projections::StreamView;
use takt_proto::convert::timestamp;
use takt_proto::v1;
use tonic::{Request, Response, Status};

use super::{Services, checks, deadline, word};

/// How many rows an answer holds when the caller names no limit.
const ROWS: usize = 100;
/// How many rows an answer may hold.
const ROWS_AT_MOST: usize = 1000;

fn rows(limit: u32) -> usize {
    if limit == 0 { ROWS } else { usize::try_from(limit).unwrap_or(ROWS) }
}

#[tonic::async_trait]
impl v1::test_service_server::TestService for Services {
    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let read = |view: &StreamView, _: &_| {
            let mut runs: Vec<_> = view.tests.iter().collect();
            runs.sort_by(|(_, a), (_, b)| b.order.cmp(&a.order));
            let runs = runs.into_iter().take(rows(asked.limit)).map(|(id, run)| v1::TestRun {
                run: id.to_string(),
                level: word(run.level),
                commit: run.commit.to_string(),
                passed: run.passed,
                failed: run.failed,
                errored: run.errored,
                skipped: run.skipped,
                duration: None,
                time: Some(timestamp(run.order.time)),
            });
            Ok(checks::fill(runs, ROWS_AT_MOST).0)
        };
        let (runs, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::ListRunsResponse { runs, sequence }))
    }
}

#[tonic::async_trait]
impl v1::change_service_server::ChangeService for Services {
    async fn list_changes(
        &self,
        request: Request<v1::ListChangesRequest>,
    ) -> Result<Response<v1::ListChangesResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let read = |view: &StreamView, _: &_| {
            let mut changes: Vec<_> = view.changes.iter().collect();
            changes.sort_by(|(_, a), (_, b)| b.order.cmp(&a.order));
            let changes = changes.into_iter().take(rows(asked.limit)).map(|(id, it)| v1::Change {
                change: id.to_string(),
                commits: it.commits.iter().map(ToString::to_string).collect(),
                authored_at: it.authored_at.map(timestamp),
                merged_at: it.merged_at.map(timestamp),
                files: it.files,
                lines: it.lines,
                cards: it.cards.iter().map(ToString::to_string).collect(),
            });
            Ok(checks::fill(changes, ROWS_AT_MOST).0)
        };
        let (changes, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::ListChangesResponse { changes, sequence }))
    }
}

#[tonic::async_trait]
impl v1::deployment_service_server::DeploymentService for Services {
    async fn list_deployments(
        &self,
        request: Request<v1::ListDeploymentsRequest>,
    ) -> Result<Response<v1::ListDeploymentsResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let text =
            |text: &Option<smol_str::SmolStr>| text.as_deref().unwrap_or_default().to_owned();
        let read = |view: &StreamView, _: &_| {
            let newest = view.deployments.iter().rev().take(rows(asked.limit));
            let deployments = newest.map(|(order, it)| v1::Deployment {
                deployment: it.deployment.to_string(),
                environment: it.environment.to_string(),
                class: it.class.map(word).unwrap_or_default(),
                service: text(&it.service),
                artifact: text(&it.artifact),
                commit: text(&it.commit),
                changes: it.changes.iter().map(ToString::to_string).collect(),
                outcome: it.outcome.map(word).unwrap_or_default(),
                rollback: it.rollback,
                time: Some(timestamp(order.time)),
            });
            Ok(checks::fill(deployments, ROWS_AT_MOST).0)
        };
        let (deployments, sequence) =
            self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::ListDeploymentsResponse { deployments, sequence }))
    }
}
