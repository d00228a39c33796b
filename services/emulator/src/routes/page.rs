//! Pages of a listing: at most 25 entries, a link to the next, and now and then an empty first page.
//!
//! A page goes on after the last name it gave, so that what is created or deleted meanwhile neither doubles nor hides
//! anything else. The marker is opaque to clients, as Azure's is.

use std::sync::atomic::Ordering;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{error::ApiError, routes::Query, world::World};

/// Azure gives at most this many.
pub const MAX_PAGE: usize = 25;

#[derive(Serialize, Deserialize)]
struct Marker {
    #[serde(rename = "NextMarker")]
    next: String,
}

/// What a client asked for.
#[derive(Debug)]
pub struct Page {
    pub size: usize,
    /// Where the page before ended; none: this is the first.
    pub cursor: Option<String>,
}

impl Page {
    pub fn of(query: &Query) -> Result<Self, ApiError> {
        let size =
            match query.get("maxresults") {
                None => MAX_PAGE,
                Some(text) => text.parse().ok().filter(|size| (1..=MAX_PAGE).contains(size)).ok_or_else(|| {
                    ApiError::bad_parameter(format!("maxresults must be 1 to {MAX_PAGE}, not {text}"))
                })?,
            };
        let cursor = query.get("$skiptoken").map(decode).transpose()?;
        Ok(Self { size, cursor })
    }

    /// Whether this page shall be empty although there is more.
    pub fn is_empty_on_demand(&self, world: &World) -> bool {
        self.cursor.is_none() && world.knobs.empty_first_pages.load(Ordering::Relaxed)
    }

    /// The answer: these entries, going on after `next` if there is one.
    pub fn answer(&self, base: &str, path: &str, query: &Query, entries: Vec<Value>, next: Option<&str>) -> Value {
        let link = next.map(|next| {
            let marker = encode(next);
            let version = query.get("api-version").unwrap_or_default();
            let pending =
                query.get("includepending").map(|value| format!("&includePending={value}")).unwrap_or_default();
            format!("{base}/{path}?api-version={version}&$skiptoken={marker}&maxresults={}{pending}", self.size)
        });
        json!({ "value": entries, "nextLink": link })
    }
}

/// Takes a page out of an ordered sequence: the entries, and the name to go on after if there are more.
pub fn take<T>(entries: impl Iterator<Item = (String, T)>, size: usize) -> (Vec<T>, Option<String>) {
    let mut entries = entries.peekable();
    let mut page = Vec::with_capacity(size);
    let mut last = None;
    while page.len() < size {
        let Some((name, entry)) = entries.next() else { return (page, None) };
        last = Some(name);
        page.push(entry);
    }
    let more = entries.peek().is_some();
    (page, last.filter(|_| more))
}

/// The marker for what comes after `next`.
pub fn encode(next: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!(Marker { next: next.to_owned() }).to_string())
}

/// What a marker stands for.
pub fn decode(token: &str) -> Result<String, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let marker = bytes.and_then(|bytes| serde_json::from_slice::<Marker>(&bytes).ok());
    marker.map(|marker| marker.next).ok_or_else(|| ApiError::bad_parameter("The $skiptoken is not valid."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> impl Iterator<Item = (String, usize)> {
        (0..count).map(|n| (format!("n{n:03}"), n))
    }

    #[test]
    fn a_full_last_page_has_no_next() {
        assert_eq!(take(names(50).skip(25), 25).1, None);
        assert_eq!(take(names(51), 25), ((0..25).collect(), Some("n024".to_owned())));
        assert_eq!(take(names(0), 25), (vec![], None));
    }

    #[test]
    fn a_marker_survives_its_way_through_the_client() {
        assert_eq!(decode(&encode("db-password")).unwrap(), "db-password");
        assert!(decode("%%%").is_err() && decode("AAAA").is_err());
    }
}
