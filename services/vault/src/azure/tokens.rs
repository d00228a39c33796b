//! Tokens out of a chain of credentials, kept until shortly before they end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    http::{ClientMethodOptions, Context, request::options::ClientRequestId},
};
use time::OffsetDateTime;
use tokio::sync::Mutex;

/// A token this close to its end is replaced.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// One credential of a chain.
#[derive(Debug)]
pub(super) struct Member {
    credential: Arc<dyn TokenCredential>,
    /// Longest it is waited for; none: as long as the call may take. One that is only waited for so long may well not
    /// be there, so that its silence says nothing.
    patience: Option<Duration>,
}

impl Member {
    pub(super) fn new(credential: Arc<dyn TokenCredential>) -> Self {
        Self { credential, patience: None }
    }

    pub(super) fn impatient(credential: Arc<dyn TokenCredential>, patience: Duration) -> Self {
        Self { credential, patience: Some(patience) }
    }

    async fn ask(
        &self,
        scopes: &[&str],
        options: TokenRequestOptions<'_>,
    ) -> Result<azure_core::Result<AccessToken>, tokio::time::error::Elapsed> {
        let asked = self.credential.get_token(scopes, Some(options));
        match self.patience {
            Some(patience) => tokio::time::timeout(patience, asked).await,
            None => Ok(asked.await),
        }
    }
}

/// No member gave a token.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct NoToken {
    /// Whoever gives them out could not be reached, or was not well: the next call may get one.
    pub is_transient: bool,
    message: String,
}

/// Asks its members in order, and remembers the token. One request at a time: a crowd of first calls makes one.
#[derive(Debug)]
pub(super) struct Tokens {
    members: Vec<Member>,
    tokens: Mutex<HashMap<String, AccessToken>>,
}

impl Tokens {
    pub(super) fn new(members: Vec<Member>) -> Self {
        Self { members, tokens: Mutex::new(HashMap::new()) }
    }

    async fn fetch(&self, scopes: &[&str], options: &TokenRequestOptions<'_>) -> Result<AccessToken, NoToken> {
        let (mut messages, mut is_transient) = (Vec::new(), false);
        for member in &self.members {
            match member.ask(scopes, own(options)).await {
                Ok(Ok(token)) => return Ok(token),
                Ok(Err(error)) => {
                    is_transient |= member.patience.is_none() && is_outage(&error);
                    messages.push(error.to_string());
                }
                Err(_) => messages.push("no managed identity answered".to_owned()),
            }
        }
        Err(NoToken { is_transient, message: messages.join("; ") })
    }
}

#[async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let scope = scopes.join(" ");
        let mut tokens = self.tokens.lock().await;
        #[expect(clippy::disallowed_methods, reason = "a token's end is told in the wall clock's time")]
        let now = OffsetDateTime::now_utc();
        if let Some(token) = tokens.get(&scope)
            && token.expires_on > now + RENEW_BEFORE
        {
            return Ok(token.clone());
        }
        let token = self.fetch(scopes, &options.unwrap_or_default()).await;
        let token = token.map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))?;
        tokens.insert(scope, token.clone());
        Ok(token)
    }
}

/// The call's id and nothing else of its context: the call's gate is not for the request that gets the token.
fn own(options: &TokenRequestOptions<'_>) -> TokenRequestOptions<'static> {
    let mut context = Context::new();
    if let Some(id) = options.method_options.context.value::<ClientRequestId>() {
        context.insert(id.clone());
    }
    TokenRequestOptions { method_options: ClientMethodOptions { context } }
}

/// Whether a credential failed because the endpoint did, not because of who asks.
fn is_outage(error: &azure_core::Error) -> bool {
    let mut current: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = current {
        if let Some(error) = error.downcast_ref::<azure_core::Error>()
            && matches!(error.kind(), ErrorKind::Connection | ErrorKind::Io)
        {
            return true;
        }
        current = error.source();
    }
    false
}
