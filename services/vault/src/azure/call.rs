//! One call: its context, its deadline, its answer.

use std::{future::Future, sync::Arc};

use azure_core::http::{
    ClientMethodOptions, Context, Response,
    headers::{HeaderName, Headers},
    request::options::ClientRequestId,
};
use domain::timing::CALL_MAY_TAKE;
use proto_msgs::{CorrelationId, Timestamp, vault::Side};
use serde::de::DeserializeOwned;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::{body::Body, failure, transport::Sent};
use crate::{Answer, Operation, SecretValue, VaultError, WriteGate};

/// What a call is about: where, what, under which id, and behind which gate.
pub(super) struct Call {
    pub side: Side,
    pub vault: String,
    pub operation: Operation,
    sent: Arc<Sent>,
    context: Context<'static>,
}

impl Call {
    pub(super) fn new(
        side: Side,
        vault: &str,
        operation: Operation,
        correlation: CorrelationId,
        gate: Option<&WriteGate>,
    ) -> Self {
        let sent = Arc::new(Sent::default());
        let mut context =
            Context::new().with_value(ClientRequestId::from(correlation.to_string())).with_value(sent.clone());
        if let Some(gate) = gate {
            context.insert(gate.clone());
        }
        Self { side, vault: vault.to_owned(), operation, sent, context }
    }

    pub(super) fn context(&self) -> Context<'static> {
        self.context.clone()
    }

    pub(super) fn options(&self) -> ClientMethodOptions<'static> {
        ClientMethodOptions { context: self.context.clone() }
    }

    /// Whether the request was handed to the network.
    pub(super) fn was_sent(&self) -> bool {
        self.sent.get()
    }

    /// Makes the call and reads its answer as JSON. `T` holds no value.
    pub(super) async fn make<T, M, F>(
        &self,
        request: impl Future<Output = azure_core::Result<Response<M, F>>>,
    ) -> Result<Answer<T>, VaultError>
    where
        T: DeserializeOwned,
    {
        let answer = self.send(request).await?;
        let value = self.read(&answer)?;
        Ok(answer.map(|_| value))
    }

    /// Makes the call and reads its answer with the value in it.
    pub(super) async fn make_with_value<T, M, F>(
        &self,
        request: impl Future<Output = azure_core::Result<Response<M, F>>>,
    ) -> Result<Answer<(T, SecretValue)>, VaultError>
    where
        T: DeserializeOwned,
    {
        let answer = self.send(request).await?;
        let rest = self.read(&answer)?;
        let value = answer.value.value().ok_or_else(|| failure::unreadable(self, answer.request_id.clone()))?;
        Ok(answer.map(|_| (rest, value)))
    }

    async fn send<M, F>(
        &self,
        request: impl Future<Output = azure_core::Result<Response<M, F>>>,
    ) -> Result<Answer<Body>, VaultError> {
        let response = match tokio::time::timeout(CALL_MAY_TAKE, request).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure::of(self, &error)),
            Err(_) => return Err(failure::deadline(self)),
        };
        let (date, request_id) = read_headers(response.headers());
        Ok(Answer { value: Body::new(response.into_body().into()), date, request_id })
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer<Body>) -> Result<T, VaultError> {
        serde_json::from_slice(answer.value.bytes()).map_err(|_| failure::unreadable(self, answer.request_id.clone()))
    }
}

fn read_headers(headers: &Headers) -> (Timestamp, Option<String>) {
    let date = headers
        .get_optional_str(&HeaderName::from_static("date"))
        .and_then(time_of)
        // Without a date the same-second rule cannot be kept: as if read at the beginning of time, so it is read again.
        .unwrap_or_default();
    (date, headers.get_optional_str(&HeaderName::from_static("x-ms-request-id")).map(str::to_owned))
}

/// A time as headers have it.
pub(super) fn time_of(text: &str) -> Option<Timestamp> {
    let time = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
    Some(Timestamp::from_unix_seconds(time.unix_timestamp()))
}
