//! The page told in what a reader finds on it.

use std::collections::BTreeMap;

use takt_domain::andon::{Cause, CauseKind, Effect};
use takt_domain::board::{Class, ColumnKind, WipLimit, WipPolicy};
use takt_domain::{AlertId, ColumnName, Span, StreamName, Time};
use takt_projections::{AlertRecord, BoardView, CardView, ColumnView, UsualStay};

use super::span::{human, human_seconds};
use super::{Current, Figures, Page, Sign, page};

static NOTHING_USUAL: BTreeMap<ColumnName, UsualStay> = BTreeMap::new();

fn card(id: &str, title: &str) -> CardView {
    CardView {
        id: id.into(),
        title: title.into(),
        kind: "".into(),
        class: Class::Standard,
        size: None,
        blocked: None,
        since: Time::EPOCH - Span::from_secs(93_300),
        age: Span::from_secs(93_600),
    }
}

fn column(kind: ColumnKind, limit: u32, cards: Vec<CardView>) -> ColumnView {
    let policy = if limit == 0 { WipPolicy::Off } else { WipPolicy::Soft };
    let count = u32::try_from(cards.len()).unwrap();
    ColumnView {
        name: "Build".into(),
        kind: Some(kind),
        wip_limit: WipLimit { cards: limit, policy },
        count,
        over: limit > 0 && count > limit,
        unplanned: false,
        time_limit: None,
        stage: None,
        cards,
    }
}

fn alert(effect: Effect, by: Option<&str>) -> AlertRecord {
    let kind = CauseKind::Person;
    AlertRecord {
        effect,
        cause: Cause { kind, source: "ann".into(), id: "1".into() },
        stage: None,
        column: None,
        summary: "smoke <b>test</b>".into(),
        triggers: 1,
        pulled_at: Time::EPOCH,
        pulled_by: None,
        acknowledged: by.map(|by| (Time::EPOCH, by.into())),
        escalated_at: None,
        cleared_at: None,
        resolution: None,
    }
}

fn current(columns: Vec<ColumnView>) -> Current<'static> {
    Current {
        name: "shop".into(),
        title: "The shop".to_owned(),
        board: BoardView { columns },
        figures: Figures::default(),
        usual: &NOTHING_USUAL,
        alerts: Vec::new(),
        now: Time::EPOCH + Span::from_secs(300),
        seq: 7,
    }
}

fn shown(current: Current<'_>) -> String {
    let streams = vec![(current.name.clone(), current.title.clone())];
    page(&Page { streams, current: Some(current), missing: None }).into_string()
}

fn with_cards(limit: u32, count: usize) -> String {
    let cards = (0..count).map(|it| card(&format!("C-{it:02}"), "Work")).collect();
    shown(current(vec![column(ColumnKind::Active, limit, cards)]))
}

#[test]
fn a_title_that_holds_markup_is_shown_as_text() {
    let mut it = card("\"><img src=x>", "<script>alert(1)</script>");
    it.blocked = Some("<i>no</i>".into());
    let mut current = current(vec![column(ColumnKind::Active, 0, vec![it])]);
    current.title = "</title><script>".to_owned();
    let html = shown(current);
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
    for bad in ["<script>", "<img src=x", "<i>no", "style=", "onclick"] {
        assert!(!html.contains(bad), "{bad} in {html}");
    }
}

#[test]
fn a_stream_name_is_escaped_in_its_address() {
    let streams = vec![(StreamName::from("a&b c\"é"), String::new())];
    let html = page(&Page { streams, current: None, missing: None }).into_string();
    assert!(html.contains("href=\"/?stream=a%26b%20c%22%C3%A9\""), "{html}");
}

#[test]
fn the_load_of_a_column_is_told_in_words() {
    for (cards, number, words) in [
        (1, "<strong>1</strong> of 2", "under limit"),
        (2, "<strong>2</strong> of 2", "at limit"),
        (3, "<strong>3</strong> of 2", "over limit"),
    ] {
        let html = with_cards(2, cards);
        assert!(html.contains(number) && html.contains(words), "{html}");
    }
    assert!(with_cards(0, 3).contains("no limit"));
}

#[test]
fn without_a_stream_the_page_names_the_command_that_makes_one() {
    let html = page(&Page::default()).into_string();
    assert!(html.contains("<code>takt stream create NAME</code>"), "{html}");
}

#[test]
fn a_stream_that_is_not_there_is_named_with_the_command_that_makes_it() {
    let missing = Some("a b<i>".to_owned());
    let html = page(&Page { missing, ..Page::default() }).into_string();
    assert!(html.contains("takt stream create 'a b&lt;i&gt;'"), "{html}");
    assert!(html.contains("<title>Not found · Takt</title>"), "{html}");
}

#[test]
fn without_columns_or_cards_the_page_names_the_command_that_makes_them() {
    let html = shown(current(Vec::new()));
    assert!(html.contains("<code>takt column set --stream shop COLUMN</code>"), "{html}");
    assert!(with_cards(2, 0).contains("<code>takt card add --stream shop TITLE</code>"));
    assert!(!with_cards(2, 1).contains("takt card add"));
}

#[test]
fn a_done_column_shows_its_newest_ten_and_the_count() {
    let cards = (0..23).map(|it| card(&format!("C-{it:02}"), "Work")).collect();
    let html = shown(current(vec![column(ColumnKind::Done, 0, cards)]));
    assert!(html.contains("<strong>23</strong> finished") && html.contains("newest 10"), "{html}");
    assert!(html.find("C-22").unwrap() < html.find("C-13").unwrap(), "{html}");
    assert!(!html.contains("C-12"), "{html}");
}

#[test]
fn the_andon_strip_puts_stops_first_and_names_who_knows_and_the_next_command() {
    let (warn, stop) = (alert(Effect::Warn, None), alert(Effect::Stop, Some("ann")));
    let mut current = current(Vec::new());
    current.alerts = vec![(AlertId::from("a"), &warn), (AlertId::from("b"), &stop)];
    let html = shown(current);
    assert!(html.find("Line stopped").unwrap() < html.find("Warning").unwrap(), "{html}");
    assert!(html.contains(">5 min</time> · acknowledged by <b>ann</b>"), "{html}");
    assert!(html.contains("not acknowledged") && html.contains("smoke &lt;b&gt;"), "{html}");
    assert!(html.contains("<code>takt andon ack --stream shop a</code>"), "{html}");
    assert!(html.contains("<code>takt andon resolve --stream shop b --category fixed"), "{html}");
}

#[test]
fn blocked_cards_and_unplanned_columns_say_so() {
    let mut it = card("C-1", "Work");
    it.blocked = Some("waits for a key".into());
    it.class = Class::Expedite;
    let mut column = column(ColumnKind::Active, 0, vec![it]);
    column.unplanned = true;
    let html = shown(current(vec![column]));
    for part in ["Blocked", ": waits for a key", "expedite", "unplanned", "here for ", ">1 d 2 h<"]
    {
        assert!(html.contains(part), "{part} in {html}");
    }
}

#[test]
fn an_age_is_told_when_it_is_long_for_the_column_or_near_its_limit() {
    let days = |days: i64| Span::from_secs(days * 86_400);
    let usual = UsualStay { stays: 8, p50: days(1), p85: days(3) };
    let few = UsualStay { stays: 7, ..usual };
    for (age, limit, usual, sign) in [
        (3, None, Some(&usual), Sign::Usual),
        (4, None, Some(&usual), Sign::Old),
        (4, None, Some(&few), Sign::Usual),
        (4, None, None, Sign::Usual),
        (7, Some(10), None, Sign::Usual),
        (8, Some(10), Some(&usual), Sign::Near(days(10))),
        (10, Some(10), Some(&usual), Sign::Over(days(10))),
    ] {
        assert_eq!(Sign::of(days(age), limit.map(days), usual), sign, "{age} {limit:?} {usual:?}");
    }
    let mut column = column(ColumnKind::Active, 0, vec![card("C-1", "Work")]);
    column.time_limit = Some(days(1));
    assert!(shown(current(vec![column])).contains("over the limit of 1 d"));
}

#[test]
fn lead_time_is_a_human_span_or_says_that_nothing_is_finished() {
    let mut it = current(Vec::new());
    assert!(shown(it.clone()).contains("no finished cards yet"));
    it.figures.lead_time.p50 = Some(90.0);
    it.figures.lead_time.p85 = Some(273_600.0);
    it.figures.lead_time.completed = 12;
    let html = shown(it);
    for part in [">1 min<", ">3 d 4 h<", "<strong>12</strong> cards"] {
        assert!(html.contains(part), "{part} in {html}");
    }
}

#[test]
fn a_span_names_its_largest_unit_and_the_next() {
    assert_eq!(human(Span::ZERO), "< 1 min");
    assert_eq!(human(Span::from_secs(86_460)), "1 d");
    assert_eq!(human(Span::from_secs(-60)), "−1 min");
    assert_eq!(human_seconds(3_599.6), "1 h");
}

#[test]
fn the_page_has_one_live_region_and_no_inline_script() {
    let html = with_cards(2, 1);
    assert_eq!(html.matches("aria-live").count(), 1);
    assert_eq!(html.matches("<script").count(), 1);
    assert!(html.contains("<script src=\"/assets/board.js\" defer></script>"), "{html}");
}
