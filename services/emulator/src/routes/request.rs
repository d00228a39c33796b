//! A request as it is served: apart from its connection, because serving it outlives the client.

use std::net::IpAddr;

use actix_web::{
    HttpRequest,
    http::{
        Method, Uri,
        header::{self, HeaderName, HeaderValue},
    },
    web,
};

use crate::error::ApiError;

/// What a call needs of a request.
pub struct Request {
    pub method: Method,
    /// In lower case and without its port.
    pub host: String,
    pub peer: Option<IpAddr>,
    pub body: web::Bytes,
    uri: Uri,
    authorization: Option<HeaderValue>,
    /// A header that may be there once and is there more often.
    repeated: Option<HeaderName>,
}

/// Headers of which a call goes by one: with two, which of them counts would be anybody's guess.
const SINGLE: [HeaderName; 3] = [header::HOST, header::AUTHORIZATION, header::CONTENT_TYPE];

impl Request {
    pub fn new(http: &HttpRequest, body: web::Bytes) -> Self {
        Self {
            method: http.method().clone(),
            host: host(http),
            peer: http.peer_addr().map(|address| address.ip()),
            body,
            uri: http.uri().clone(),
            authorization: http.headers().get(header::AUTHORIZATION).cloned(),
            repeated: SINGLE.into_iter().find(|name| http.headers().get_all(name).nth(1).is_some()),
        }
    }

    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The parts of the path that are not empty.
    pub fn segments(&self) -> Vec<&str> {
        self.path().split('/').filter(|segment| !segment.is_empty()).collect()
    }

    pub fn query(&self) -> Query {
        Query::parse(self.uri.query().unwrap_or_default())
    }

    /// Refuses a call that says twice what can be said once, even where both say the same.
    pub fn check(&self) -> Result<(), ApiError> {
        match &self.repeated {
            Some(name) => Err(ApiError::bad_parameter(format!("The header {name} is in the request more than once."))),
            None => Ok(()),
        }
    }

    /// The `Authorization` header.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref()?.to_str().ok()
    }
}

fn host(http: &HttpRequest) -> String {
    let header = http.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| http.uri().host()).unwrap_or_default();
    host.rsplit_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase()
}

/// The query of a request, decoded, with names in lower case.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        Self(pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned())).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
