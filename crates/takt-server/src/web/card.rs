//! A card: what it is, how long it has been here, and what is wrong with that.

use maud::{Markup, html};
use takt_domain::Span;
use takt_domain::board::Class;
use takt_projections::{CardView, UsualStay};

use super::icon;
use super::span::{human, since};

/// How many stays must have ended before a column's history says what is usual.
const ENOUGH: u64 = 8;

/// What a card's age means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sign {
    /// Nothing.
    #[default]
    Usual,
    /// Longer here than 85 of 100 cards before it.
    Old,
    /// It has used four fifths of the column's time limit.
    Near(Span),
    /// It is over the column's time limit.
    Over(Span),
}

impl Sign {
    /// What an age means in a column with this limit and this history. In done, age means nothing.
    pub fn of(age: Span, limit: Option<Span>, usual: Option<&UsualStay>) -> Self {
        let is_old = usual.is_some_and(|it| it.stays >= ENOUGH && age > it.p85);
        match limit {
            Some(limit) if age >= limit => Self::Over(limit),
            Some(limit) if age.micros() >= limit.micros() / 5 * 4 => Self::Near(limit),
            Some(_) | None if is_old => Self::Old,
            Some(_) | None => Self::Usual,
        }
    }

    fn shown(self) -> Option<(&'static str, &'static str, String)> {
        match self {
            Self::Usual => None,
            Self::Old => Some(("old", "◔", "longer than 85 % here".to_owned())),
            Self::Near(limit) => Some(("old", "◔", format!("limit is {}", human(limit)))),
            Self::Over(limit) => Some(("late", "▲", format!("over the limit of {}", human(limit)))),
        }
    }
}

/// A card in a list of its column.
pub fn card(card: &CardView, sign: Sign, now: takt_domain::Time) -> Markup {
    let title = if card.title.is_empty() { card.id.as_str() } else { card.title.as_str() };
    let class = if card.blocked.is_some() { "card blocked" } else { "card" };
    let shown = sign.shown();
    html! {
        li class=(class) data-card=(card.id) data-since=(card.since.micros()) {
            h3 { (title) }
            p.facts {
                @if !card.title.is_empty() { code { (card.id) } }
                @if !card.kind.is_empty() { " " span { (card.kind) } }
                @if let Some(size) = card.size { " " span { "size " (size) } }
            }
            @if let Some((sign, word)) = service(card.class) {
                p.class { (icon(sign)) " " (word) }
            }
            p class=(shown.as_ref().map_or("age", |(class, ..)| class)) {
                span {
                    @if let Some((_, sign, _)) = &shown { (icon(sign)) " " }
                    span.unseen { "here for " }
                    (since(card.since, now))
                }
                @if let Some((_, _, words)) = &shown { " " span { (words) } }
            }
            @if let Some(reason) = &card.blocked {
                p.reason {
                    (icon("◆")) " " strong { "Blocked" }
                    @if !reason.is_empty() { ": " (reason) }
                }
            }
        }
    }
}

const fn service(class: Class) -> Option<(&'static str, &'static str)> {
    match class {
        Class::Standard => None,
        Class::Expedite => Some(("»", "expedite")),
        Class::FixedDate => Some(("◷", "fixed date")),
        Class::Intangible => Some(("◇", "intangible")),
    }
}
