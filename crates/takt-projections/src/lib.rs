//! The read models and metrics: pure folds over the log.
//!
//! [`World`] is the whole read side; [`lead_time`], [`cycle_time`] and [`board_view`] are computed
//! from a board when they are asked for, so that no metric has a state of its own to go stale.

mod aging;
mod board_view;
mod history;
mod identities;
mod intake;
mod lead_time;
mod notices;
mod rows;
#[cfg(test)]
mod tests;
mod world;

pub use aging::{UsualStay, usual_stays};
pub use board_view::{
    BoardView, CardView, ColumnView, board_newest, board_view, came_from, card_at, column_head,
    newest_of,
};
pub use history::{AlertHistory, AlertRecord, Change, Deployment, Resolution, StreamView, TestRun};
pub use intake::Intake;
pub use lead_time::{LeadTime, Quality, Window, cycle_time, lead_time};
pub use notices::{NoticeKey, Notices, Tally, Waiting};
pub use rows::{Loading, RowError};
pub use world::World;
