//! The headers of a stored message, written and read.

use async_nats::HeaderMap;
use proto_msgs::{Encoding, envelope::CONTENT_TYPE};

use crate::ports::{Append, Outgoing};

/// Read by people who follow one id through everything.
const CORRELATION: &str = "X-Correlation-Id";
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const EXPECTED_END: &str = "Nats-Expected-Last-Sequence";
const TTL: &str = "Nats-TTL";
const ROLLUP: &str = "Nats-Rollup";
/// Why a marker stands where a message was.
const MARKER_REASON: &str = "Nats-Marker-Reason";
const KV_OPERATION: &str = "KV-Operation";

pub(super) fn of_append(append: &Append) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, append.encoding.content_type());
    headers.insert(CORRELATION, append.correlation.to_string());
    if let Some(expected) = append.expected {
        headers.insert(EXPECTED, expected.to_string());
    }
    if let Some(end) = append.expected_end {
        headers.insert(EXPECTED_END, end.to_string());
    }
    if let Some(ttl) = append.ttl {
        // Whole seconds; rounded up, so that nothing goes early.
        headers.insert(TTL, format!("{}s", ttl.as_millis().div_ceil(1000).max(1)));
    }
    if append.rollup {
        headers.insert(ROLLUP, "sub");
    }
    headers
}

pub(super) fn of_outgoing(message: &Outgoing) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, message.encoding.content_type());
    if let Some(correlation) = message.correlation {
        headers.insert(CORRELATION, correlation.to_string());
    }
    headers
}

/// MessagePack where nothing, or nothing known, is said: the decoder then names what is wrong.
pub(super) fn encoding(headers: Option<&HeaderMap>) -> Encoding {
    headers
        .and_then(|headers| headers.get(CONTENT_TYPE))
        .and_then(|text| Encoding::from_content_type(text.as_str()))
        .unwrap_or_default()
}

pub(super) fn is_marker(headers: Option<&HeaderMap>) -> bool {
    headers.is_some_and(|headers| {
        headers.get(MARKER_REASON).is_some() || headers.get(KV_OPERATION).is_some_and(|op| op.as_str() != "PUT")
    })
}
