//! The REST API, as the command line calls it.
//!
//! An endpoint needs nothing here: a command names its path with [`path`] and what it answers with as a type.

use std::{fmt::Write, time::Duration};

use proto_msgs::{
    CorrelationId, Problem, RequestCode, Revision, SetHash,
    api::{PAGE_MAX, Page},
};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use crate::{failure::Failure, invocation::Server};

/// The header that carries the correlation id, both ways.
pub const CORRELATION: &str = "X-Correlation-Id";
/// Longest a call may take: creating a config looks two vaults up.
const DEADLINE: Duration = Duration::from_secs(45);
/// Pages followed of one list: 500 entries each.
pub const PAGES_MAX: usize = 2_000;

/// A whole list.
pub struct Listing<T> {
    pub items: Vec<T>,
    /// Stands for all of it, where the list has one.
    pub hash: Option<SetHash>,
}

/// One gateway, with a token.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
    correlation: CorrelationId,
}

impl Client {
    pub fn new(server: &Server, correlation: CorrelationId) -> Result<Self, Failure> {
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
        let token = token.trim().to_owned();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let fix = "give it as `keyferry token create` printed it, on one line";
            return Err(Failure::input("the token has characters that no token has, or none", fix));
        }
        let http = reqwest::Client::builder().timeout(DEADLINE).build().map_err(|error| {
            Failure::of(RequestCode::Internal, &error, "check the proxy settings of the environment")
        })?;
        Ok(Self { http, base, token, correlation })
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(self.request(Method::GET, path)).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(self.request(Method::POST, path)).await
    }

    pub async fn post_body<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.call(self.request(Method::POST, path).json(body)).await
    }

    /// Puts a body in place of what has this revision.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        seen: Revision,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.call(self.request(Method::PUT, path).header("If-Match", format!("\"{seen}\"")).json(body)).await
    }

    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(self.request(Method::DELETE, path)).await
    }

    /// Every entry of a list that passes the filters given, page by page.
    pub async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        filters: &[(&str, Option<&str>)],
    ) -> Result<Vec<T>, Failure> {
        self.pages(path, filters, |_, _| Ok(())).await
    }

    /// The same, where somebody decides about all of it: a list that changes while it is read is none.
    pub async fn listing<T: DeserializeOwned>(
        &self,
        path: &str,
        filters: &[(&str, Option<&str>)],
    ) -> Result<Listing<T>, Failure> {
        let mut hash = None;
        let items = self.pages(path, filters, |is_first, of_page| {
            if is_first {
                hash = of_page;
            }
            if hash == of_page {
                return Ok(());
            }
            Err(Failure::new(RequestCode::StaleView, "the list changed while it was read", "list it again"))
        });
        let items = items.await?;
        Ok(Listing { items, hash })
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        filters: &[(&str, Option<&str>)],
        mut look: impl FnMut(bool, Option<SetHash>) -> Result<(), Failure>,
    ) -> Result<Vec<T>, Failure> {
        let (mut items, mut cursor) = (Vec::new(), None);
        let limit = PAGE_MAX.to_string();
        for _ in 0..PAGES_MAX {
            let paging = [("limit", Some(limit.as_str())), ("cursor", cursor.as_deref())];
            let asked: Vec<_> = filters.iter().chain(&paging).copied().collect();
            let page: Page<T> = self.get(&format!("{path}?{}", query(&asked))).await?;
            look(cursor.is_none(), page.hash)?;
            items.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(items),
            }
        }
        Err(Failure::new(RequestCode::Internal, "the list does not end", "narrow it with a filter"))
    }

    /// The address of a WebSocket of the gateway, and the headers for it.
    pub fn socket(&self, path: &str) -> (String, [(&'static str, String); 2]) {
        let headers =
            [("Authorization", format!("Bearer {}", self.token)), (CORRELATION, self.correlation.to_string())];
        (format!("ws{}{path}", self.base.trim_start_matches("http")), headers)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.bearer_auth(&self.token).header(CORRELATION, self.correlation.to_string())
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
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
        Err(self.refused(status, &bytes))
    }

    /// What a refusal's body says.
    pub fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => Failure::Refused(Box::new(problem)),
            Err(_) => self.stranger(status),
        }
    }

    fn stranger(&self, status: StatusCode) -> Failure {
        let detail = format!("{} answered {status}, and not as a Keyferry gateway does", self.base);
        Failure::new(RequestCode::Unavailable, detail, "check KEYFERRY_SERVER, and that both sides have one version")
    }
}

/// A path of the API, each segment escaped.
pub fn path(segments: &[&str]) -> String {
    let mut path = "/api/v1".to_owned();
    for segment in segments {
        path.push('/');
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                path.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
    path
}

/// A query, escaped, of those parameters that are given.
pub fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let mut url = reqwest::Url::parse("http://x/").expect("a constant address is valid");
    url.query_pairs_mut().extend_pairs(pairs.iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_carries_the_correlation_id() {
        // Other tests of this process may have done so already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Server { server: "http://127.0.0.1:1/".to_owned(), token: Some("t".to_owned()) };
        let correlation = CorrelationId::from_random(7);
        let client = Client::new(&server, correlation).unwrap();
        let request = client.request(Method::GET, "/x").build().unwrap();
        assert_eq!(request.headers()[CORRELATION].to_str().unwrap(), correlation.to_string());
        let (address, headers) = client.socket("/x");
        assert_eq!(address, "ws://127.0.0.1:1/x");
        assert!(headers.contains(&(CORRELATION, correlation.to_string())));
    }

    #[test]
    fn names_with_blanks_and_slashes_stay_one_segment() {
        assert_eq!(path(&["configs", "prod-eu to prod-ne"]), "/api/v1/configs/prod-eu%20to%20prod-ne");
        assert_eq!(path(&["configs", "a/b", "sync"]), "/api/v1/configs/a%2Fb/sync");
        assert_eq!(query(&[("name", Some("a&b*")), ("status", None)]), "name=a%26b*");
    }
}
