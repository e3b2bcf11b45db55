//! Any text in a header or a key: what they cannot hold is escaped, and what is long is cut.

use smol_str::SmolStr;

/// The most bytes of one header; all headers of a message together stay below 64 KiB.
const MOST: usize = 12 * 1024;

/// A text as the value of a header: all but printable ASCII is percent-encoded.
pub(crate) fn header(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, letter) in text.char_indices() {
        // A server may trim spaces at the ends.
        let is_kept = letter.is_ascii_graphic() || (letter == ' ' && at != 0 && at != last);
        let before = encoded.len();
        if is_kept && letter != '%' {
            encoded.push(letter);
        } else {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        if encoded.len() > MOST {
            encoded.truncate(before);
            break;
        }
    }
    encoded
}

/// The text that the value of a header stands for.
pub(crate) fn of_header(value: &str) -> Option<SmolStr> {
    unescaped(value, '%')
}

/// A text as a key: bytes other than letters, digits, `-` and `_` become `=` and two hex digits.
pub(crate) fn key(text: &str) -> String {
    let mut key = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            key.push(char::from(byte));
        } else {
            key.push_str(&format!("={byte:02X}"));
        }
    }
    key
}

/// The text that a key stands for.
pub(crate) fn of_key(key: &str) -> Option<SmolStr> {
    unescaped(key, '=')
}

fn unescaped(text: &str, mark: char) -> Option<SmolStr> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split(mark);
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().map(SmolStr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: &[&str] =
        &["", "shop", "$sys", "a.b", "ä ö", "=24sys", "x/~*>", "100 %", " a\r\nb ", "\u{1F600}%"];

    #[test]
    fn every_text_is_a_key_that_stands_for_it() {
        for text in TEXTS {
            let key = key(text);
            assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b)), "{key}");
            assert_eq!(of_key(&key).as_deref(), Some(*text));
        }
    }

    #[test]
    fn every_text_is_a_header_that_stands_for_it_or_for_its_beginning() {
        for text in TEXTS {
            let header = header(text);
            assert!(header.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{header}");
            assert_eq!(header.trim(), header);
            assert_eq!(of_header(&header).as_deref(), Some(*text));
        }
        let long = "ä".repeat(100_000);
        let cut = header(&long);
        assert!(cut.len() <= MOST && cut.len() > MOST - 6, "{}", cut.len());
        assert!(long.starts_with(of_header(&cut).unwrap().as_str()));
    }
}
