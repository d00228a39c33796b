//! Who calls: tokens of the emulator's own, and the challenge that tells a client where to get one.

pub mod assertion;
pub mod tokens;

use crate::error::ApiError;

/// Somebody with a good token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Place in the estate's list of identities.
    pub identity: usize,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    Vault,
    Management,
}

/// The addresses that appear in challenges, tokens and discovery documents.
#[derive(Debug, Clone)]
pub struct Authority {
    pub tenant: String,
    pub port: u16,
}

impl Authority {
    /// `https://login.localhost:PORT`.
    pub fn login(&self) -> String {
        format!("https://login.localhost:{}", self.port)
    }

    /// The tenant's address at the login host.
    pub fn authority(&self) -> String {
        format!("{}/{}", self.login(), self.tenant)
    }

    /// Where tokens are got.
    pub fn token_endpoint(&self) -> String {
        format!("{}/oauth2/v2.0/token", self.authority())
    }

    /// Who issues tokens.
    pub fn issuer(&self) -> String {
        format!("{}/v2.0", self.authority())
    }

    /// The audience of a token. It carries the port: one SDK compares hosts, another hosts with ports.
    pub fn resource(&self, audience: Audience) -> String {
        match audience {
            Audience::Vault => format!("https://vault.localhost:{}", self.port),
            Audience::Management => format!("https://management.localhost:{}", self.port),
        }
    }

    /// The audience that a scope or resource asks for, with or without `/.default` and a slash at the end.
    pub fn audience_of(&self, scope: &str) -> Option<Audience> {
        let resource = scope.strip_suffix("/.default").unwrap_or(scope).trim_end_matches('/');
        [Audience::Vault, Audience::Management].into_iter().find(|audience| self.resource(*audience) == resource)
    }

    /// The `WWW-Authenticate` header of a host.
    pub fn challenge(&self, audience: Audience) -> String {
        let authority = self.authority();
        match audience {
            Audience::Vault => {
                format!("Bearer authorization=\"{authority}\", resource=\"{}\"", self.resource(audience))
            }
            Audience::Management => format!(
                "Bearer authorization_uri=\"{authority}\", error=\"invalid_token\", error_description=\"The access token is \
                 missing or invalid.\""
            ),
        }
    }
}

/// Takes the token out of an `Authorization` header.
pub fn bearer(header: Option<&str>) -> Result<&str, ApiError> {
    let Some(header) = header else {
        return Err(unauthorized("AKV10000: Request is missing a Bearer or PoP token."));
    };
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(token.trim()),
        _ => Err(unauthorized("AKV10000: Request is missing a Bearer or PoP token.")),
    }
}

/// 401 of the data plane.
pub fn unauthorized(message: impl Into<String>) -> ApiError {
    ApiError::new(401, "Unauthorized", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> Authority {
        Authority { tenant: "t".to_owned(), port: 8443 }
    }

    #[test]
    fn the_resource_carries_the_port() {
        assert_eq!(
            authority().challenge(Audience::Vault),
            "Bearer authorization=\"https://login.localhost:8443/t\", resource=\"https://vault.localhost:8443\""
        );
    }

    #[test]
    fn a_scope_names_an_audience_of_this_emulator_only() {
        let authority = authority();
        assert_eq!(authority.audience_of("https://vault.localhost:8443/.default"), Some(Audience::Vault));
        assert_eq!(authority.audience_of("https://management.localhost:8443//.default"), Some(Audience::Management));
        assert_eq!(authority.audience_of("https://vault.azure.net/.default"), None);
        assert_eq!(authority.audience_of("https://vault.localhost/.default"), None);
    }

    #[test]
    fn a_header_without_a_bearer_token_is_refused() {
        assert_eq!(bearer(Some("bearer abc")), Ok("abc"));
        for bad in [None, Some("abc"), Some("Basic abc"), Some("Bearer ")] {
            assert_eq!(bearer(bad).unwrap_err().status, 401, "{bad:?}");
        }
    }
}
