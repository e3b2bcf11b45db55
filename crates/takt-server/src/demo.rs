//! The demo: a value stream to look at, seeded once and then kept moving.
//!
//! - `cast`: the columns, people and work of the story
//! - `plan`: all that has happened so far, as a function of the instant the stream was made
//! - `life`: what happens next, as a function of what the board shows
//! - here: the two are sent to the engine, as any other client would
//!
//! Everything carries an identity of its own, so a second start on the same data, or one after a
//! crash in the middle, adds what is missing and nothing else.

mod cast;
mod chance;
mod life;
mod plan;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use smol_str::{SmolStr, format_smolstr};
use takt_domain::andon::{self, Category, CauseKind};
use takt_domain::{AlertId, BoardId, StreamName, Time, board, stream};
use takt_engine::{Call, Engine, Error, Published};
use takt_intake::ReportEvent;
use takt_projections::board_view;
use tokio_util::sync::CancellationToken;

use cast::{SOURCE, STREAM, TITLE};
use chance::Chance;
use life::{Deed, Scene};

/// How long the demo waits for one answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Makes the demo's stream and tells its story so far; whether the stream is the demo's own.
///
/// # Errors
/// When the engine does not answer.
pub(crate) async fn seed(engine: &Engine) -> anyhow::Result<bool> {
    let name = StreamName::new(STREAM);
    let create = stream::Command::Create { name: name.clone(), title: TITLE.into() };
    let made = engine.stream(&name, call("takt", Some("create".into())), create).await;
    // A stream of this name that the demo has not made is somebody's own work.
    let made = match made {
        Ok(receipt) if !receipt.ids.is_empty() => receipt.sequence,
        Ok(_) | Err(Error::Rejected(_)) => {
            tracing::warn!("the stream `{STREAM}` is not the demo's, so the demo leaves it alone");
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    let view = |world: &takt_projections::World| world.streams.get(&name)?.created_at;
    let made_at = engine.view(made, DEADLINE, view).await?;
    let made_at = made_at.ok_or_else(|| anyhow::anyhow!("the stream `{STREAM}` has no age"))?;
    let plan = plan::plan(made_at);
    for column in plan.columns {
        let key = format_smolstr!("column/{}", column.column);
        order(engine, "mara", Some(key), board::Order::SetColumn(column)).await?;
    }
    publish(engine, &plan.history).await?;
    publish(engine, &plan.present).await?;
    order(engine, "takt", Some("history".into()), board::Order::CloseImport).await?;
    // What has fallen due is told at once, and what the facts gave rise to has been told by then.
    let told = order(engine, "takt", None, board::Order::Wake).await?;
    learn(engine, &name, told).await?;
    Ok(true)
}

/// Somebody looks after the red tests, and the failed deployment has taught something.
async fn learn(engine: &Engine, name: &StreamName, told: u64) -> anyhow::Result<()> {
    let (red, failed) = engine
        .view(told, DEADLINE, |world| {
            let all = world.streams.get(name).map(|view| &view.alerts.all);
            let of = |kind: CauseKind, id: &str| {
                let mut alerts = all?.iter();
                alerts
                    .find(|(_, it)| it.cause.kind == kind && it.cause.id == id)
                    .map(|it| it.0.clone())
            };
            let red = format!("acceptance/{}", cast::RED);
            (of(CauseKind::Test, &red), of(CauseKind::Deployment, cast::FAILED))
        })
        .await?;
    if let Some(alert) = failed {
        let order = andon::Order::Resolve {
            alert,
            category: Category::Reverted,
            cause: "a migration locked the table of orders".into(),
            countermeasure: "migrations run against a copy of the data before they are merged"
                .into(),
        };
        engine.andon(name, call("jonas", Some("resolve".into())), order).await?;
    }
    if let Some(alert) = red {
        acknowledge(engine, name, "mara", Some("acknowledge".into()), alert).await?;
    }
    Ok(())
}

async fn acknowledge(
    engine: &Engine,
    name: &StreamName,
    actor: &str,
    key: Option<SmolStr>,
    alert: AlertId,
) -> Result<(), Error> {
    let hold = andon::Order::Acknowledge { alert, hold: takt_domain::Span::from_secs(4 * 3600) };
    engine.andon(name, call(actor, key), hold).await.map(drop)
}

/// Keeps the stream moving, one deed every so often, until the token is cancelled.
pub(crate) async fn live(engine: Engine, every: Duration, token: CancellationToken) {
    let mut beat = tokio::time::interval(every);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    beat.tick().await;
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            _ = beat.tick() => {}
        }
        match step(&engine).await {
            Ok(()) => {}
            Err(error) if token.is_cancelled() => {
                tracing::debug!(%error, "the demo ended in the middle of a deed");
            }
            Err(error) => tracing::warn!(%error, "the demo could not go on; it tries again"),
        }
    }
}

async fn step(engine: &Engine) -> Result<(), Error> {
    let name = StreamName::new(STREAM);
    let now = engine.now();
    let scene = engine.view(0, DEADLINE, |world| scene(world, &name, now)).await?;
    let Some(scene) = scene else { return Ok(()) };
    // The log's place decides, so that the same log goes on the same way after a restart.
    let mut chance = Chance::new(scene.seq);
    let Some(deed) = life::next(&scene, &mut chance) else { return Ok(()) };
    let actor = life::actor(&scene);
    carry_out(engine, &name, &actor, deed).await.or_else(refused_is_fine)
}

fn scene(world: &takt_projections::World, name: &StreamName, now: Time) -> Option<Scene> {
    let view = world.streams.get(name)?;
    let board = view.boards.get(&BoardId::main())?;
    let alerts = view.alerts.open().map(|(id, alert)| (id.clone(), alert.clone())).collect();
    Some(Scene { board: board_view(board, now), alerts, seq: world.seq, now })
}

async fn carry_out(
    engine: &Engine,
    name: &StreamName,
    actor: &str,
    deed: Deed,
) -> Result<(), Error> {
    use board::Order;
    let order = match deed {
        Deed::Add { card, details } => Order::AddCard { card, column: None, details, fixes: None },
        Deed::Move { card, column } => Order::MoveCard { card, column, fixes: None },
        Deed::Block { card, reason } => Order::Block { card, reason: reason.into() },
        Deed::Unblock { card } => Order::Unblock { card },
        Deed::Acknowledge { alert } => return acknowledge(engine, name, actor, None, alert).await,
        Deed::Resolve { alert, cause, countermeasure } => {
            let (cause, countermeasure) = (cause.into(), countermeasure.into());
            let category = Category::Fixed;
            let order = andon::Order::Resolve { alert, category, cause, countermeasure };
            return engine.andon(name, call(actor, None), order).await.map(drop);
        }
        Deed::Report(report) => {
            let fact = Bytes::from(report.to_json());
            return engine.publish(name, vec![fact]).await.map(drop);
        }
    };
    let board = BoardId::main();
    engine.board(name, &board, call(actor, None), order).await.map(drop)
}

/// A refusal is part of life: a column was full, or the line was stopped in between.
fn refused_is_fine(error: Error) -> Result<(), Error> {
    if matches!(error, Error::Rejected(_)) { Ok(()) } else { Err(error) }
}

async fn order(
    engine: &Engine,
    actor: &str,
    key: Option<SmolStr>,
    order: board::Order,
) -> Result<u64, Error> {
    let (name, board) = (StreamName::new(STREAM), BoardId::main());
    let receipt = engine.board(&name, &board, call(actor, key), order).await?;
    Ok(receipt.sequence)
}

async fn publish(engine: &Engine, reports: &[ReportEvent]) -> anyhow::Result<()> {
    let facts = reports.iter().map(|report| Bytes::from(report.to_json())).collect();
    let answers = engine.publish(&StreamName::new(STREAM), facts).await?;
    let dead = answers.iter().find_map(|answer| match answer {
        Published::Dead { reason, .. } => Some(reason),
        Published::Recorded { .. } | Published::Duplicate { .. } => None,
    });
    match dead {
        Some(reason) => anyhow::bail!("a fact of the demo is a dead letter: {reason}"),
        None => Ok(()),
    }
}

fn call(actor: &str, key: Option<SmolStr>) -> Call {
    Call {
        actor: actor.into(),
        key: key.map(|key| format_smolstr!("{SOURCE}/{key}")),
        expected_version: None,
        deadline: DEADLINE,
    }
}
