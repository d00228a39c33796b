//! What Azure refuses before it looks at the vault: names, sizes, tags.

use std::collections::BTreeMap;

use crate::error::ApiError;

/// Azure: "25 KB".
pub const MAX_SECRET_BYTES: usize = 25 * 1_024;
/// Azure: characters of a content type.
const MAX_CONTENT_TYPE: usize = 255;
/// Azure: tags of one item.
const MAX_TAGS: usize = 15;
/// Azure: characters of a tag's name and of its value.
const MAX_TAG: usize = 512;
/// Azure: characters of an item's name.
const MAX_NAME: usize = 127;

/// Tags of an item.
pub type Tags = BTreeMap<String, String>;

/// The name of an item.
pub fn name(name: &str) -> Result<(), ApiError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(ApiError::bad_parameter(format!("The request URI contains an invalid name: {name}")))
}

/// The value of a secret.
pub fn secret_value(value: &str) -> Result<(), ApiError> {
    if value.len() <= MAX_SECRET_BYTES {
        return Ok(());
    }
    Err(ApiError::bad_parameter(format!(
        "The secret value is too large. The maximum size allowed is {MAX_SECRET_BYTES} bytes."
    )))
}

/// The content type of a secret.
pub fn content_type(text: Option<&str>) -> Result<(), ApiError> {
    match text {
        Some(text) if text.chars().count() > MAX_CONTENT_TYPE => Err(ApiError::bad_parameter(format!(
            "Property contentType exceeds the maximum length of {MAX_CONTENT_TYPE} characters."
        ))),
        _ => Ok(()),
    }
}

/// The tags of an item.
pub fn tags(tags: Option<&Tags>) -> Result<(), ApiError> {
    let Some(tags) = tags else { return Ok(()) };
    if tags.len() > MAX_TAGS {
        return Err(ApiError::bad_parameter(format!("Too many tags. The maximum number of tags is {MAX_TAGS}.")));
    }
    let too_long = |text: &String| text.chars().count() > MAX_TAG;
    match tags.iter().find(|(name, value)| too_long(name) || too_long(value)) {
        Some(_) => Err(ApiError::bad_parameter(format!(
            "A tag name or value exceeds the maximum length of {MAX_TAG} characters."
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_1_to_127_letters_digits_and_hyphens() {
        for good in ["a", "A-1", &"x".repeat(127)] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "a_b", "a.b", "ä", &"x".repeat(128)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bounds_hold_to_the_last_byte() {
        assert!(secret_value(&"x".repeat(MAX_SECRET_BYTES)).is_ok());
        assert!(secret_value(&"x".repeat(MAX_SECRET_BYTES + 1)).is_err());
        assert!(content_type(Some(&"x".repeat(255))).is_ok() && content_type(Some(&"x".repeat(256))).is_err());
        let many = |count: usize| (0..count).map(|n| (n.to_string(), String::new())).collect::<Tags>();
        assert!(tags(Some(&many(15))).is_ok() && tags(Some(&many(16))).is_err());
        assert!(tags(Some(&Tags::from([("x".repeat(512), "y".repeat(513))]))).is_err());
    }
}
