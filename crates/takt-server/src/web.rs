//! The board in a browser: pages as pure functions of what they show, and their assets.

mod page;
mod parts;
mod span;
#[cfg(test)]
mod tests;

pub use page::{Current, Page, page};

/// The style sheet, served at `/assets/style.css`.
pub const STYLE: &str = include_str!("web/style.css");

/// The script that keeps an open board fresh, served at `/assets/board.js`.
pub const SCRIPT: &str = include_str!("web/board.js");
