//! XES files whole, packed, cut and hostile.

use std::io::{Cursor, Write};

use super::*;

const SAMPLE: &[u8] = include_bytes!("../../samples/board.xes");

fn all(bytes: &[u8]) -> Result<Vec<ReportEvent>, ImportError> {
    let options = Options { done: vec!["Shipped".into()], ..Options::default() };
    Xes::new(Cursor::new(bytes.to_vec()), options)?.collect()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut pack = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    pack.write_all(bytes).unwrap();
    pack.finish().unwrap()
}

#[test]
fn columns_come_at_their_first_appearance_and_equal_events_are_told_apart() {
    let events = all(SAMPLE).unwrap();
    let subjects: Vec<_> = events.iter().map(|it| it.subject.as_str()).collect();
    assert_eq!(subjects, ["Ready & set", "T-1", "Doing", "T-1", "T-1", "Shipped", "T-2"]);
    assert_ne!(events[3].id, events[4].id);
    assert_eq!(events[4].sequence.as_deref(), Some("00000000000000000003"));
    assert_eq!(events[5].data["kind"], "done");
    assert_eq!(events[2].data["order"], 1);
    assert!(events[0].data.get("kind").is_none());
}

#[test]
fn a_file_and_its_gzip_give_the_same_facts_which_intake_understands() {
    let events = all(SAMPLE).unwrap();
    assert_eq!(events, all(&packed(SAMPLE)).unwrap());
    let now = "2026-02-01T00:00:00Z".parse().unwrap();
    for event in events {
        let fact = crate::parse(&event.to_json(), now).unwrap();
        assert!(fact.historical);
        assert_eq!((fact.id, fact.time, fact.sequence), (event.id, event.time, event.sequence));
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let end = SAMPLE.len() - "</log>\n".len();
    for cut in 0..=end {
        assert!(all(&SAMPLE[..cut]).is_err(), "cut at {cut}");
    }
    let gzip = packed(SAMPLE);
    assert!(all(&gzip[..gzip.len() / 2]).is_err());
}

#[test]
fn hostile_files_are_refused_with_place_value_and_remedy() {
    let event = |inner: &str| {
        format!(
            "<log><trace><string key='concept:name' value='1'/><event>{inner}</event></trace></log>"
        )
    };
    let date = "<date key='time:timestamp' value='2026-01-01T00:00:00Z'/>";
    let name = "<string key='concept:name' value='A'/>";
    for (xml, reason) in [
        ("<logs/>".to_owned(), "`logs`"),
        ("<log/><log/>".to_owned(), "follows the end"),
        ("<!DOCTYPE l [<!ENTITY a 'b'>]><log/>".to_owned(), "DOCTYPE"),
        (event(&format!("{date}<string key='concept:name' value='&bomb;'/>")), "bomb"),
        (event(date), "`concept:name`"),
        (event(name), "`time:timestamp`"),
        (event(&format!("{name}<date key='time:timestamp' value='soon'/>")), "`soon`"),
        (event(&format!("{date}<string key='concept:name' value=''/>")), "is empty"),
        (format!("<log><trace><event>{name}{date}</event></trace></log>"), "trace's"),
        ("<log>".to_owned() + &"<a>".repeat(100), "deeper"),
        (event(&format!("<string key='a' value='{}'/>", "x".repeat(5 << 20))), "longer"),
    ] {
        let error = all(xml.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        assert!(error.place.starts_with("byte ") && !error.remedy.is_empty(), "{error}");
    }
}

#[test]
fn progress_reaches_the_size_of_the_packed_file() {
    let gzip = packed(SAMPLE);
    let size = gzip.len() as u64;
    let mut xes = Xes::new(Cursor::new(gzip), Options::default()).unwrap();
    let progress = xes.progress();
    assert!(xes.by_ref().all(|event| event.is_ok()));
    assert_eq!(progress.bytes(), size);
}

#[test]
fn the_help_desk_has_its_known_totals() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/helpdesk.xes.gz");
    let Ok(file) = std::fs::File::open(path) else {
        println!("SKIPPED: {path} is not there");
        return;
    };
    let events: Vec<_> =
        Xes::new(file, Options::default()).unwrap().collect::<Result<_, _>>().unwrap();
    let (cards, columns): (Vec<_>, Vec<_>) =
        events.iter().partition(|it| it.kind == "dev.takt.report.card.v1");
    let cases: std::collections::BTreeSet<_> = cards.iter().map(|it| &it.subject).collect();
    let ids: std::collections::BTreeSet<_> = events.iter().map(|it| &it.id).collect();
    assert_eq!((cases.len(), cards.len(), columns.len()), (4580, 21348, 14));
    assert_eq!(ids.len(), events.len());
}

proptest::proptest! {
    #[test]
    fn reading_never_panics_on_a_damaged_log(at in 0_usize..4096, byte: u8, pack: bool) {
        let mut bytes = if pack { packed(SAMPLE) } else { SAMPLE.to_vec() };
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = all(&bytes);
    }
}
