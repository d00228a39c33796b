//! Settings: how a process is started. One TOML file, unknown keys refused, checked before anything binds.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

/// What bad settings exit with (`EX_USAGE`).
pub const EXIT_CODE: u8 = 64;

/// Settings that cannot be used. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("settings file {} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("settings file {} is not valid: {message}", path.display())]
    Parse { path: PathBuf, message: String },
    #[error("setting {name}: {message}")]
    Value { name: &'static str, message: String },
}

/// Reads a settings file; without one, every setting has its default.
pub fn load<T: DeserializeOwned>(file: Option<&Path>) -> Result<T, SettingsError> {
    let path = file.map(Path::to_owned).unwrap_or_default();
    let text = match file {
        Some(file) => {
            fs::read_to_string(file).map_err(|source| SettingsError::Read { path: file.to_owned(), source })?
        }
        None => String::new(),
    };
    toml::from_str(&text).map_err(|error| SettingsError::Parse { path, message: in_one_line(&text, &error) })
}

/// Where it is wrong and why. The parser's own text shows the line with a caret below, which no log line can hold.
fn in_one_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        size: u32,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self { size: 7 }
        }
    }

    #[test]
    fn without_a_file_everything_has_its_default() {
        assert_eq!(load::<Sample>(None).unwrap().size, 7);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let file = std::env::temp_dir().join(format!("keyferry-settings-{}.toml", std::process::id()));
        fs::write(&file, "size = 1\nsise = 2\n").unwrap();
        let text = load::<Sample>(Some(&file)).unwrap_err().to_string();
        fs::remove_file(&file).unwrap();
        assert!(text.contains("sise") && text.contains("line 2: ") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn what_is_no_toml_is_said_in_one_line() {
        for bad in ["size = \n", "size = 1\n[", "= 1", "size = \"\n\"", "size = 1\nsize = 2\n"] {
            let error = toml::from_str::<Sample>(bad).unwrap_err();
            let text = in_one_line(bad, &error);
            assert!(text.starts_with("line ") && text.lines().count() == 1, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load::<Sample>(Some(Path::new("/nowhere/keyferry.toml"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/keyferry.toml"));
    }
}
