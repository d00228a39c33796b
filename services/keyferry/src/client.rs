//! The REST API, as the command line calls it.

use std::time::Duration;

use proto_msgs::{Problem, RequestCode, api::Page};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{cli::Server, failure::Failure};

/// Longest a call may take: creating a config looks two vaults up.
const DEADLINE: Duration = Duration::from_secs(45);
/// Pages followed of one list: 500 entries each.
const PAGES_MAX: usize = 2_000;

/// One gateway, with a token.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    pub fn new(server: &Server) -> Result<Self, Failure> {
        let base = server.server.trim_end_matches('/').to_owned();
        if reqwest::Url::parse(&base).ok().is_none_or(|url| !matches!(url.scheme(), "http" | "https")) {
            return Err(Failure::input(
                format!("`{base}` is not an address"),
                "write http://HOST:PORT in --server or KEYFERRY_SERVER",
            ));
        }
        let token = server.token.clone().ok_or_else(|| {
            let fix = "set KEYFERRY_TOKEN or --token; `keyferry token create` makes one";
            Failure::new(RequestCode::Unauthenticated, "no token is given", fix)
        })?;
        let http = reqwest::Client::builder().timeout(DEADLINE).build().map_err(|error| {
            Failure::of(RequestCode::Internal, &error, "check the proxy settings of the environment")
        })?;
        Ok(Self { http, base, token })
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, None).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: Option<Value>) -> Result<T, Failure> {
        self.call(Method::POST, path, body).await
    }

    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::DELETE, path, None).await
    }

    /// Every entry of a list, page by page. `path` has a query already.
    pub async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let page: Page<T> = self.get(&format!("{path}{cursor}")).await?;
            items.extend(page.items);
            match page.next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
        Err(Failure::new(RequestCode::Internal, "the list does not end", "narrow it with a filter"))
    }

    /// The address of a WebSocket of the gateway, and the token for it.
    pub fn socket(&self, path: &str) -> (String, &str) {
        (format!("ws{}{path}", self.base.trim_start_matches("http")), &self.token)
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T, Failure> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let unreachable = |error: reqwest::Error| {
            let fix = format!("check that a gateway runs at {}, or set KEYFERRY_SERVER", self.base);
            Failure::of(RequestCode::Unavailable, &error, fix)
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|_| self.stranger(status));
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(Failure::Refused(Box::new(problem))),
            Err(_) => Err(self.stranger(status)),
        }
    }

    fn stranger(&self, status: StatusCode) -> Failure {
        let detail = format!("{} answered {status}, and not as a Keyferry gateway does", self.base);
        Failure::new(RequestCode::Unavailable, detail, "check KEYFERRY_SERVER, and that both sides have one version")
    }
}

/// One segment of a path, escaped.
pub fn segment(text: &str) -> String {
    let mut url = reqwest::Url::parse("http://x/").unwrap_or_else(|_| unreachable!("a constant address is valid"));
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().push(text);
    }
    url.path().trim_start_matches('/').to_owned()
}

/// A query, escaped, of those parameters that are given.
pub fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let mut url = reqwest::Url::parse("http://x/").unwrap_or_else(|_| unreachable!("a constant address is valid"));
    url.query_pairs_mut().extend_pairs(pairs.iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_blanks_and_slashes_stay_one_segment() {
        assert_eq!(segment("prod-eu to prod-ne"), "prod-eu%20to%20prod-ne");
        assert_eq!(segment("a/b"), "a%2Fb");
        assert_eq!(query(&[("name", Some("a&b*")), ("status", None)]), "name=a%26b*");
    }
}
