//! What people type and read, as files: each scenario is a fresh server and the commands to it.
//!
//! A line after `$ ` is a shell command; below it stands what it writes, stdout before stderr, and
//! `[N]` where it does not exit with 0. Ids that differ each time are numbered in the order in
//! which they are first seen, and a command may name them so. `TAKT_BLESS=1 cargo test` writes the
//! files anew; read the difference before you keep it.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TAKT: &str = env!("CARGO_BIN_EXE_takt");
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");

/// A server with its folder and the ids that it has given.
struct Stage {
    child: Child,
    url: String,
    folder: tempfile::TempDir,
    ids: Vec<String>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(TAKT)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("no address in `{line}`")).to_owned();
        Self { child, url, folder, ids: vec![] }
    }

    /// Runs a shell command and gives what it wrote and how it ended.
    fn run(&mut self, command: &str) -> String {
        let mut real = command.to_owned();
        for (at, id) in self.ids.iter().enumerate() {
            real = real.replace(&name(at), id);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let binary = Path::new(TAKT).parent().unwrap().display();
        let output = Command::new("sh")
            .args(["-c", &real])
            .current_dir(self.folder.path())
            .env("PATH", format!("{binary}:{path}"))
            .env("TAKT_SERVER", &self.url)
            .env("TAKT_STREAM", "shop")
            .env("USER", "ann")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let mut text = self.numbered(&String::from_utf8(output.stdout).unwrap());
        text += &self.numbered(&String::from_utf8(output.stderr).unwrap());
        let code = output.status.code().unwrap();
        if code != 0 {
            writeln!(text, "[{code}]").unwrap();
        }
        text.replace(&self.url, "http://SERVER")
    }

    /// A text with names in the place of ids that differ each time.
    fn numbered(&mut self, text: &str) -> String {
        let mut numbered = String::new();
        let mut word = String::new();
        for one in text.chars().chain(['\n']) {
            if one.is_ascii_alphanumeric() || one == '-' {
                word.push(one);
                continue;
            }
            if is_id(&word) {
                // In a table, what follows stays below its head.
                let cells = usize::from(one == ' ') * word.len();
                numbered += &format!("{:<cells$}", self.named(&word));
            } else {
                numbered += &word;
            }
            word.clear();
            numbered.push(one);
        }
        numbered.pop();
        numbered
    }

    /// The name of an id, a new one if it has not been seen.
    fn named(&mut self, id: &str) -> String {
        let known = self.ids.iter().position(|one| one == id);
        if known.is_none() {
            self.ids.push(id.to_owned());
        }
        name(known.unwrap_or(self.ids.len() - 1))
    }
}

fn name(at: usize) -> String {
    format!("ID-{}", at + 1)
}

/// Whether a word is an alert's id, or a UUID.
fn is_id(word: &str) -> bool {
    let hexadecimal = |text: &str| text.chars().all(|one| one.is_ascii_hexdigit() || one == '-');
    let alert = word.strip_prefix("a-").is_some_and(|rest| rest.len() >= 8 && hexadecimal(rest));
    alert || (word.len() == 36 && hexadecimal(word))
}

/// Plays a scenario and holds it to its file.
fn play(scenario: &str) {
    let path = Path::new(SCENARIOS).join(scenario);
    let want = std::fs::read_to_string(&path).unwrap();
    let mut stage = Stage::new();
    let mut found = String::new();
    for line in want.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            writeln!(found, "{line}\n{}", stage.run(command).trim_end_matches('\n')).unwrap();
        } else if line.starts_with('#') {
            let gap = if found.is_empty() { "" } else { "\n" };
            writeln!(found, "{gap}{line}").unwrap();
        }
    }
    let found = found.replace("\n\n$ ", "\n$ ");
    if std::env::var_os("TAKT_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, want, "`{scenario}` reads otherwise now");
}

#[test]
fn a_board_keeps_its_limits() {
    play("board.txt");
}

#[test]
fn the_andon_stops_the_line_until_it_is_resolved() {
    play("andon.txt");
}

#[test]
fn facts_come_in_once_and_misfits_become_dead_letters() {
    play("facts.txt");
}

#[test]
fn what_is_wrong_is_told_with_an_exit_code_and_a_hint() {
    play("errors.txt");
}
