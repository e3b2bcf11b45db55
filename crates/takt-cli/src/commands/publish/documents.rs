//! The events of a text of any length: one a line, one over several lines, or those of an array.

use std::collections::VecDeque;
use std::io::{BufRead, Read};

use serde_json::value::RawValue;

use crate::exit::{Failure, USAGE};

/// The longest event that is sent; the server takes less, and says so in a dead letter.
const LONGEST: usize = 4 << 20;
/// How far is looked for the end of an event that goes on over several lines.
const AHEAD: usize = 1 << 20;

/// Reads events one at a time, so that memory does not depend on how many there are.
pub(super) struct Documents<R> {
    input: R,
    file: String,
    /// Lines that were looked at ahead.
    waiting: VecDeque<Vec<u8>>,
    line: u64,
    in_array: bool,
    over: bool,
}

/// How deep a text is in brackets, outside of strings.
#[derive(Default)]
struct Depth {
    open: usize,
    in_string: bool,
    escaped: bool,
}

impl Depth {
    fn see(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'{' | b'[' if !self.in_string => self.open += 1,
            b'}' | b']' if !self.in_string => self.open = self.open.saturating_sub(1),
            _ => {}
        }
    }

    fn is_outside(&self) -> bool {
        self.open == 0 && !self.in_string
    }
}

impl<R: BufRead> Documents<R> {
    pub(super) fn new(input: R, file: &str) -> Self {
        let file = if file == "-" { "stdin" } else { file }.to_owned();
        Self { input, file, waiting: VecDeque::new(), line: 0, in_array: false, over: false }
    }

    fn wrong(&self, problem: &str, remedy: &str) -> Failure {
        let place = format!("`{}`, line {}", self.file, self.line.max(1));
        Failure::new(USAGE, format!("{place}: {problem}"), remedy)
    }

    fn unread(&self, error: &std::io::Error) -> Failure {
        self.wrong(&format!("cannot read on: {error}"), "check the file, then publish it again")
    }

    /// The next byte, which stays unread.
    fn peek(&mut self) -> Result<Option<u8>, Failure> {
        match self.input.fill_buf() {
            Ok(bytes) => Ok(bytes.first().copied()),
            Err(error) => {
                let failure = self.unread(&error);
                Err(failure)
            }
        }
    }

    fn skip(&mut self, byte: u8) {
        self.input.consume(1);
        self.line += u64::from(byte == b'\n');
    }

    /// The next line without its end; `None` at the end of the text.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(line) = self.waiting.pop_front() {
            return Ok(Some(line));
        }
        let mut line = vec![];
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let read = Read::by_ref(&mut self.input).take(most + 1).read_until(b'\n', &mut line);
        read.map_err(|error| self.unread(&error))?;
        self.line += 1;
        if line.len() > LONGEST {
            let problem = format!("the line is longer than `{LONGEST}` bytes");
            return Err(self.wrong(&problem, "give one event a line, each of at most 1 MiB"));
        }
        Ok((!line.is_empty()).then_some(line))
    }

    /// An event that begins with a line: the line, unless it goes on and ends further down.
    fn whole(&mut self, first: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let parsed = serde_json::from_slice::<&RawValue>(&first);
        if !parsed.is_err_and(|error| error.is_eof()) {
            return Ok(trimmed(&first));
        }
        let (mut text, mut depth, mut ahead) = (first.clone(), Depth::default(), vec![]);
        first.iter().for_each(|byte| depth.see(*byte));
        while text.len() < AHEAD && !depth.is_outside() {
            let Some(next) = self.line()? else { break };
            let anew = begins_anew(&text, &next);
            next.iter().for_each(|byte| depth.see(*byte));
            text.extend_from_slice(&next);
            ahead.push(next);
            if anew {
                break;
            }
        }
        if serde_json::from_slice::<&RawValue>(&text).is_ok() {
            return Ok(trimmed(&text));
        }
        // It does not end: the line stands alone, and the others are looked at by themselves.
        for line in ahead.into_iter().rev() {
            self.waiting.push_front(line);
        }
        Ok(trimmed(&first))
    }

    /// The next element of the array; `None` at its end.
    fn element(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let (mut text, mut depth) = (vec![], Depth::default());
        loop {
            let Some(byte) = self.peek()? else {
                let remedy = "check that the file is whole; what came before is recorded";
                return Err(self.wrong("the array of events does not end", remedy));
            };
            let between = matches!(byte, b']' | b',') || byte.is_ascii_whitespace();
            if depth.is_outside() && between && !text.is_empty() {
                return Ok(Some(text));
            }
            self.skip(byte);
            if depth.is_outside() && byte == b']' {
                self.in_array = false;
                return Ok(None);
            }
            if depth.is_outside() && between {
                continue;
            }
            depth.see(byte);
            text.push(byte);
            if text.len() > LONGEST {
                let problem = format!("an event is longer than `{LONGEST}` bytes");
                return Err(self.wrong(&problem, "give events of at most 1 MiB"));
            }
        }
    }

    /// Goes on to the next event, and says whether there is one.
    fn begin(&mut self) -> Result<bool, Failure> {
        if !self.waiting.is_empty() {
            return Ok(true);
        }
        while let Some(byte) = self.peek()? {
            // A mark of the byte order at the beginning says nothing.
            let is_mark = self.line == 0 && b"\xef\xbb\xbf".contains(&byte);
            if byte != b'[' && !byte.is_ascii_whitespace() && !is_mark {
                return Ok(true);
            }
            self.skip(byte);
            if byte == b'[' {
                self.in_array = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn step(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if !self.in_array && !self.begin()? {
                return Ok(None);
            }
            let found = if self.in_array { self.element()? } else { self.line()? };
            match found {
                None => {}
                Some(element) if self.in_array => return Ok(Some(element)),
                Some(line) if line.trim_ascii().is_empty() => {}
                Some(line) => return self.whole(line).map(Some),
            }
        }
    }
}

fn trimmed(text: &[u8]) -> Vec<u8> {
    text.trim_ascii().to_vec()
}

/// Whether a line begins another event: an object can only follow `[`, `,` or `:`.
fn begins_anew(before: &[u8], line: &[u8]) -> bool {
    let last = before.trim_ascii_end().last();
    line.first() == Some(&b'{') && !matches!(last, Some(b'[' | b',' | b':'))
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = Result<Vec<u8>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let step = self.step().transpose();
        self.over = !matches!(step, Some(Ok(_)));
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &[u8]) -> Vec<Vec<u8>> {
        // A small buffer, so that every event spans several reads.
        let input = std::io::BufReader::with_capacity(3, text);
        Documents::new(input, "-").map(|event| event.unwrap()).collect()
    }

    #[test]
    fn events_are_lines_or_one_document_or_the_elements_of_an_array() {
        for (text, want) in [
            ("{\n\"a\": 1\n}\n", vec!["{\n\"a\": 1\n}"]),
            ("{}\r\n\n{\n", vec!["{}", "{"]),
            ("\u{feff}{\"a\":1}", vec!["{\"a\":1}"]),
            (" \n", vec![]),
            ("", vec![]),
            (
                "[{\"a\":\"]\\\"\"}, {\"b\":[1,2]},\n3]\n{}",
                vec!["{\"a\":\"]\\\"\"}", "{\"b\":[1,2]}", "3", "{}"],
            ),
            ("[]", vec![]),
            (
                "{\"a\":\n[\n{\"b\":1},\n{\"c\":2}\n]}\n{}\n",
                vec!["{\"a\":\n[\n{\"b\":1},\n{\"c\":2}\n]}", "{}"],
            ),
        ] {
            let want: Vec<Vec<u8>> = want.into_iter().map(|one| one.as_bytes().to_vec()).collect();
            assert_eq!(events(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn a_line_that_was_cut_does_not_swallow_those_after_it() {
        for cut in ["{\"a\":", "{\"a\":{", "{", "{\"a\":1,", "{\"a\": \"x"] {
            let text = format!("{cut}\n{{\"b\":1}}\n{{\"c\":1}}\n");
            let found = events(text.as_bytes());
            assert_eq!(found, [cut.trim().as_bytes(), b"{\"b\":1}", b"{\"c\":1}"], "{cut}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        let failure = Documents::new(endless, "big.json").next().unwrap().unwrap_err();
        assert!(failure.message.contains("`big.json`, line 1: the line is longer"), "{failure:?}");
    }

    #[test]
    fn an_array_that_was_cut_gives_what_came_before_and_says_so() {
        let mut found = Documents::new(b"[{\"a\":1},{\"b\"".as_slice(), "-");
        assert_eq!(found.next().unwrap().unwrap(), b"{\"a\":1}");
        assert!(found.next().unwrap().unwrap_err().message.contains("does not end"));
        assert!(found.next().is_none());
    }
}
