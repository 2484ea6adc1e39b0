//! Standard output, buffered, that ends a command quietly when its reader goes.

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use crate::cli::error::{CliError, Result};
use crate::cli::output::json;
use crate::cli::output::table::Table;

/// Where a terminal's lines end when the environment does not say; help ends them there too.
const LINE_MAX: usize = 100;

/// Where a command's results go. Logs and progress go to standard error instead.
pub struct Printer {
    writer: Box<dyn Write + Send>,
    json: bool,
    terminal: bool,
    colour: bool,
}

impl std::fmt::Debug for Printer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Printer").field("json", &self.json).field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

impl Printer {
    /// The process's standard output. Colour is for terminals only, and never with `NO_COLOR`.
    #[must_use]
    pub fn stdout(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { writer: Box::new(BufWriter::new(io::stdout())), json, terminal, colour: terminal && colour_wanted() }
    }

    /// Any writer, as a pipe is treated: no colour, no cursor movements.
    #[must_use]
    pub fn to_writer(writer: Box<dyn Write + Send>, json: bool) -> Self {
        Self { writer, json, terminal: false, colour: false }
    }

    /// Whether JSON was asked for.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches: screens may be redrawn.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// `text` in bold, where colour is on.
    #[must_use]
    pub fn bold(&self, text: &str) -> String {
        if self.colour { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Writes one line.
    ///
    /// # Errors
    /// When the output is closed or fails.
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.raw(text.as_bytes())?;
        self.raw(b"\n")
    }

    /// Says something about the results, on standard error: a table on standard output stays a table. Silent with JSON,
    /// whose fields say it.
    pub fn note(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the output is closed or fails.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|error| CliError::of_output(&error))
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    /// When the output is closed or fails.
    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|error| CliError::of_output(&error))
    }

    /// Prints rows: as a JSON array, or as the table that `draw` makes of them. On a terminal, sentences
    /// stand beneath their rows.
    ///
    /// # Errors
    /// When the output is closed or fails.
    pub fn listing<T: Serialize>(&mut self, rows: &[T], draw: impl FnOnce(&[T]) -> Table) -> Result<()> {
        let table = || {
            let mut table = draw(rows);
            if self.terminal {
                table.fit(line_max());
            }
            table.to_string()
        };
        let text = if self.json { json::indented(&rows) } else { table() };
        if !text.is_empty() {
            self.line(&text)?;
        }
        self.flush()
    }

    /// Prints one thing: as a JSON object, or as the text that `draw` makes of it.
    ///
    /// # Errors
    /// When the output is closed or fails.
    pub fn object<T: Serialize>(&mut self, value: &T, draw: impl FnOnce(&T) -> String) -> Result<()> {
        let text = if self.json { json::indented(value) } else { draw(value) };
        if !text.is_empty() {
            self.line(text.trim_end_matches('\n'))?;
        }
        self.flush()
    }
}

/// Whether the person wants colour at all (<https://no-color.org>).
#[must_use]
pub fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

fn line_max() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.unwrap_or(LINE_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::cli::output::table::Align;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Serialize)]
    struct Row {
        topic: &'static str,
        records: u64,
    }

    fn printed(json: bool, rows: &[Row]) -> String {
        let shared = Shared::default();
        let mut printer = Printer::to_writer(Box::new(shared.clone()), json);
        printer
            .listing(rows, |rows| {
                let mut table = Table::new(&[("TOPIC", Align::Left), ("RECORDS", Align::Right)]);
                for row in rows {
                    table.row([row.topic.to_owned(), row.records.to_string()]);
                }
                table
            })
            .unwrap();
        String::from_utf8(shared.0.lock().unwrap().clone()).unwrap()
    }

    const ROWS: [Row; 2] = [Row { topic: "logs", records: 7 }, Row { topic: "clicks.eu", records: 12_345 }];

    #[test]
    fn a_listing_is_an_aligned_table() {
        assert_eq!(printed(false, &ROWS), "TOPIC      RECORDS\nlogs             7\nclicks.eu    12345\n");
    }

    #[test]
    fn a_listing_is_a_json_array_when_asked() {
        let parsed: serde_json::Value = serde_json::from_str(&printed(true, &ROWS)).unwrap();
        assert_eq!(parsed[1]["records"], 12_345);
        assert_eq!(printed(true, &[]), "[]\n");
    }

    #[test]
    fn a_closed_pipe_ends_the_command_without_a_failure() {
        let mut printer = Printer::to_writer(Box::new(Closed), false);
        let error = printer.line("x").unwrap_err();
        assert!(matches!(error, CliError::OutputClosed));
        assert_eq!(format!("{:?}", error.exit_code()), format!("{:?}", std::process::ExitCode::SUCCESS));
    }
}
