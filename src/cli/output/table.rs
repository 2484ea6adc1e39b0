//! Aligned columns without borders, which pipes and `awk` can read.

use std::fmt;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, presets};

/// How far sentences beneath a row are set in.
const INDENT: &str = "    ";

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
    /// The last column's sentences, where it has sentences.
    prose: Option<Vec<String>>,
    /// How long a line of sentences may be that stand beneath their rows.
    line_max: Option<usize>,
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
        Self { inner, prose: None, line_max: None }
    }

    /// The last column holds sentences, which may stand beneath their rows where a person reads them.
    #[must_use]
    pub fn ending_in_prose(mut self) -> Self {
        self.prose = Some(Vec::new());
        self
    }

    /// Puts sentences of the last column beneath their rows, in lines of at most `line_max` letters.
    pub fn fit(&mut self, line_max: usize) {
        if self.prose.is_some() {
            self.line_max = Some(line_max);
            let last = self.inner.column_count().saturating_sub(1);
            self.inner.column_iter_mut().skip(last).for_each(|column| {
                column.set_constraint(ColumnConstraint::Hidden);
            });
        }
    }

    /// Adds a row; one value per column. An empty value is shown as `-`, so that columns can be counted.
    pub fn row<const N: usize>(&mut self, values: [String; N]) {
        if let (Some(prose), Some(sentences)) = (&mut self.prose, values.last()) {
            prose.push(sentences.clone());
        }
        let shown = values.map(|value| if value.is_empty() { "-".to_owned() } else { value });
        self.inner.add_row(shown);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.inner.lines().map(|line| line.trim_end().to_owned()).collect();
        if let (Some(prose), Some(line_max)) = (&self.prose, self.line_max) {
            // The first line is the header.
            for (line, sentences) in lines.iter_mut().skip(1).zip(prose) {
                line.push_str(&beneath(sentences, line_max));
            }
        }
        f.write_str(&lines.join("\n"))
    }
}

/// Lines that stand beneath a row.
fn beneath(sentences: &str, line_max: usize) -> String {
    let mut text = String::new();
    let mut room = 0;
    for word in sentences.split_whitespace() {
        let length = word.chars().count() + 1;
        if length > room {
            text.push('\n');
            text.push_str(INDENT);
            room = (line_max + 1).saturating_sub(INDENT.len());
        } else {
            text.push(' ');
        }
        text.push_str(word);
        room = room.saturating_sub(length);
    }
    text
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

    #[test]
    fn sentences_stand_beneath_their_rows_where_a_person_reads() {
        let columns = [("NAME", Align::Left), ("VALUE", Align::Left), ("DOC", Align::Left)];
        let mut table = Table::new(&columns).ending_in_prose();
        table.row(["share.heartbeat".into(), "1".into(), "How often members say that they live.".into()]);
        table.row(["b".into(), String::new(), "Short.".into()]);
        let piped = "NAME             VALUE  DOC\n\
                     share.heartbeat  1      How often members say that they live.\n\
                     b                -      Short.";
        assert_eq!(table.to_string(), piped);
        table.fit(22);
        let read = "NAME             VALUE\n\
                    share.heartbeat  1\n    How often members\n    say that they\n    live.\n\
                    b                -\n    Short.";
        assert_eq!(table.to_string(), read);

        let mut values = Table::new(&columns);
        values.row(["a".into(), "x y ".repeat(30), "z".into()]);
        let whole = values.to_string();
        values.fit(22);
        assert_eq!(values.to_string(), whole, "values stay where they are");
    }
}
