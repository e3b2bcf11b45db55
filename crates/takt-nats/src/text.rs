//! Any text in a header: what it cannot hold is escaped, and what is long is cut.

use smol_str::SmolStr;
use takt_ports::unescaped;

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
    unescaped(value, '%').map(SmolStr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: &[&str] =
        &["", "shop", "$sys", "a.b", "ä ö", "=24sys", "x/~*>", "100 %", " a\r\nb ", "\u{1F600}%"];

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
