//! Tables and sheets for people: aligned by cells, cut to the page, quiet in style.

use super::page::{Mark, Page, cut, pad, width};
use super::plain;

/// The blanks between two columns.
const GAP: usize = 2;
/// The least width of a column that gives way.
const LEAST: usize = 12;

/// One cell of a table.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    text: String,
    mark: Mark,
    right: bool,
}

impl Cell {
    /// A cell in a style.
    pub(crate) fn marked(mark: Mark, text: impl AsRef<str>) -> Self {
        Self { text: plain(text.as_ref()), mark, right: false }
    }

    /// A number, which stands at the right.
    pub(crate) fn number(number: u64) -> Self {
        Self { text: number.to_string(), mark: Mark::None, right: true }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::marked(Mark::None, text)
    }
}

/// Rows below their heads; the widest columns give way where the page is narrow.
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with its heads.
    pub(crate) fn new(heads: &[&str]) -> Self {
        let heads = heads.iter().map(|head| Cell::marked(Mark::Dim, head.to_uppercase()));
        Self { rows: vec![heads.collect()] }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// The table as text.
    pub(crate) fn text(&self, page: &Page) -> String {
        let widths = self.widths(page);
        self.rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> String {
        let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
        let pieces =
            row.iter().zip(widths).enumerate().take(last + 1).map(|(at, (cell, cells))| {
                let short = cut(&cell.text, *cells);
                let (blanks, shown) = (pad(&short, *cells), cell.mark.on(&short));
                match cell.right || self.is_number(at) {
                    true => format!("{blanks}{shown}"),
                    false if at == last => shown,
                    false => format!("{shown}{blanks}"),
                }
            });
        pieces.collect::<Vec<_>>().join("  ") + "\n"
    }

    /// Whether all below the head are numbers, so that the head stands at the right too.
    fn is_number(&self, at: usize) -> bool {
        let mut below = self.rows.iter().skip(1).filter_map(|row| row.get(at)).peekable();
        below.peek().is_some() && below.all(|cell| cell.right)
    }

    fn widths(&self, page: &Page) -> Vec<usize> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let cells = |at| self.rows.iter().filter_map(move |row| row.get(at));
        let mut widths: Vec<usize> = (0..columns)
            .map(|at| cells(at).map(|cell| width(&cell.text)).max().unwrap_or(0))
            .collect();
        let total = widths.iter().sum::<usize>() + GAP * columns.saturating_sub(1);
        let mut over = page.width.map_or(0, |wide| total.saturating_sub(wide));
        // The last column gives way first, then the widest of the others; the first names the row.
        if let Some(last) = widths.last_mut() {
            over -= give_way(last, over);
        }
        while let Some(widest) = widths.iter_mut().skip(1).max_by_key(|wide| **wide) {
            if over == 0 || *widest <= LEAST {
                break;
            }
            over -= give_way(widest, over);
        }
        widths
    }
}

/// Takes up to `over` cells from a column, and says how many it took.
fn give_way(wide: &mut usize, over: usize) -> usize {
    let taken = over.min((*wide).saturating_sub(LEAST));
    *wide -= taken;
    taken
}

/// One thing with its properties, one a line; what has no value is left out.
pub(crate) struct Sheet {
    lines: Vec<(&'static str, Mark, String)>,
}

impl Sheet {
    /// A sheet with its title.
    pub(crate) fn new(title: impl AsRef<str>) -> Self {
        Self { lines: vec![("", Mark::Bold, plain(title.as_ref()))] }
    }

    /// Adds a property, if it has a value.
    pub(crate) fn line(&mut self, name: &'static str, value: impl AsRef<str>) {
        self.marked(name, Mark::None, value);
    }

    /// Adds a property in a style, if it has a value.
    pub(crate) fn marked(&mut self, name: &'static str, mark: Mark, value: impl AsRef<str>) {
        let value = plain(value.as_ref());
        if !value.is_empty() {
            self.lines.push((name, mark, value));
        }
    }

    /// The sheet as text.
    pub(crate) fn text(&self) -> String {
        let wide = self.lines.iter().map(|(name, ..)| width(name)).max().unwrap_or(0);
        let line = |(name, mark, value): &(&str, Mark, String)| {
            if name.is_empty() {
                return format!("{}\n", mark.on(value));
            }
            format!("  {}{}  {}\n", Mark::Dim.on(name), pad(name, wide), mark.on(value))
        };
        self.lines.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Page = Page { width: None, now: 0 };

    fn bare(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_table_lines_up_and_ends_each_line_without_blanks() {
        let mut table = Table::new(&["card", "cards", "column"]);
        table.row(["A-1".into(), Cell::number(3), "Doing".into()]);
        table.row(["漢字-100".into(), Cell::number(100), "".into()]);
        let want = "CARD      CARDS  COLUMN\nA-1           3  Doing\n漢字-100    100\n";
        assert_eq!(bare(&table.text(&WIDE)), want);
    }

    #[test]
    fn the_last_column_gives_way_to_a_narrow_page() {
        let mut table = Table::new(&["card", "title"]);
        table.row(["A-1".into(), "a title that is far too long".into()]);
        let narrow = Page { width: Some(20), now: 0 };
        assert_eq!(bare(&table.text(&narrow)), "CARD  TITLE\nA-1   a title that …\n");
    }

    #[test]
    fn a_wide_column_gives_way_too_and_the_first_never_does() {
        let mut table = Table::new(&["a card with a long name", "signs", "title"]);
        table.row(["A-1".into(), "blocked: waits for the lawyer".into(), "Terms of sale".into()]);
        let narrow = Page { width: Some(52), now: 0 };
        let want = "A CARD WITH A LONG NAME  SIGNS          TITLE\n\
                    A-1                      blocked: wai…  Terms of sa…\n";
        assert_eq!(bare(&table.text(&narrow)), want);
    }

    #[test]
    fn a_sheet_leaves_out_what_has_no_value() {
        let mut sheet = Sheet::new("A-1");
        sheet.line("column", "Doing");
        sheet.line("size", "");
        sheet.line("in it for", "3 d");
        assert_eq!(bare(&sheet.text()), "A-1\n  column     Doing\n  in it for  3 d\n");
    }
}
