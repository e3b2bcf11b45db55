//! The board in a browser: pages and their parts as pure functions of what they show.

mod andon;
mod card;
mod column;
mod page;
mod span;
#[cfg(test)]
mod tests;

pub use andon::andon;
pub(crate) use andon::quoted;
pub use card::{Sign, card};
pub use column::{DONE_SHOWN, cards, head};
pub use page::{Current, Figures, Page, figures, page};

use maud::{Markup, html};

/// The style sheet, served at `/assets/style.css`.
pub const STYLE: &str = include_str!("web/style.css");

/// The script that keeps an open board fresh, served at `/assets/board.js`.
pub const SCRIPT: &str = include_str!("web/board.js");

/// The sign of the page, served at `/assets/icon.svg`.
pub const ICON: &str = include_str!("web/icon.svg");

/// A sign beside its word; screen readers hear the word only.
fn icon(sign: &str) -> Markup {
    html! { span.icon aria-hidden="true" { (sign) } }
}

/// A text in which what stands in backticks is code.
fn prose(text: &str) -> Markup {
    let is_code = |at: &usize| at % 2 == 1;
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if is_code(&at) { code { (part) } } @else { (part) }
        }
    }
}
