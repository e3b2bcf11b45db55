//! Any text as one token of a subject, and back; and bytes from their hex.

use sha2::{Digest, Sha256};
use takt_domain::StreamName;

/// The longest token of a subject before it is replaced by its hash, in bytes.
const MAX_TOKEN_BYTES: usize = 60;

/// The token that stands for a value stream in subjects.
pub fn stream_token(stream: &StreamName) -> String {
    token(stream.as_str())
}

/// The token that stands for a text: [`escaped`], and over 60 bytes `~` and 26 characters of base32
/// sha256.
pub fn token(text: &str) -> String {
    let escaped = escaped(text);
    if escaped.len() <= MAX_TOKEN_BYTES { escaped } else { hashed(text) }
}

/// A text whose bytes other than letters, digits, `-` and `_` are `=` and two hex digits.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("={byte:02X}"));
        }
    }
    escaped
}

/// The text that was [`escaped`], or percent-encoded with another `mark` than `=`; `None` where a
/// mark stands without its two digits or the bytes are no UTF-8.
pub fn unescaped(text: &str, mark: char) -> Option<String> {
    let mut parts = text.split(mark);
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        bytes.extend(from_hex::<1>(hex)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

fn hashed(text: &str) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = Sha256::digest(text.as_bytes());
    let mut bits = digest.iter().fold(String::new(), |bits, byte| bits + &format!("{byte:08b}"));
    bits.truncate(130);
    let mut token = String::from("~");
    for five in bits.as_bytes().chunks(5) {
        let index = five.iter().fold(0_usize, |index, bit| index * 2 + usize::from(bit - b'0'));
        token.push(char::from(*ALPHABET.get(index).unwrap_or(&b'a')));
    }
    token
}

/// Bytes from twice as many hex digits.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_comes_back() {
        for text in ["", "shop", "$sys", "a.b *>", "ä=41", "x/~", "100 %"] {
            let escaped = escaped(text);
            assert!(escaped.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_=".contains(&it)));
            assert_eq!(unescaped(&escaped, '=').as_deref(), Some(text));
        }
        for broken in ["a=4", "=", "=+f", "=zz", "=FF"] {
            assert_eq!(unescaped(broken, '='), None, "{broken}");
        }
    }

    #[test]
    fn a_long_token_is_its_hash() {
        assert_eq!(token(&"x".repeat(60)), "x".repeat(60));
        let long = token(&"x".repeat(61));
        assert!(long.starts_with('~') && long.len() == 27, "{long}");
    }
}
