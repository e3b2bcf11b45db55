//! The Andon: pull, acknowledge, resolve, look and learn.

use takt_domain::andon::{Category, Cause, CauseKind, Effect, Order, Trigger};
use takt_domain::text::shown;
use takt_domain::{AlertId, Span};
use takt_projections::{AlertRecord, StreamView};
use takt_proto::convert::timestamp;
use takt_proto::v1;
use tonic::{Request, Response, Status};

use super::status::{invalid, not_found};
use super::{Services, call, checks, deadline, from_word, parsed, receipt, stream_name, word};

const CATEGORIES: &str = "`fixed`, `reverted`, `false_alarm`, `flaky` or `other`";

fn alert(view: &StreamView, id: &AlertId, record: &AlertRecord) -> v1::Alert {
    let live = view.line.open.get(id);
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let over = record.resolution.as_ref();
    let held = live.and_then(|live| live.acknowledged.as_ref());
    v1::Alert {
        alert: id.to_string(),
        effect: word(record.effect),
        cause_kind: word(record.cause.kind),
        cause_source: record.cause.source.to_string(),
        cause_id: record.cause.id.to_string(),
        stage: text(record.stage.as_deref()),
        column: text(record.column.as_ref().map(takt_domain::ColumnName::as_str)),
        summary: record.summary.to_string(),
        pulled_at: Some(timestamp(record.pulled_at)),
        acknowledged_by: held.map(|(by, _)| by.to_string()).unwrap_or_default(),
        acknowledged_until: held.map(|(_, until)| timestamp(*until)),
        acknowledged_at: record.acknowledged.as_ref().map(|(at, _)| timestamp(*at)),
        escalated: live.is_some_and(|live| live.escalated),
        cleared: live.is_some_and(|live| live.cleared),
        triggers: u32::try_from(record.triggers).unwrap_or(u32::MAX),
        resolved_at: over.map(|over| timestamp(over.at)),
        resolved_by: text(over.map(|over| over.by.as_str())),
        category: over.map(|over| word(over.category)).unwrap_or_default(),
        cause: text(over.map(|over| over.cause.as_str())),
        countermeasure: text(over.map(|over| over.countermeasure.as_str())),
    }
}

/// The most alerts of one page.
const PAGE: usize = 1000;

/// A page of the alerts that are wanted, the newest first; its token is its last alert.
fn page(
    view: &StreamView,
    wanted: impl Fn(&AlertId, &AlertRecord) -> bool,
    limit: u32,
    token: &str,
) -> Result<v1::ListAlertsResponse, Status> {
    let key = |(id, record): &(&AlertId, &AlertRecord)| {
        (std::cmp::Reverse(record.pulled_at), (*id).clone())
    };
    let last = (!token.is_empty()).then(|| view.alerts.all.get_key_value(token));
    let Some(last) = last.map_or(Some(None), |found| found.map(Some)) else {
        let remedy = "pass what the last page gave as `next_page_token`";
        return Err(invalid("page_token", &format!("`{}` is no alert", shown(token)), remedy));
    };
    let last = last.as_ref().map(key);
    let mut found: Vec<_> = view.alerts.all.iter().filter(|(id, it)| wanted(id, it)).collect();
    found.sort_by_cached_key(key);
    let rest = found.iter().filter(|row| last.as_ref().is_none_or(|last| key(row) > *last));
    let rows = rest.map(|(id, record)| alert(view, id, record));
    let (alerts, more) = checks::fill(rows, checks::rows(limit, PAGE));
    let next = alerts.last().filter(|_| more).map(|it| it.alert.clone());
    Ok(v1::ListAlertsResponse { alerts, next_page_token: next.unwrap_or_default(), sequence: 0 })
}

fn alert_id(text: &str) -> Result<AlertId, Status> {
    parsed("alert", AlertId::parse(text))
}

#[tonic::async_trait]
impl v1::andon_service_server::AndonService for Services {
    async fn list_alerts(
        &self,
        request: Request<v1::ListAlertsRequest>,
    ) -> Result<Response<v1::ListAlertsResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let wanted = |_: &_, it: &AlertRecord| asked.include_resolved || it.resolution.is_none();
        let read = |view: &StreamView, _: &_| page(view, wanted, asked.limit, &asked.page_token);
        let (answer, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::ListAlertsResponse { sequence, ..answer }))
    }

    async fn get_alert(
        &self,
        request: Request<v1::GetAlertRequest>,
    ) -> Result<Response<v1::GetAlertResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let id = alert_id(&asked.alert)?;
        let read = |view: &StreamView, _: &_| {
            let found = view.alerts.all.get(&id).map(|record| alert(view, &id, record));
            found.ok_or_else(|| not_found("alert", id.as_str(), "`takt andon list` shows them"))
        };
        let (alert, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::GetAlertResponse { alert: Some(alert), sequence }))
    }

    async fn pull(
        &self,
        request: Request<v1::PullRequest>,
    ) -> Result<Response<v1::PullResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let stream = stream_name(&asked.stream)?;
        checks::texts(&[("summary", &asked.summary), ("stage", &asked.stage)])?;
        if asked.summary.trim().is_empty() {
            let remedy = "say in a line what people need to know";
            return Err(invalid("summary", "`summary` is empty", remedy));
        }
        let key = if asked.idempotency_key.is_empty() {
            uuid::Uuid::now_v7().to_string()
        } else {
            asked.idempotency_key.clone()
        };
        // The key names the alert, so that a retry is the same pull.
        let alert = AlertId::new(super::short_id("a", "urn:takt:pull", &key));
        let source = if asked.actor.is_empty() { "anonymous" } else { asked.actor.as_str() };
        let order = Order::Pull {
            alert: alert.clone(),
            cause: Cause {
                kind: CauseKind::Person,
                source: source.into(),
                id: alert.as_str().into(),
            },
            stage: (!asked.stage.is_empty()).then(|| asked.stage.as_str().into()),
            column: None,
            cleared_by: None,
            trigger: Trigger {
                event: "".into(),
                at: self.engine.now(),
                summary: asked.summary.as_str().into(),
            },
        };
        let call = call(wait, &asked.actor, &asked.idempotency_key, None)?;
        let done = self.done(self.engine.andon(&stream, call, order).await)?;
        let (sequence, duplicate) = (done.sequence, done.duplicate);
        let alert = if done.subject.is_empty() { alert.to_string() } else { done.subject.into() };
        Ok(Response::new(v1::PullResponse { alert, sequence, duplicate }))
    }

    async fn acknowledge(
        &self,
        request: Request<v1::AcknowledgeRequest>,
    ) -> Result<Response<v1::Receipt>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let stream = stream_name(&asked.stream)?;
        if asked.actor.trim().is_empty() {
            let remedy = "say who looks after the alert";
            return Err(invalid("actor", "`actor` is empty", remedy));
        }
        let hold = match checks::span("hold", asked.hold.as_ref())? {
            Some(hold) => hold,
            None => self.policy_hold(&asked.stream, wait).await?,
        };
        let order = Order::Acknowledge { alert: alert_id(&asked.alert)?, hold };
        let call = call(wait, &asked.actor, &asked.idempotency_key, None)?;
        let done = self.done(self.engine.andon(&stream, call, order).await)?;
        Ok(Response::new(receipt(done)))
    }

    async fn resolve(
        &self,
        request: Request<v1::ResolveRequest>,
    ) -> Result<Response<v1::Receipt>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let stream = stream_name(&asked.stream)?;
        checks::texts(&[("cause", &asked.cause), ("countermeasure", &asked.countermeasure)])?;
        let category: Category = from_word("category", &asked.category, CATEGORIES)?;
        let order = Order::Resolve {
            alert: alert_id(&asked.alert)?,
            category,
            cause: asked.cause.as_str().into(),
            countermeasure: asked.countermeasure.as_str().into(),
        };
        let call = call(wait, &asked.actor, &asked.idempotency_key, None)?;
        let done = self.done(self.engine.andon(&stream, call, order).await)?;
        Ok(Response::new(receipt(done)))
    }

    async fn check(
        &self,
        request: Request<v1::CheckRequest>,
    ) -> Result<Response<v1::CheckResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let stops = |id: &AlertId, record: &AlertRecord| {
            let about = asked.stage.is_empty()
                || record.stage.as_ref().is_none_or(|stage| *stage == asked.stage);
            let fixed = id.as_str() == asked.fixes;
            record.resolution.is_none() && record.effect == Effect::Stop && about && !fixed
        };
        let read = |view: &StreamView, _: &_| page(view, stops, 0, "");
        let (answer, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        let alerts = answer.alerts;
        let stopped = !alerts.is_empty();
        Ok(Response::new(v1::CheckResponse { stopped, alerts, sequence }))
    }

    async fn search_alerts(
        &self,
        request: Request<v1::SearchAlertsRequest>,
    ) -> Result<Response<v1::ListAlertsResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        checks::texts(&[("query", &asked.query)])?;
        let words = asked.query.to_lowercase();
        let wanted = |id: &AlertId, it: &AlertRecord| {
            let over = it.resolution.as_ref();
            let (cause, countermeasure) =
                over.map_or(("", ""), |over| (over.cause.as_str(), over.countermeasure.as_str()));
            let text = format!("{id} {} {cause} {countermeasure}", it.summary).to_lowercase();
            words.split_whitespace().all(|word| text.contains(word))
        };
        let read = |view: &StreamView, _: &_| page(view, wanted, asked.limit, &asked.page_token);
        let (answer, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::ListAlertsResponse { sequence, ..answer }))
    }
}

impl Services {
    async fn policy_hold(&self, stream: &str, wait: std::time::Duration) -> Result<Span, Status> {
        let read = |view: &StreamView, _: &_| Ok(view.state.policy.acknowledge_for);
        self.view(stream, 0, wait, read).await.map(|(hold, _)| hold)
    }
}
