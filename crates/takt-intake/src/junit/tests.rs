//! JUnit files as tools write them, and hostile ones.

use super::*;

const SAMPLE: &[u8] = include_bytes!("../../samples/junit.xml");

fn options() -> Options {
    Options { level: Level::Unit, commit: "c0ffee".into(), run: None, written: Time::EPOCH }
}

fn counts(report: &Report) -> [usize; 4] {
    [report.passed, report.failed, report.errored, report.skipped]
}

#[test]
fn a_report_counts_its_tests_and_is_a_fact() {
    let report = read(SAMPLE, &options()).unwrap();
    assert_eq!(counts(&report), [1, 1, 1, 1]);
    let fact = crate::parse(&report.events[0].to_json(), Time::EPOCH).unwrap();
    let takt_domain::fact::Report::Test(tests) = fact.report else { panic!("no test report") };
    assert_eq!(tests.cases[0].duration, Span::from_micros(1_000_250_000));
    assert_eq!(tests.cases[1].suite, "outer/inner");
    assert_eq!(tests.cases[1].message.as_deref(), Some("1 < 2\nat <pay>"));
    assert_eq!(tests.cases[2].message.as_deref(), Some("no server"));
}

#[test]
fn the_same_file_gives_the_same_facts_and_another_commit_another_run() {
    let first = read(SAMPLE, &options()).unwrap();
    assert_eq!(first, read(SAMPLE, &options()).unwrap());
    let other = read(SAMPLE, &Options { commit: "beef".into(), ..options() }).unwrap();
    assert_ne!(first.events[0].subject, other.events[0].subject);
}

#[test]
fn a_large_report_is_split_and_every_fact_is_below_512_kib() {
    let message = "\u{e9}".repeat(3000);
    let case = format!("<testcase name=\"t\"><failure message=\"{message}\"/></testcase>");
    let xml = format!("<testsuite name=\"s\">{}</testsuite>", case.repeat(400));
    let report = read(xml.as_bytes(), &options()).unwrap();
    assert!(report.events.len() > 2);
    let total: usize =
        report.events.iter().map(|it| it.data["cases"].as_array().unwrap().len()).sum();
    assert_eq!(total, 400);
    let ids: std::collections::BTreeSet<_> = report.events.iter().map(|it| &it.id).collect();
    assert_eq!(ids.len(), report.events.len());
    for event in &report.events {
        assert!(event.to_json().len() < 512 << 10);
        assert!(event.data["cases"][0]["message"].as_str().unwrap().len() <= MESSAGE);
    }
}

#[test]
fn what_is_not_junit_is_refused_with_place_and_remedy() {
    for (xml, reason) in [
        ("", "no element"),
        ("{}", "no element"),
        ("<suites/>", "`suites`"),
        ("<testsuite><testcase name='a'>", "ends within `testcase`"),
        ("<testsuite></testcase>", "broken"),
        ("<testsuite><testcase/></testsuite>", "no `name`"),
        ("<testsuite><testcase name='a' time='soon'/></testsuite>", "`soon`"),
        ("<testsuite><testcase name='&x;'/></testsuite>", "attribute `name`"),
        ("<testsuite/><testsuite/>", "follows the end"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><testsuite/>", "DOCTYPE"),
    ] {
        let error = read(xml.as_bytes(), &options()).unwrap_err();
        assert!(error.to_string().contains(reason), "{xml}: {error}");
        assert!(error.place.starts_with("byte ") && !error.remedy.is_empty(), "{error}");
    }
}

#[test]
fn shared_files_are_read_or_refused_as_they_should() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/junit/");
    let file = |name: &str| std::fs::read(format!("{folder}{name}"));
    let Ok(failed) = file("junit.fail.xml") else {
        println!("SKIPPED: {folder} is not there");
        return;
    };
    assert_eq!(counts(&read(&failed, &options()).unwrap()), [3, 1, 0, 1]);
    for name in ["corrupt-xml.xml", "non-junit.xml"] {
        let error = read(&file(name).unwrap(), &options()).unwrap_err();
        assert!(!error.reason.is_empty(), "{name}");
    }
    let nested = read(&file("testsuite-in-testsuite.xml").unwrap(), &options()).unwrap();
    assert_eq!(counts(&nested), [5, 0, 0, 0]);
    assert!(read(&file("no-cases.xml").unwrap(), &options()).unwrap().events.is_empty());
}

proptest::proptest! {
    #[test]
    fn reading_never_panics_on_a_damaged_report(at in 0_usize..4096, byte: u8) {
        let mut bytes = SAMPLE.to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&bytes, &options());
    }
}
