//! How answers are written: a table for people, JSON and YAML for programs.

use comfy_table::{ContentArrangement, Table, presets};
use proto_msgs::RequestCode;
use serde::Serialize;

use crate::{cli::Output, failure::Failure};

/// Writes an answer; `table` is only made if it is shown.
pub fn print<T: Serialize>(output: Output, answer: &T, table: impl FnOnce() -> String) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::of(RequestCode::Internal, error, "try -o json");
    match output {
        Output::Table => println!("{}", table()),
        Output::Json => println!("{}", serde_json::to_string_pretty(answer).map_err(|error| failed(&error))?),
        Output::Yaml => print!("{}", serde_saphyr::to_string(answer).map_err(|error| failed(&error))?),
    }
    Ok(())
}

/// Rows under headings, without frames, so that it can be cut and searched.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    table.add_rows(rows);
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// What is known, or a dash.
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
