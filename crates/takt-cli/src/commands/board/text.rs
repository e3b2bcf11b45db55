//! The board in a terminal: columns side by side, as many as the page is wide.

use takt_proto::v1::{Card, Column, GetBoardResponse};

use crate::commands::card::signs;
use crate::output::human::{age, count, span};
use crate::output::page::{Mark, Page, cut, pad, width};
use crate::output::plain;

/// The least and the greatest width of a column.
const WIDTHS: (usize, usize) = (18, 34);
/// The blanks between two columns.
const GAP: &str = "   ";

type Line = (Mark, String);

/// The whole board.
pub(super) fn board(it: &GetBoardResponse, stops: usize, limit: usize, page: &Page) -> String {
    let name = format!("{} · {}", it.stream, it.board);
    let state = match stops {
        0 => Mark::Good.on("the line runs"),
        1 => Mark::Bad.on("the line is STOPPED by 1 alert (takt andon list)"),
        many => Mark::Bad.on(format!("the line is STOPPED by {many} alerts (takt andon list)")),
    };
    let mut text = format!("{}   {state}\n", Mark::Bold.on(plain(&name)));
    if it.columns.is_empty() {
        return text + "\nno columns yet; make one with `takt column set NAME`\n";
    }
    let (across, wide) = layout(it.columns.len(), page.columns());
    for band in it.columns.chunks(across) {
        let blocks: Vec<Vec<Line>> =
            band.iter().map(|column| block(column, &it.cards, limit, wide, page)).collect();
        text.push('\n');
        text.push_str(&side_by_side(&blocks, wide));
    }
    if it.open_omitted > 0 {
        let words = format!(
            "\n{} not sent, because the answer was full; `takt card list` shows all\n",
            count(it.open_omitted, "open card")
        );
        text.push_str(&Mark::Warn.on(words));
    }
    text
}

/// How many columns stand side by side, and how wide each is.
fn layout(columns: usize, page: usize) -> (usize, usize) {
    let (least, greatest) = WIDTHS;
    let fit = (page + GAP.len()) / (least + GAP.len());
    // The bands are filled evenly, so that a last column does not stand alone.
    let bands = columns.div_ceil(fit.max(1));
    let across = columns.div_ceil(bands.max(1)).max(1);
    let wide = ((page + GAP.len()) / across).saturating_sub(GAP.len());
    (across, wide.clamp(least.min(page.max(1)), greatest))
}

fn side_by_side(blocks: &[Vec<Line>], wide: usize) -> String {
    let high = blocks.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for at in 0..high {
        let mut gap = String::new();
        for block in blocks {
            let Some((mark, line)) = block.get(at).filter(|(_, line)| !line.is_empty()) else {
                gap.push_str(&" ".repeat(wide + GAP.len()));
                continue;
            };
            let line = cut(line, wide);
            text.push_str(&gap);
            text.push_str(&mark.on(&line));
            gap = pad(&line, wide) + GAP;
        }
        text.push('\n');
    }
    text
}

/// One column: its name, its count, a rule, its cards.
fn block(column: &Column, cards: &[Card], limit: usize, wide: usize, page: &Page) -> Vec<Line> {
    let (mark, state) = state(column, wide);
    let mut lines =
        vec![(Mark::Bold, plain(&column.column)), (mark, state), (Mark::Dim, "─".repeat(wide))];
    let mut here: Vec<&Card> = cards.iter().filter(|it| it.column == column.column).collect();
    let entered = |it: &Card| it.entered.as_ref().map_or(i64::MIN, |at| at.seconds);
    // Work that has waited longest comes first; of what is done, the newest.
    here.sort_by_key(|it| entered(it));
    if column.kind == "done" {
        here.reverse();
    }
    let shown = if limit == 0 { here.len() } else { limit.min(here.len()) };
    for card in here.iter().take(shown) {
        lines.extend(face(card, column.kind == "done", page));
    }
    let total = usize::try_from(column.count).unwrap_or(usize::MAX).max(here.len());
    if total > shown {
        lines.push((Mark::Dim, format!("… {} more", total - shown)));
    }
    lines
}

/// What is in a column, against its limits; words that do not fit are left out.
fn state(column: &Column, wide: usize) -> (Mark, String) {
    let limit = column.wip_limit.as_ref().filter(|limit| limit.policy != "off");
    let (mark, count) = match limit {
        None => (Mark::Dim, count(u64::from(column.count), "card")),
        Some(limit) if column.over_limit => {
            (Mark::Bad, format!("{} of {}, OVER LIMIT", column.count, limit.cards))
        }
        Some(limit) if column.count == limit.cards => {
            (Mark::Warn, format!("{} of {}, full", column.count, limit.cards))
        }
        Some(limit) => (Mark::Dim, format!("{} of {}", column.count, limit.cards)),
    };
    let mut words = vec![count];
    if limit.is_some_and(|limit| limit.policy == "soft") {
        words.push("soft".to_owned());
    }
    if column.kind == "queue" || column.kind == "done" {
        words.push(column.kind.clone());
    }
    if let Some(limit) = column.time_limit.as_ref().filter(|limit| limit.seconds > 0) {
        words.push(format!("≤ {}", span(limit.seconds)));
    }
    let mut line = String::new();
    for word in words {
        let longer = if line.is_empty() { word } else { format!("{line}, {word}") };
        if line.is_empty() || width(&longer) <= wide {
            line = longer;
        }
    }
    (mark, line)
}

/// A card: its title, below that its id and its age in the column, and what is odd about it.
fn face(card: &Card, done: bool, page: &Page) -> Vec<Line> {
    let age = card.entered.as_ref().map(|at| age(page.now.saturating_sub(at.seconds)));
    let age = age.filter(|age| age != "now");
    let age = age.map(|age| if done { format!("{age} ago") } else { age });
    let age = age.unwrap_or_else(|| "new".to_owned());
    let mut lines = match card.title.as_str() {
        "" => vec![(Mark::None, format!("{} · {age}", plain(&card.card)))],
        title => vec![
            (Mark::None, plain(title)),
            (Mark::Dim, format!("  {} · {age}", plain(&card.card))),
        ],
    };
    let signs = signs(card);
    if !signs.is_empty() {
        let mark = if card.blocked { Mark::Warn } else { Mark::Dim };
        lines.push((mark, format!("  {}", plain(&signs))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use takt_proto::v1::WipLimit;

    fn column(name: &str, count: u32, cards: u32) -> Column {
        let wip_limit = Some(WipLimit {
            cards,
            policy: if cards == 0 { "off".to_owned() } else { "hard".to_owned() },
        });
        let over_limit = cards > 0 && count > cards;
        Column { column: name.to_owned(), count, wip_limit, over_limit, ..Column::default() }
    }

    fn card(id: &str, column: &str, title: &str) -> Card {
        let text = str::to_owned;
        Card { card: text(id), column: text(column), title: text(title), ..Card::default() }
    }

    fn drawn(it: &GetBoardResponse, width: usize) -> String {
        let page = Page { width: Some(width), now: 0 };
        anstream::adapter::strip_str(&board(it, 0, 1, &page)).to_string()
    }

    fn sample() -> GetBoardResponse {
        GetBoardResponse {
            stream: "shop".to_owned(),
            board: "main".to_owned(),
            columns: vec![column("Backlog", 2, 0), column("Doing", 2, 1), column("Done", 0, 0)],
            cards: vec![
                card("A-1", "Backlog", "a title far too long"),
                card("A-2", "Backlog", ""),
                Card { blocked: true, ..card("A-3", "Doing", "x") },
                card("A-4", "Doing", "y"),
            ],
            sequence: 1,
            ..GetBoardResponse::default()
        }
    }

    #[test]
    fn a_wide_page_shows_the_columns_side_by_side() {
        let want = "\
shop · main   the line runs

Backlog              Doing                Done
2 cards              2 of 1, OVER LIMIT   0 cards
──────────────────   ──────────────────   ──────────────────
a title far too l…   x
  A-1 · new            A-3 · new
… 1 more               blocked
                     … 1 more
";
        assert_eq!(drawn(&sample(), 60), want);
    }

    #[test]
    fn no_line_is_wider_than_the_page_however_narrow() {
        for wide in [18, 30, 41, 80, 200] {
            let text = drawn(&sample(), wide);
            for line in text.lines().skip(1) {
                assert!(width(line) <= wide, "{wide}: `{line}`");
            }
        }
    }

    #[test]
    fn a_board_without_columns_says_how_to_make_one() {
        let empty = GetBoardResponse { stream: "shop".to_owned(), ..GetBoardResponse::default() };
        assert!(drawn(&empty, 80).contains("takt column set NAME"));
    }
}
