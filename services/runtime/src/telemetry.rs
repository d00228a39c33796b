//! Log lines: one per change of state, to standard error, filtered by level.
//!
//! Values never reach a log line: no type that can hold one can be printed.

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// A filter that is not one.
#[derive(Debug, thiserror::Error)]
#[error("log filter {filter:?} is not valid: write a level such as info, or target=level,target=level")]
pub struct InvalidFilter {
    filter: String,
}

/// Starts logging. Called once, by `main`; a second call changes nothing.
pub fn init(filter: &str, format: LogFormat) -> Result<(), InvalidFilter> {
    let parsed = EnvFilter::try_new(filter).map_err(|_| InvalidFilter { filter: filter.to_owned() })?;
    let builder = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    // An error here means that logging has been started before.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}
