//! The HTTP client that asks the gate of a write once more, where its body goes onto the wire.
//!
//! Between the policy that asks and the wire a request may wait: for a connection, for its handshake, or because the
//! process was stopped. So the body of a write is handed over only when the connection wants it, and not at all once
//! the gate is closed: a request that breaks off in front of its body has no effect. A write without a body, such as a
//! delete, has only the policy in front of it.

use std::future::Future;

use async_trait::async_trait;
use azure_core::{
    Bytes,
    error::ErrorKind,
    http::{
        AsyncRawResponse, HttpClient, Request,
        headers::{HeaderName, HeaderValue, Headers},
        request::Body,
    },
};
use futures::{TryStreamExt, stream};
use reqwest::header::CONTENT_LENGTH;

use crate::WriteGate;

tokio::task_local! {
    /// Of the write that this task makes: clients are handed a request and nothing of the call around it.
    static GATE: WriteGate;
}

/// The gate was closed.
#[derive(Debug, thiserror::Error)]
#[error("the time in which this attempt may write is over")]
pub(super) struct GateClosed;

/// Lets the client see the gate of what is sent.
pub(super) async fn behind<F: Future>(gate: WriteGate, sending: F) -> F::Output {
    GATE.scope(gate, sending).await
}

#[derive(Debug)]
pub(super) struct GatedClient(pub reqwest::Client);

#[async_trait]
impl HttpClient for GatedClient {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        match (GATE.try_with(Clone::clone), request.body()) {
            (Ok(gate), Body::Bytes(body)) if !body.is_empty() => self.write(request, body.clone(), gate).await,
            _ => self.0.execute_request(request).await,
        }
    }
}

impl GatedClient {
    async fn write(&self, request: &Request, body: Bytes, gate: WriteGate) -> azure_core::Result<AsyncRawResponse> {
        let unusable = |error| azure_core::Error::new(ErrorKind::Other, error);
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes())
            .map_err(|error| azure_core::Error::new(ErrorKind::Other, error))?;
        let mut builder = self.0.request(method, request.url().clone());
        for (name, value) in request.headers().iter() {
            builder = builder.header(name.as_str(), value.as_str());
        }
        let length = body.len();
        let when_wanted = stream::once(async move { if gate.is_open() { Ok(body) } else { Err(GateClosed) } });
        let mut sent = builder.body(reqwest::Body::wrap_stream(when_wanted)).build().map_err(unusable)?;
        // Known beforehand, so that it is not sent in chunks.
        sent.headers_mut().insert(CONTENT_LENGTH, length.into());
        let answer = self.0.execute(sent).await.map_err(|error| {
            let kind = if error.is_connect() { ErrorKind::Connection } else { ErrorKind::Io };
            azure_core::Error::new(kind, error)
        })?;
        let (status, headers) = (answer.status().as_u16().into(), headers(answer.headers()));
        let body = answer.bytes_stream().map_err(|error| azure_core::Error::new(ErrorKind::Io, error));
        Ok(AsyncRawResponse::new(status, headers, Box::pin(body)))
    }
}

/// Those that are text; Azure has no others.
fn headers(map: &reqwest::header::HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map {
        if let Ok(value) = value.to_str() {
            headers.insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_owned()));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use azure_core::http::{Method, Url};

    use super::{super::failure, *};

    const BODY: &str = "{\"value\":\"x\"}";

    /// Sends one write to a server that answers it, and gives what arrived there.
    async fn sent(gate: WriteGate) -> (azure_core::Result<AsyncRawResponse>, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/secrets/a", server.local_addr().unwrap())).unwrap();
        let arrived = thread::spawn(move || {
            let (mut connection, _) = server.accept().unwrap();
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                match connection.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => seen.extend_from_slice(&buffer[..count]),
                }
                if String::from_utf8_lossy(&seen).ends_with(BODY) {
                    let _ =
                        connection.write_all(b"HTTP/1.1 200 OK\r\nx-ms-request-id: r1\r\ncontent-length: 0\r\n\r\n");
                    break;
                }
            }
            String::from_utf8(seen).unwrap()
        });
        let mut request = Request::new(url, Method::Put);
        request.insert_header("x-test", "1");
        request.set_body(Bytes::from_static(BODY.as_bytes()));
        let client = GatedClient(reqwest::Client::builder().no_proxy().build().unwrap());
        let answer = behind(gate, client.execute_request(&request)).await;
        drop(client);
        (answer, arrived.join().unwrap())
    }

    #[tokio::test]
    async fn an_open_gate_lets_the_whole_request_through() {
        let (answer, arrived) = sent(WriteGate::new(|| true)).await;
        let answer = answer.unwrap();
        let name = HeaderName::from_static("x-ms-request-id");
        assert_eq!((u16::from(answer.status()), answer.headers().get_optional_str(&name)), (200, Some("r1")));
        let arrived = arrived.to_ascii_lowercase();
        assert!(
            arrived.contains(&format!("content-length: {}", BODY.len())) && arrived.contains("x-test: 1"),
            "{arrived}"
        );
        assert!(!arrived.contains("chunked") && arrived.ends_with(BODY), "{arrived}");
    }

    #[tokio::test]
    async fn a_gate_that_closed_while_the_request_waited_keeps_its_body_back() {
        let (answer, arrived) = sent(WriteGate::new(|| false)).await;
        let error = answer.unwrap_err();
        assert!(!arrived.contains(BODY), "{arrived}");
        assert!(failure::source::<GateClosed>(&error).is_some(), "{error:?}");
    }
}
