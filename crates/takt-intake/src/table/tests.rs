//! CSV files with headers in any order, and hostile ones.

use std::io::Cursor;

use super::*;

const SAMPLE: &str = include_str!("../../samples/board.csv");

fn all(text: &str, options: CsvOptions) -> Result<Vec<ReportEvent>, ImportError> {
    Csv::new(Cursor::new(text.as_bytes().to_vec()), options)?.collect()
}

#[test]
fn common_headers_are_found_and_rows_of_a_case_may_be_apart() {
    let events = all(SAMPLE, CsvOptions::default()).unwrap();
    let subjects: Vec<_> = events.iter().map(|it| it.subject.as_str()).collect();
    assert_eq!(subjects, ["Ready & set", "T-1", "Doing", "T-1", "Shipped", "T-2", "T-1"]);
    assert_eq!(events[6].sequence.as_deref(), Some("00000000000000000003"));
    assert_ne!(events[3].id, events[6].id);
    assert_eq!(events[0].source, "urn:takt:import:csv");
}

#[test]
fn a_table_and_an_xes_of_the_same_history_have_the_same_card_ids() {
    let xes = Cursor::new(include_bytes!("../../samples/board.xes").to_vec());
    let ids = |events: Vec<ReportEvent>| -> std::collections::BTreeSet<_> {
        events.into_iter().filter(|it| it.kind.contains("card")).map(|it| it.id).collect()
    };
    let xes = crate::Xes::new(xes, crate::Options::default()).unwrap();
    let xes: Vec<_> = xes.collect::<Result<_, _>>().unwrap();
    assert_eq!(ids(xes), ids(all(SAMPLE, CsvOptions::default()).unwrap()));
}

#[test]
fn headers_can_be_named() {
    let named = CsvOptions { activity: Some("Who".into()), ..CsvOptions::default() };
    assert_eq!(all(SAMPLE, named).unwrap()[0].subject, "ann");
}

#[test]
fn hostile_tables_are_refused_with_line_and_value() {
    for (text, place, reason) in [
        ("", "line 1", "no column `case`"),
        ("case,activity\n", "line 1", "no column `timestamp`"),
        ("case,activity,time\n1,A,soon\n", "line 2", "`soon`"),
        ("case,activity,time\n1,A\n", "line 2", "broken"),
        ("case,activity,time\n,A,2026-01-01T00:00:00Z\n", "line 2", "is empty"),
    ] {
        let error = all(text, CsvOptions::default()).unwrap_err();
        assert!(error.place == place && error.reason.contains(reason), "{error}");
    }
}
