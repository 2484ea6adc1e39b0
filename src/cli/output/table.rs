//! Aligned columns without borders, which pipes and `awk` can read.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, presets};

/// To which side of its column a value leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    inner: comfy_table::Table,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        inner.set_header(columns.iter().map(|(title, _)| *title));
        let last = columns.len().saturating_sub(1);
        for (index, ((_, align), column)) in columns.iter().zip(inner.column_iter_mut()).enumerate() {
            column.set_padding((0, if index == last { 0 } else { 2 }));
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        Self { inner }
    }

    /// Adds a row; one value per column. An empty value is shown as `-`, so that columns can be counted.
    pub fn row<const N: usize>(&mut self, values: [String; N]) {
        let shown = values.map(|value| if value.is_empty() { "-".to_owned() } else { value });
        self.inner.add_row(shown);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.inner.lines().map(|line| line.trim_end().to_owned()).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_keep_their_column() {
        let mut table = Table::new(&[("A", Align::Left), ("B", Align::Left), ("C", Align::Right)]);
        table.row(["x".into(), String::new(), "1".into()]);
        table.row(["long".into(), "y".into(), "20".into()]);
        assert_eq!(table.to_string(), "A     B   C\nx     -   1\nlong  y  20");
    }
}
