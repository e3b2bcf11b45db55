//! An event as readers of JSON get it: the bytes of the log with their sequence beside them.

use crate::v1::Event;

impl Event {
    /// The CloudEvent as it stands in the log, with `taktseq` before its other members; one line.
    pub fn numbered(&self) -> String {
        let text = String::from_utf8_lossy(&self.event);
        let text = text.trim();
        let members = text.strip_prefix('{').unwrap_or(text).trim_start();
        let comma = if members.starts_with('}') { "" } else { "," };
        format!("{{\"taktseq\":{}{comma}{members}", self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_comes_first_and_the_rest_is_untouched() {
        for (event, want) in [
            (r#"{"z":1.0,"a":"é"}"#, r#"{"taktseq":7,"z":1.0,"a":"é"}"#),
            ("{}", r#"{"taktseq":7}"#),
        ] {
            let event = Event { sequence: 7, event: event.to_owned().into(), ..Event::default() };
            assert_eq!(event.numbered(), want);
        }
    }
}
