//! Texts cut to what a message has room for, at the borders of characters.

use std::borrow::Cow;

/// The most characters of a value that a message shows.
const SHOWN: usize = 80;

/// The longest text that is shown of what a source has reported, in bytes; a command has no room
/// for more.
pub const LONGEST: usize = 4096;

/// A value as a message shows it: its first 80 characters, and a sign if there were more.
pub fn shown(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => marked(value, end),
        None => Cow::Borrowed(value),
    }
}

/// A text of at most `limit` bytes, which ends with a sign if there was more.
pub fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    marked(text, text.floor_char_boundary(limit.saturating_sub('…'.len_utf8())))
}

fn marked(text: &str, end: usize) -> Cow<'_, str> {
    Cow::Owned(text.get(..end).unwrap_or_default().to_owned() + "…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("shorter", 6), "sho…");
        assert_eq!(cut("üüüü", 6), "ü…");
        assert_eq!(cut("üüüü", 0), "…");
        assert_eq!(shown(&"ü".repeat(80)), "ü".repeat(80));
        assert_eq!(shown(&"ü".repeat(81)), "ü".repeat(80) + "…");
    }
}
