//! The HTTP client under every Azure client, and the policies around it.

use std::{fs, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use azure_core::{
    error::ErrorKind,
    http::{
        ClientOptions, Context, Method, Request, RetryOptions, Transport,
        headers::AUTHORIZATION,
        policies::{Policy, PolicyResult},
    },
};
use domain::timing::CALL_MAY_TAKE;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{
    gated::{self, GateClosed, GatedClient},
    settings::{AzureSettings, SettingsError},
};
use crate::WriteGate;

/// Idle connections kept per vault: as many as a worker has attempts in flight.
const IDLE_CONNECTIONS: usize = 256;

/// What every client is made with.
#[derive(Clone)]
pub(super) struct Connection {
    pub transport: Transport,
    pub plain: reqwest::Client,
    /// For the machine's own managed identity endpoint and nothing else: it speaks plain HTTP, past any proxy.
    local: Transport,
}

impl Connection {
    pub(super) fn new(settings: &AzureSettings) -> Result<Self, SettingsError> {
        // The first of several callers in a process wins; they all install the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .timeout(CALL_MAY_TAKE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(file) = &settings.ca_file {
            let pem = fs::read(file).map_err(|error| {
                SettingsError::value("ca_file", format!("{} cannot be read: {error}", file.display()))
            })?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| SettingsError::value("ca_file", format!("{} is not PEM: {error}", file.display())))?;
            builder = builder.tls_certs_only(certificates);
        }
        if settings.resolve_localhost {
            builder = builder.no_proxy().dns_resolver(Arc::new(LocalhostResolver));
        }
        let plain = builder.build().map_err(SettingsError::Client)?;
        let local = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let local = local.build().map_err(SettingsError::Client)?;
        let transport = Transport::new(Arc::new(GatedClient(plain.clone())));
        Ok(Self { transport, plain, local: Transport::new(Arc::new(local)) })
    }

    pub(super) fn options(&self) -> ClientOptions {
        ClientOptions {
            transport: Some(self.transport.clone()),
            // Retried by the coordinator, which knows the budget; and the SDK's own retry of a cold write loses its body.
            retry: RetryOptions::none(),
            per_try_policies: vec![Arc::new(GatePolicy)],
            ..Default::default()
        }
    }

    /// For the endpoint that gives out tokens.
    pub(super) fn token_options(&self) -> ClientOptions {
        ClientOptions { per_try_policies: vec![Arc::new(OutagePolicy)], ..self.options() }
    }

    /// For the endpoint that gives out tokens of a managed identity.
    pub(super) fn local_options(&self) -> ClientOptions {
        ClientOptions { transport: Some(self.local.clone()), ..self.token_options() }
    }
}

/// Tells an endpoint that is not well from one that says no: the credentials look at an answer's words only.
#[derive(Debug)]
struct OutagePolicy;

#[async_trait]
impl Policy for OutagePolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let response = next[0].send(ctx, request, &next[1..]).await?;
        match u16::from(response.status()) {
            status @ (408 | 429 | 500..) => {
                let host = request.url().host_str().unwrap_or_default().to_owned();
                Err(azure_core::Error::with_message(ErrorKind::Io, format!("{host} answered with {status}")))
            }
            _ => Ok(response),
        }
    }
}

/// Asks the gate in the call's context once the token is there, and hands it on to the client.
#[derive(Debug)]
struct GatePolicy;

/// In a call's context: set once its request has been handed to the network with a token.
#[derive(Debug, Default)]
pub(super) struct Sent(std::sync::atomic::AtomicBool);

impl Sent {
    pub(super) fn get(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Acquire)
    }
}

#[async_trait]
impl Policy for GatePolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let gate = ctx.value::<WriteGate>().filter(|_| request.method() != Method::Get);
        if gate.is_some_and(|gate| !gate.is_open()) {
            return Err(azure_core::Error::new(ErrorKind::Other, GateClosed));
        }
        // The first request of a client is a probe without token and body, which nobody obeys.
        let is_authorised = request.headers().get_optional_str(&AUTHORIZATION).is_some();
        if let Some(sent) = ctx.value::<Arc<Sent>>().filter(|_| is_authorised) {
            sent.0.store(true, std::sync::atomic::Ordering::Release);
        }
        let sending = next[0].send(ctx, request, &next[1..]);
        match gate {
            Some(gate) => gated::behind(gate.clone(), sending).await,
            None => sending.await,
        }
    }
}

/// Hosts under `localhost` are this machine; every other one is looked up as usual.
struct LocalhostResolver;

impl Resolve for LocalhostResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str();
            if host == "localhost" || host.ends_with(".localhost") {
                let here: Addrs = Box::new(std::iter::once(SocketAddr::from(([127, 0, 0, 1], 0))));
                return Ok(here);
            }
            let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
