//! What came of each pair, and how it is printed: a table for each scheme, reasons below it.

use std::fmt::Write as _;

use crate::players::PLAYERS;
use crate::publishers::PUBLISHERS;
use crate::schemes::SCHEMES;

/// What came of one publisher and one player.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// All that came was sent, in one piece; how much.
    Pass(String),
    /// It should have worked.
    Fail(String),
    /// It cannot work, and why.
    Impossible(String),
}

/// Scheme, publisher, a cell for each player; rows in any order.
#[derive(Default)]
pub struct Table {
    rows: Vec<(&'static str, &'static str, Vec<Cell>)>,
}

impl Table {
    pub fn put(&mut self, scheme: &'static str, publisher: &'static str, cells: Vec<Cell>) {
        assert_eq!(cells.len(), PLAYERS.len(), "a cell for each player");
        self.rows.push((scheme, publisher, cells));
    }

    /// Every cell with the names of its row and column.
    fn cells(&self) -> impl Iterator<Item = (String, &Cell)> {
        self.rows.iter().flat_map(|(scheme, publisher, cells)| {
            let named = PLAYERS.iter().zip(cells);
            named.map(move |(player, cell)| {
                (format!("{scheme}: {publisher} to {}", player.name), cell)
            })
        })
    }

    /// What should have worked and did not; a gap without a reason is one too.
    pub fn failures(&self) -> Vec<String> {
        let said = |(name, cell): (String, &Cell)| match cell {
            Cell::Fail(text) => Some(format!("{name}: {text}")),
            Cell::Impossible(reason) if reason.len() < 10 => Some(format!("{name}: no reason")),
            Cell::Impossible(_) | Cell::Pass(_) => None,
        };
        self.cells().filter_map(said).collect()
    }

    pub fn passes(&self) -> usize {
        self.cells().filter(|(_, cell)| matches!(cell, Cell::Pass(_))).count()
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for scheme in SCHEMES.iter().filter(|one| self.rows.iter().any(|row| row.0 == one.name)) {
            self.one(scheme.name, &mut text);
        }
        text
    }

    /// The table of one scheme.
    fn one(&self, scheme: &str, text: &mut String) {
        let mut reasons: Vec<&str> = Vec::new();
        let width = 22;
        write!(text, "\n{scheme:<width$}").unwrap();
        for player in PLAYERS {
            write!(text, "  {:<15}", player.name).unwrap();
        }
        for publisher in PUBLISHERS.iter().map(|one| one.name) {
            let row = self.rows.iter().find(|row| (row.0, row.1) == (scheme, publisher));
            let Some((.., cells)) = row else { continue };
            write!(text, "\n{publisher:<width$}").unwrap();
            for cell in cells {
                let short = match cell {
                    Cell::Pass(what) => what.clone(),
                    Cell::Fail(_) => "FAIL".to_owned(),
                    Cell::Impossible(reason) => {
                        let known = reasons.iter().position(|one| one == reason);
                        let n = known.unwrap_or_else(|| {
                            reasons.push(reason);
                            reasons.len() - 1
                        });
                        format!("not possible ({})", n + 1)
                    }
                };
                write!(text, "  {short:<15}").unwrap();
            }
        }
        text.push('\n');
        for (n, reason) in reasons.iter().enumerate() {
            writeln!(text, "  ({}) {reason}", n + 1).unwrap();
        }
    }
}

#[test]
fn table_names_failures_and_reasons() {
    let mut cells = vec![Cell::Pass("75p 120s".to_owned()); PLAYERS.len()];
    cells[0] = Cell::Fail("picture 7 differs".to_owned());
    cells[1] = Cell::Impossible("knows nothing of it".to_owned());
    cells[2] = Cell::Impossible(String::new());
    let mut table = Table::default();
    table.put("rtmp", "ffmpeg", cells);
    let failures = table.failures();
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures[0].contains("rtmp: ffmpeg to ") && failures[0].ends_with("picture 7 differs"));
    assert!(failures[1].ends_with("no reason"));
    assert_eq!(table.passes(), PLAYERS.len() - 3);
    let text = table.text();
    assert!(text.contains("FAIL") && text.contains("(1) knows nothing of it"), "{text}");
}
