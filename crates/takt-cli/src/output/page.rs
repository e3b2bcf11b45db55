//! A page: how wide it is, what time it is, and how words on it are marked.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How wide a page is that no terminal limits.
const UNLIMITED: usize = 100;

/// What people's text is laid out on.
pub(crate) struct Page {
    /// How many cells a line has; `None` where nothing limits it.
    pub(crate) width: Option<usize>,
    /// The present, in seconds since the epoch.
    pub(crate) now: i64,
}

impl Page {
    /// The page that stdout is.
    pub(crate) fn of_stdout() -> Self {
        let width = terminal_size::terminal_size_of(std::io::stdout());
        Self {
            width: width.map(|(width, _)| usize::from(width.0)),
            now: jiff::Timestamp::now().as_second(),
        }
    }

    /// The width to lay columns out in.
    pub(crate) fn columns(&self) -> usize {
        self.width.unwrap_or(UNLIMITED)
    }
}

/// A style; it never carries a meaning that no word says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Plain.
    #[default]
    None,
    /// A title.
    Bold,
    /// What matters less.
    Dim,
    /// Good.
    Good,
    /// To be looked at.
    Warn,
    /// Bad.
    Bad,
}

impl Mark {
    /// A text in this style.
    pub(crate) fn on(self, text: impl Display) -> String {
        let style = match self {
            Self::None => return text.to_string(),
            Self::Bold => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// How many cells a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// A text cut to a number of cells, ending in `…` where something is missing.
pub(crate) fn cut(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let (mut short, mut used) = (String::new(), 0);
    for one in text.chars() {
        used += one.width().unwrap_or(0);
        if used >= cells {
            break;
        }
        short.push(one);
    }
    short.push('…');
    short
}

/// Blanks up to a number of cells.
pub(crate) fn pad(text: &str, cells: usize) -> String {
    " ".repeat(cells.saturating_sub(width(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_has_at_most_the_cells_it_may_take() {
        for (text, cells, want) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("漢字漢字", 5, "漢字…"),
            ("漢字漢字", 4, "漢…"),
            ("é", 1, "é"),
        ] {
            let found = cut(text, cells);
            assert_eq!(found, want);
            assert!(width(&found) <= cells, "{found}");
        }
    }
}
