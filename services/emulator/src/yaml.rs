//! Reads YAML, and tells what is wrong with it in one line: the place, and words that name nothing of the parser's.
//!
//! The parser's own words are for programmers: they name its options and the types behind a key. Public for whoever reads
//! other files beside an estate: all are refused in the same words.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

/// A text that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Misread {
    pub line: u64,
    pub column: u64,
    pub message: String,
}

/// The value; otherwise what is wrong, and where.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Misread> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        Misread { line, column, message: words(&error).replace(char::is_control, " ") }
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser has dozens of errors, and few that a file of ours meets"
)]
fn words(error: &Error) -> String {
    let belongs = |shape: &str| format!("{} belongs here", named(shape));
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => words(error),
        Error::Eof { .. } => "the file is empty, or ends too early".to_owned(),
        Error::MultipleDocuments { .. } => "a file is one document, and another begins here".to_owned(),
        Error::DuplicateMappingKey { key, .. } => format!("the key `{}` is there twice", key.as_deref().unwrap_or("?")),
        Error::SerdeUnknownField { field, expected, .. } if expected.is_empty() => {
            format!("no key `{field}` belongs here")
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("`{field}` is not one of the keys {}", expected.join(", "))
        }
        Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("`{variant}` is not one of {}", expected.join(", "))
        }
        Error::Unexpected { expected: shape, .. } | Error::InvalidScalar { ty: shape, .. } => belongs(shape),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => belongs("scalar"),
        Error::NullIntoString { .. } => belongs("string scalar"),
        Error::UnknownAnchor { .. } => "no anchor of that name comes before this alias".to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an anchor must not stand for itself".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => "the file is too large, or nested too deeply".to_owned(),
        other => UserMessageFormatter.format_message(other).into_owned(),
    }
}

/// What the parser wanted, as whoever writes the file would say it.
fn named(shape: &str) -> &'static str {
    match shape {
        "mapping start" => "a block of keys and values",
        "sequence start" => "a list",
        "string scalar" => "a text",
        "boolean" => "true or false",
        "floating point" => "a number",
        number if number.starts_with(['i', 'u']) => "a whole number within reason",
        _ => "a word",
    }
}
