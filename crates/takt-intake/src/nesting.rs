//! How deep a JSON text is nested, without building it.

/// The byte at which the text is first nested deeper than `limit`, if it is. Brackets within
/// strings do not count. A text that is not JSON may give any answer; the parser refuses it.
pub(crate) fn too_deep_at(text: &[u8], limit: usize) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_four_levels_are_allowed_and_the_next_is_found() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(too_deep_at(deep(64).as_bytes(), 64), None);
        assert_eq!(too_deep_at(deep(65).as_bytes(), 64), Some(64));
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        let text = format!(r#"{{"a\"{}":"\\"}}"#, "[".repeat(100));
        assert_eq!(too_deep_at(text.as_bytes(), 64), None);
    }
}
