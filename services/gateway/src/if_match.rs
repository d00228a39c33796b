//! `If-Match`: a change to what the client saw, and to nothing else.

use actix_web::{HttpRequest, http::header::IF_MATCH};
use proto_msgs::{RequestCode, Revision};

use crate::failure::Failure;

/// Which revisions a client wants to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// It did not say, or said `*`.
    Any,
    /// One of these tags.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// Refuses what is no list of tags: taken for absent, it would let a change through that was meant to be guarded.
    pub fn of(request: &HttpRequest) -> Result<Self, Failure> {
        let mut tags = Vec::new();
        for value in request.headers().get_all(IF_MATCH) {
            let text = value.to_str().map_err(|_| malformed("it is not ASCII"))?.trim();
            if text == "*" {
                return Ok(Self::Any);
            }
            for tag in text.split(',').map(str::trim) {
                let strong = tag.strip_prefix("W/").unwrap_or(tag);
                let is_quoted = strong.len() >= 2 && strong.starts_with('"') && strong.ends_with('"');
                if !is_quoted {
                    return Err(malformed(&format!("{tag} is not in quotes")));
                }
                tags.push(tag.to_owned());
            }
        }
        Ok(if tags.is_empty() { Self::Any } else { Self::OneOf(tags) })
    }

    /// The same where a change must say what it was made to; `*` is whatever is there.
    pub fn required(request: &HttpRequest) -> Result<Self, Failure> {
        if request.headers().contains_key(IF_MATCH) {
            return Self::of(request);
        }
        let fix = "read the config, and send its `ETag` as `If-Match`";
        Err(Failure::invalid("If-Match is missing, so it is not known what the change was made to", fix))
    }

    /// Refuses a change to another revision than the client saw.
    pub fn check(&self, revision: Revision) -> Result<(), Failure> {
        let is_meant = match self {
            Self::Any => true,
            // A weak tag never matches: nothing less than this very revision may be changed.
            Self::OneOf(tags) => tags.iter().any(|tag| *tag == format!("\"{revision}\"")),
        };
        if is_meant {
            return Ok(());
        }
        let detail = format!("it has another revision by now, \"{revision}\"");
        Err(Failure::new(RequestCode::RevisionMismatch, detail, "read it again, and repeat the change"))
    }
}

fn malformed(why: &str) -> Failure {
    Failure::invalid(format!("If-Match cannot be read: {why}"), "pass the `ETag` as it was read, with its quotes")
}

#[cfg(test)]
mod tests {
    use actix_web::{http::header::HeaderValue, test::TestRequest};

    use super::*;

    fn of(bytes: &[u8]) -> Result<IfMatch, Failure> {
        let value = HeaderValue::from_bytes(bytes).unwrap();
        IfMatch::of(&TestRequest::default().insert_header((IF_MATCH, value)).to_http_request())
    }

    #[test]
    fn only_the_revision_that_was_seen_may_be_changed() {
        assert_eq!(IfMatch::of(&TestRequest::default().to_http_request()).unwrap(), IfMatch::Any);
        for good in [&b"*"[..], b"\"7\"", b"\"1\", \"7\""] {
            assert!(of(good).unwrap().check(Revision(7)).is_ok());
        }
        for stale in [&b"\"1\""[..], b"W/\"7\"", b"\"17\""] {
            assert!(of(stale).unwrap().check(Revision(7)).is_err());
        }
    }

    #[test]
    fn where_it_is_required_it_must_be_said() {
        assert!(IfMatch::required(&TestRequest::default().to_http_request()).is_err());
        let any = TestRequest::default().insert_header((IF_MATCH, "*")).to_http_request();
        assert_eq!(IfMatch::required(&any).unwrap(), IfMatch::Any);
    }

    #[test]
    fn what_is_no_tag_is_refused_and_not_passed_over() {
        for bad in [&b"7"[..], b"\"", b"", b"\xff", b"\"1\",2"] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
