//! Bad input through the whole: each gets place, value and remedy, and the server goes on.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test by panicking"
)]

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};
use takt_tests::{Server, shared_data};

struct Stand {
    server: Server,
    folder: tempfile::TempDir,
}

impl Stand {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"));
        server.ok(&["stream", "create", "shop"]);
        Self { server, folder }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The command is refused with a code, and says all of it on stderr and nothing on stdout.
    fn refuses(&self, args: &[&str], code: i32, words: &[&str]) {
        let ended = self.server.takt(args);
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        assert_eq!(ended.out, "", "{args:?}");
        for word in words.iter().chain(&["hint: "]) {
            assert!(ended.err.contains(word), "{args:?}: no `{word}` in: {}", ended.err);
        }
    }

    fn lives(&self) {
        assert_eq!(self.server.get("/readyz").0, 200);
        self.server.ok(&["column", "set", "Todo"]);
        self.server.ok(&["card", "add", "--column", "Todo", "after all of that"]);
        assert_eq!(self.server.json(&["projection", "verify"])["ok"], true);
        assert_eq!(self.server.json(&["log", "verify"])["ok"], true);
    }
}

/// A card report, changed as the test likes.
fn fact(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut event = json!({"specversion": "1.0", "id": "e-1", "source": "urn:bad",
        "type": "dev.takt.report.card.v1", "time": "2026-03-02T09:00:00Z",
        "data": {"card": "C-1", "column": "Todo"}});
    change(&mut event);
    event.to_string().into_bytes()
}

#[test]
fn bad_events_are_dead_letters_that_name_place_value_and_remedy() {
    let stand = Stand::new();
    let whole = fact(|_| {});
    let deep = [b"{\"specversion\":".to_vec(), vec![b'['; 50_000], vec![b']'; 50_000]].concat();
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (whole[..whole.len() - 5].to_vec(), "line 1, column", "not JSON"),
        (fact(|it| it["data"]["card"] = json!(5)), "data.card", "`5`"),
        (fact(|it| it["data"]["size"] = json!("big")), "data.size", "big"),
        (fact(|it| it["data"] = json!([1])), "data", "`[1]`"),
        (fact(|it| it["time"] = json!(1_700_000_000)), "time", "`1700000000`"),
        (fact(|it| it["time"] = json!("+275760-09-13T00:00:00Z")), "time", "275760"),
        (fact(|it| it["time"] = json!("9999-01-01T00:00:00Z")), "time", "24 h"),
        (fact(|it| it["id"] = json!("")), "id", "empty"),
        (fact(|it| it["type"] = json!("dev.takt.board.card_moved.v1")), "type", "not a fact"),
        (deep, "byte 78", "`64`"),
        (b"{\"specversion\":\"1.0\",\"id\":\"\xff\"}".to_vec(), "byte 27", "`0xff`"),
        (b"\"only a text\"".to_vec(), "line 1", "only a text"),
        (vec![0x1f, 0x8b, 0x08, 0x00, 0x01, 0x02], "byte 1", "`0x8b`"),
        (fact(|it| it["data"]["title"] = json!("x".repeat(1 << 20))), "byte 1048576", "1048576"),
    ];
    for (bytes, place, words) in &cases {
        let ended = stand.server.fed(&["publish", "-", "-o", "json"], bytes);
        let told = String::from_utf8_lossy(bytes).chars().take(80).collect::<String>();
        assert_eq!(ended.code, 1, "{told}: {ended:?}");
        let found: Value = serde_json::from_str(&ended.out).unwrap();
        let letter = &found["letters"][0];
        assert!(letter["place"].as_str().unwrap().starts_with(place), "{told}: {letter}");
        assert!(letter["reason"].as_str().unwrap().contains(words), "{told}: {letter}");
        assert!(!letter["remedy"].as_str().unwrap().is_empty(), "{told}: {letter}");
        assert!(ended.err.contains("hint: "), "{told}: {}", ended.err);
    }
    let listed = stand.server.json(&["dead", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), cases.len());
    stand.lives();
}

#[test]
fn good_events_between_bad_ones_are_recorded() {
    let stand = Stand::new();
    let good = |id: &str| fact(|it| it["id"] = json!(id));
    let lines = [good("a"), b"{\"cut".to_vec(), good("b"), b"\xfe\xff".to_vec(), good("c")];
    let ended = stand.server.fed(&["publish", "-", "-o", "json"], &lines.join(&b'\n'));
    assert_eq!(ended.code, 1, "{ended:?}");
    let found: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&found["recorded"], &found["dead"]), (&json!(3), &json!(2)), "{found}");
    stand.lives();
}

#[test]
fn a_reused_identity_is_a_dead_letter_that_can_be_shown_replayed_and_dropped() {
    let stand = Stand::new();
    let server = &stand.server;
    let publish = |bytes: Vec<u8>| server.fed(&["publish", "-", "-o", "json"], &bytes);
    assert_eq!(publish(fact(|_| {})).json()["recorded"], 1);
    assert_eq!(publish(fact(|_| {})).json()["duplicate"], 1);
    let other = publish(fact(|it| it["data"]["column"] = json!("Done")));
    assert_eq!(other.code, 1, "{other:?}");
    let other: Value = serde_json::from_str(&other.out).unwrap();
    assert!(other["letters"][0]["reason"].as_str().unwrap().contains("identity"), "{other}");
    let id = other["letters"][0]["id"].as_str().unwrap();
    let again = publish(fact(|it| it["data"]["column"] = json!("Done")));
    let again: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(again["letters"][0]["id"], id, "the same letter is written once");
    assert_eq!(server.json(&["dead", "list"]).as_array().unwrap().len(), 1);
    let shown = server.json(&["dead", "show", id]);
    let content: Value = serde_json::from_str(shown["content"].as_str().unwrap()).unwrap();
    assert_eq!(content["data"]["column"], "Done");
    assert_eq!(server.takt(&["dead", "replay", id]).code, 1, "it is as dead as before");
    assert_eq!(server.json(&["dead", "list"]).as_array().unwrap().len(), 1);
    server.ok(&["dead", "drop", id]);
    assert_eq!(server.json(&["dead", "list"]), json!([]));
    assert_eq!(server.takt(&["dead", "show", id]).code, 2);
    stand.lives();
}

#[test]
fn an_unknown_stream_is_not_found_with_the_command_that_makes_it() {
    let stand = Stand::new();
    let facts = stand.file("fact.json", &fact(|_| {}));
    let facts = facts.to_str().unwrap();
    for args in [
        &["publish", facts, "--stream", "nowhere"][..],
        &["card", "list", "--stream", "nowhere"],
        &["metrics", "lead-time", "--stream", "nowhere"],
        &["andon", "check", "--stream", "nowhere"],
    ] {
        stand.refuses(args, 2, &["`nowhere`", "takt stream create nowhere"]);
    }
    stand.lives();
}

fn log_of(cases: usize) -> String {
    let trace = |case: usize| {
        format!(
            "<trace><string key=\"concept:name\" value=\"{case}\"/>\
             <event><string key=\"concept:name\" value=\"Todo\"/>\
             <date key=\"time:timestamp\" value=\"2026-01-05T09:00:00Z\"/></event></trace>\n"
        )
    };
    format!("<log>\n{}</log>\n", (0..cases).map(trace).collect::<String>())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// An entity that would grow to a thousand million characters.
fn bomb() -> String {
    let mut entities = String::from("<!ENTITY a0 \"aaaaaaaaaa\">");
    for level in 1..9 {
        let below = format!("&a{};", level - 1).repeat(10);
        entities.push_str(&format!("<!ENTITY a{level} \"{below}\">"));
    }
    format!("<!DOCTYPE log [{entities}]>\n{}", log_of(1).replace("Todo", "&a8;"))
}

#[test]
fn bad_xes_files_are_refused_with_place_and_remedy() {
    let stand = Stand::new();
    let whole = log_of(5000);
    let packed = gzip(whole.as_bytes());
    let cut = whole.len() / 2;
    for (name, content, words) in [
        ("cut.xes", whole.as_bytes()[..cut].to_vec(), &["byte ", "broken"][..]),
        ("cut.xes.gz", packed[..packed.len() / 2].to_vec(), &["byte ", "deflate"]),
        ("bomb.xes", bomb().into_bytes(), &["byte ", "`DOCTYPE`", "entities"]),
        ("empty.xes", Vec::new(), &["byte 0", "`log`"]),
        ("binary.xes", vec![0xD0; 5000], &["byte 0", "broken"]),
        ("other.xes", b"<svg/>".to_vec(), &["`log`"]),
        ("late.xes", log_of(1).replace("2026-01", "275760-01").into_bytes(), &["275760"]),
    ] {
        let file = stand.file(name, &content);
        let file = file.to_str().unwrap();
        stand.refuses(&["import", "xes", file, "--done", "Closed"], 2, words);
    }
    stand.refuses(&["import", "xes", "/nowhere.xes"], 2, &["`/nowhere.xes`"]);
    stand.lives();
}

#[test]
fn what_was_read_before_the_cut_stays_recorded_once_when_the_whole_file_comes() {
    let stand = Stand::new();
    let whole = log_of(3000);
    let cut = stand.file("cut.xes", &whole.as_bytes()[..whole.len() / 2]);
    stand.refuses(&["import", "xes", cut.to_str().unwrap()], 2, &["were recorded and stay so"]);
    let whole = stand.file("whole.xes", whole.as_bytes());
    let found = stand.server.json(&["import", "xes", whole.to_str().unwrap()]);
    let (recorded, before) = (found["recorded"].as_u64(), found["duplicate"].as_u64());
    assert_eq!(recorded.unwrap() + before.unwrap(), 3001, "3000 cards and a column: {found}");
    let cards = stand.server.json(&["board", "show"]);
    assert_eq!(cards["columns"][0]["count"], 3000);
    stand.lives();
}

#[test]
fn csv_columns_may_stand_in_any_order_and_bad_tables_are_refused() {
    let stand = Stand::new();
    let rows = [
        ("case,activity,timestamp", "A,Todo,2026-01-01T00:00:00Z"),
        ("Timestamp,note,Activity,Case ID", "2026-01-01T00:00:00Z,\"a, b\",Todo,A"),
    ];
    let counts = rows.map(|(head, row)| {
        let file = stand.file("good.csv", format!("{head}\n{row}\n").as_bytes());
        stand.server.json(&["import", "csv", file.to_str().unwrap()])["recorded"].as_u64().unwrap()
    });
    assert_eq!(counts, [2, 0], "the same facts, whatever the order of the columns");
    for (content, words) in [
        (&b"when,step,ticket\n"[..], &["line 1", "`when, step, ticket`"][..]),
        (b"case,activity,timestamp\nA,Todo,yesterday\n", &["line 2", "`yesterday`"]),
        (b"case,activity,timestamp\nA,Todo\n", &["line 2", "fields"]),
        (b"case,activity,timestamp\nA,T\xff,2026-01-01T00:00:00Z\n", &["line 2", "utf-8"]),
        (b"", &["line 1", "`case`"]),
        (b"\xd0\xd0\xd0", &["line 1", "utf-8"]),
    ] {
        let file = stand.file("bad.csv", content);
        stand.refuses(&["import", "csv", file.to_str().unwrap()], 2, words);
    }
    stand.lives();
}

#[test]
fn the_conformance_files_of_cdevents_have_three_identities() {
    let Some(folder) = shared_data("cdevents") else { return };
    let stand = Stand::new();
    let mut totals = [0, 0, 0];
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "json") {
                let ended = stand.server.takt(&["publish", path.to_str().unwrap(), "-o", "json"]);
                let found: Value = serde_json::from_str(&ended.out).unwrap();
                let counts =
                    ["recorded", "duplicate", "dead"].map(|it| found[it].as_u64().unwrap());
                totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
            }
        }
    }
    assert_eq!(totals, [3, 0, 89]);
    stand.lives();
}
