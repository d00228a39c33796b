//! How answers are written: a table for people, JSON and YAML for programs; and how the user is told anything else.
//!
//! Invariant: a reader that has left ends the command quietly. So nothing else in this crate prints.

use std::{
    fmt::Display,
    io::{ErrorKind, Write, stderr, stdout},
};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use proto_msgs::RequestCode;
use serde::Serialize;

use crate::failure::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
    Yaml,
}

/// Writes an answer; `table` is only made if it is shown.
pub fn print<T: Serialize>(output: Output, answer: &T, table: impl FnOnce() -> String) -> Result<(), Failure> {
    match output {
        Output::Table => line(table()),
        Output::Json => line(serde_json::to_string_pretty(answer).map_err(|error| unwritable(&error))?),
        Output::Yaml => write(&yaml(answer)?),
    }
}

/// Writes one answer of many, as they come: a line or, in YAML, a document each.
pub fn print_next<T: Serialize>(output: Output, answer: &T, table: impl FnOnce() -> String) -> Result<(), Failure> {
    match output {
        Output::Table => line(table()),
        Output::Json => line(serde_json::to_string(answer).map_err(|error| unwritable(&error))?),
        Output::Yaml => write(&format!("---\n{}", yaml(answer)?)),
    }
}

fn yaml<T: Serialize>(answer: &T) -> Result<String, Failure> {
    serde_saphyr::to_string(answer).map_err(|error| unwritable(&error))
}

fn unwritable(error: &dyn std::error::Error) -> Failure {
    Failure::of(RequestCode::Internal, error, "choose another format with -o")
}

/// Writes a line to standard output.
pub fn line(text: impl Display) -> Result<(), Failure> {
    write(&format!("{text}\n"))
}

fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => {
            let detail = format!("standard output cannot be written: {error}");
            Err(Failure::new(RequestCode::Unavailable, detail, "check where it goes to, and that there is room"))
        }
    }
}

/// Tells the user something on standard error.
pub fn tell(text: impl Display) {
    // Where that is closed, nobody is left to be told.
    let _ = writeln!(stderr().lock(), "{text}");
}

/// Rows under headings, without frames, so that it can be cut and searched.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A text of Azure's or of a page, where there is one line for it.
pub fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

/// Names and what they are, one a line.
pub fn list(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect::<Vec<_>>().join("\n")
}

/// What is known, or a dash.
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_begins_in_the_first_column_and_ends_with_its_last_word() {
        let text = table(&["A", "BB"], [vec!["long".to_owned(), "x".to_owned()]]);
        assert_eq!(text, "A     BB\nlong  x");
        assert_eq!(list(&[("a", "1".to_owned()), ("bbb", "2".to_owned())]), "a    1\nbbb  2");
    }
}
