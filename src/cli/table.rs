//! Tables for people.

use unicode_width::UnicodeWidthStr as _;

/// Widest cell, in columns of the terminal; longer text is cut.
const CELL_MAX: usize = 80;
const GAP: &str = "  ";

/// Rows under headings, or pairs of a name and a value.
#[derive(Clone, Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// Columns whose cells stand at the right.
    right: Vec<usize>,
}

impl Table {
    pub fn new(headings: &[&'static str]) -> Table {
        Table { headings: headings.to_vec(), rows: Vec::new(), right: Vec::new() }
    }

    /// Numbers stand below each other.
    #[must_use]
    pub fn right(mut self, columns: &[usize]) -> Table {
        self.right = columns.to_vec();
        self
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().map(|cell| cut(&printable(&cell), CELL_MAX)).collect();
        row.resize(self.headings.len(), String::new());
        self.rows.push(row);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The heading, and a line for each row, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        let headings = self.headings.iter().map(|heading| (*heading).to_owned()).collect();
        let all: Vec<&Vec<String>> = std::iter::once(&headings).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| all.iter().map(|row| row[column].width()).max().unwrap_or(0))
            .collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| {
                    let blanks = " ".repeat(width.saturating_sub(cell.width()));
                    if self.right.contains(&column) { blanks + cell } else { cell.clone() + &blanks }
                })
                .collect();
            cells.join(GAP).trim_end().to_owned()
        };
        all.into_iter().map(line).collect()
    }
}

/// Names and values, one pair a line; pairs without a value are left out.
#[derive(Clone, Debug, Default)]
pub struct Card(Vec<(&'static str, String)>);

impl Card {
    pub fn new() -> Card {
        Card::default()
    }

    pub fn add(&mut self, name: &'static str, value: impl Into<String>) -> &mut Card {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((name, value));
        }
        self
    }

    pub fn lines(&self) -> Vec<String> {
        let width = self.0.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        self.0
            .iter()
            .map(|(name, value)| {
                format!("{name}{}{GAP}{}", " ".repeat(width - name.width()), printable(value))
            })
            .collect()
    }
}

/// Without what would command a terminal: names and sentences come from strangers.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { '·' } else { c }).collect()
}

/// Turns the direction of what follows, or joins it in an unseen way.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn cut(text: &str, width_max: usize) -> String {
    if text.width() <= width_max {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        if short.width() + c.to_string().width() >= width_max {
            break;
        }
        short.push(c);
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::new(&["NAME", "CALLS", "PHASE"]).right(&[1]);
        table.row(["Ärzte".into(), "7".into(), "ended".into()]);
        table.row(["東京".into(), "1200".into(), String::new()]);
        table.row(["short".into()]);
        assert_eq!(table.lines(), ["NAME   CALLS  PHASE", "Ärzte      7  ended", "東京    1200", "short"]);
    }

    #[test]
    fn an_empty_table_has_its_heading() {
        let table = Table::new(&["A", "B"]);
        assert!(table.is_empty());
        assert_eq!(table.lines(), ["A  B"]);
    }

    #[test]
    fn cards_leave_out_what_is_absent() {
        let mut card = Card::new();
        card.add("call", "c-1").add("note", "").add("disposition", "busy");
        assert_eq!(card.lines(), ["call         c-1", "disposition  busy"]);
        assert!(Card::new().lines().is_empty());
    }

    #[test]
    fn nobody_commands_the_terminal() {
        let mut table = Table::new(&["NAME"]);
        table.row(["\u{1b}[2Jgone\nnext\u{202e}".into()]);
        assert_eq!(table.lines()[1], "·[2Jgone·next·");
        assert_eq!(printable("a\u{9b}31mb"), "a·31mb");
    }

    #[test]
    fn long_cells_are_cut() {
        let mut table = Table::new(&["TEXT"]);
        table.row(["x".repeat(1_000)]);
        table.row(["東".repeat(1_000)]);
        for line in table.lines() {
            assert!(line.width() <= CELL_MAX, "{line}");
        }
    }
}
