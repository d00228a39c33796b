//! A value that may not leave memory.

use std::fmt;

use zeroize::Zeroizing;

/// A secret value, private key, PFX or key backup: redacted when printed, wiped on drop.
///
/// Deliberately absent: `Display`, `Serialize`, `Clone`, and any digest or length of the content.
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub fn from_text(text: String) -> Self {
        Self::new(text.into_bytes())
    }

    /// The bytes, for the one call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// As text; none if it is not UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl PartialEq for SecretValue {
    /// Not constant in time: both values are in this process already, and nobody outside sees how long it takes.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for SecretValue {}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_printed() {
        assert!(!format!("{:?}", SecretValue::from_text("hunter2".to_owned())).contains("hunter2"));
    }
}
