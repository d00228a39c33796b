//! Bodies that hold a value, in buffers that are wiped when they are dropped.
//!
//! An answer's value is taken out of the body's own bytes, because a JSON parser unescapes strings in a buffer that
//! nobody can wipe; a request's body is written by our own serialisation into one that is.

use std::io;

use azure_core::{Bytes, http::RequestContent};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::{Zeroize, Zeroizing};

use crate::SecretValue;

/// The body of an answer.
pub(super) struct Body(Bytes);

#[derive(Deserialize)]
struct Valued<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

impl Body {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What the field `value` holds; none: there is none, or the body is not what it should be.
    pub(super) fn value(&self) -> Option<SecretValue> {
        let valued: Valued<'_> = serde_json::from_slice(&self.0).ok()?;
        unescape(valued.value?.get())
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // Shared bytes are not ours alone: whoever holds them too is the SDK.
        if let Ok(mut bytes) = std::mem::take(&mut self.0).try_into_mut() {
            bytes.as_mut().zeroize();
        }
    }
}

/// A request's body in JSON, wiped once the HTTP client has let go of it.
pub(super) fn content<T, B: Serialize>(body: &B) -> serde_json::Result<RequestContent<T>> {
    let mut wiped = Wiped(Zeroizing::new(Vec::new()));
    serde_json::to_writer(&mut wiped, body)?;
    Ok(Bytes::from_owner(wiped.0).into())
}

/// Grows without leaving its old bytes behind.
struct Wiped(Zeroizing<Vec<u8>>);

impl io::Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A JSON string without its quotes and escapes; none: it is not one.
fn unescape(raw: &str) -> Option<SecretValue> {
    let mut rest = raw.strip_prefix('"')?.strip_suffix('"')?;
    // Unescaped text is never longer, so that nothing is moved while it grows.
    let mut text = Zeroizing::new(Vec::with_capacity(rest.len()));
    while let Some(at) = rest.find('\\') {
        text.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        let letter = match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => code_point(&mut rest)?,
            _ => return None,
        };
        text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    text.extend_from_slice(rest.as_bytes());
    Some(SecretValue::new(std::mem::take(&mut *text)))
}

/// What follows `\u`: four hex digits, or twice four for what does not fit sixteen bits.
fn code_point(rest: &mut &str) -> Option<char> {
    let high = unit(rest)?;
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high);
    }
    *rest = rest.strip_prefix("\\u")?;
    let low = unit(rest)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + low)
}

fn unit(rest: &mut &str) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use azure_core::http::Body as Sent;

    use super::*;

    fn read(json: &str) -> Option<SecretValue> {
        Body::new(Bytes::copy_from_slice(json.as_bytes())).value()
    }

    #[test]
    fn a_value_is_read_as_a_json_parser_would_read_it() {
        for text in ["", "plain", "a \"quoted\" \\ / line\r\n\ttab\u{8}\u{c}\u{1}", "ünïcödé 𝄞 \u{7f}"] {
            let (escaped, ascii) = (serde_json::json!({ "id": 1, "value": text }).to_string(), ascii(text));
            for json in [escaped, format!(r#"{{"value":"{ascii}","more":[]}}"#)] {
                assert!(read(&json) == Some(SecretValue::from_text(text.to_owned())), "{json}");
            }
        }
    }

    fn ascii(text: &str) -> String {
        text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
    }

    #[test]
    fn what_is_no_value_is_none() {
        for json in ["", "{}", r#"{"value":null}"#, r#"{"value":5}"#, r#"{"value":"\ud834"}"#, r#"{"value":"\q"}"#] {
            assert!(read(json).is_none(), "{json}");
        }
    }

    #[test]
    fn a_request_is_what_a_serialiser_writes_however_long_it_is() {
        let long = "\"é\n".repeat(10_000);
        let content: RequestContent<()> = content(&serde_json::json!({ "value": long })).unwrap();
        let Sent::Bytes(bytes) = Sent::from(content) else { panic!("bytes are sent") };
        assert_eq!(bytes, serde_json::json!({ "value": long }).to_string());
    }

    #[test]
    fn an_answer_that_nobody_else_holds_can_be_wiped() {
        // As the SDK collects a body: chunk by chunk into one buffer.
        let mut collected = Bytes::from(vec![b'x'; 100]).try_into_mut().unwrap();
        collected.extend_from_slice(&[b'y'; 5_000]);
        assert!(collected.freeze().try_into_mut().is_ok());
    }
}
