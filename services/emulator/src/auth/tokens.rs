//! Access tokens: issued at the token endpoint, checked on every call.
//!
//! Real RS256 signatures over the claims Azure uses. A token that was checked once is remembered until it ends, because
//! clients send the same one thousands of times. Times go by the host's clock. Deliberately absent: refresh tokens,
//! which client credentials do not get.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicI64, Ordering},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use dashmap::DashMap;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    auth::{Audience, Authority, Caller, unauthorized},
    crypto::PrivateKey,
    error::{ApiError, EmulatorError},
    estate::IdentitySpec,
};

/// Azure's tokens live about an hour.
const DEFAULT_LIFETIME_S: i64 = 3_599;
/// Clocks of the two sides may differ by this much.
const LEEWAY_S: i64 = 300;
/// Checked tokens kept; more means that clients do not cache theirs.
const MAX_REMEMBERED: usize = 4_096;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    appid: String,
    idtyp: String,
    oid: String,
    sub: String,
    tid: String,
    uti: String,
    ver: String,
}

#[derive(Debug, Clone, Copy)]
struct Checked {
    caller: Caller,
    audience: Audience,
    nbf: i64,
    exp: i64,
}

/// A token with its end, in seconds since 1970.
#[derive(Debug)]
pub struct Issued {
    pub token: String,
    pub expires_on: i64,
    pub expires_in: i64,
}

/// Issues and checks tokens.
pub struct Tokens {
    authority: Authority,
    encoding: EncodingKey,
    decoding: DecodingKey,
    jwk: Value,
    kid: String,
    clients: HashMap<String, usize>,
    checked: DashMap<String, Checked>,
    lifetime_s: AtomicI64,
}

impl Tokens {
    pub fn new(authority: Authority, key: &PrivateKey, identities: &[IdentitySpec]) -> Result<Self, EmulatorError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| EmulatorError::TokenKey(error);
        let der = key.to_pkcs8_der().map_err(|error| failed(error.into()))?;
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", wrap(&STANDARD.encode(&*der)));
        let encoding = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|error| failed(error.into()))?;
        let public = key.public_jwk();
        let (Some(n), Some(e)) = (&public.n, &public.e) else {
            return Err(failed("the key is not an RSA key".into()));
        };
        let decoding = DecodingKey::from_rsa_components(n, e).map_err(|error| failed(error.into()))?;
        let kid = n.chars().take(27).collect::<String>();
        let jwk = json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e });
        let place = |(place, identity): (usize, &IdentitySpec)| (identity.client_id.to_ascii_lowercase(), place);
        Ok(Self {
            authority,
            encoding,
            decoding,
            jwk,
            kid,
            clients: identities.iter().enumerate().map(place).collect(),
            checked: DashMap::new(),
            lifetime_s: AtomicI64::new(DEFAULT_LIFETIME_S),
        })
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The key set that clients may check tokens with.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk] })
    }

    pub fn lifetime_s(&self) -> i64 {
        self.lifetime_s.load(Ordering::Relaxed)
    }

    /// How long tokens live that are issued from now on.
    pub fn set_lifetime_s(&self, seconds: i64) {
        self.lifetime_s.store(seconds, Ordering::Relaxed);
    }

    /// The place of the identity with this client id.
    pub fn client(&self, client_id: &str) -> Option<usize> {
        self.clients.get(&client_id.to_ascii_lowercase()).copied()
    }

    /// Issues a token; `now` is the host's clock.
    pub fn issue(&self, identity: &IdentitySpec, audience: Audience, now: i64) -> Result<Issued, ApiError> {
        let expires_in = self.lifetime_s();
        let claims = Claims {
            aud: self.authority.resource(audience),
            iss: self.authority.issuer(),
            iat: now,
            nbf: now,
            exp: now + expires_in,
            appid: identity.client_id.clone(),
            idtyp: "app".to_owned(),
            oid: object_id(&identity.client_id),
            sub: object_id(&identity.client_id),
            tid: self.authority.tenant.clone(),
            uti: hex::encode(rand::random::<[u8; 12]>()),
            ver: "2.0".to_owned(),
        };
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::RS256) };
        let token = jsonwebtoken::encode(&header, &claims, &self.encoding)
            .map_err(|error| ApiError::internal(format!("the token could not be signed: {error}")))?;
        Ok(Issued { token, expires_on: claims.exp, expires_in })
    }

    /// Checks a token; `now` is the host's clock.
    pub fn check(&self, token: &str, audience: Audience, now: i64) -> Result<Caller, ApiError> {
        let known = self.checked.get(token).map(|checked| *checked);
        let checked = match known {
            Some(checked) => checked,
            None => self.decode(token)?,
        };
        if now > checked.exp {
            self.checked.remove(token);
            return Err(unauthorized(
                "[TokenExpired] Error validating token: 'S2S12086: Lifetime validation failed.'.",
            ));
        }
        if now + LEEWAY_S < checked.nbf {
            return Err(unauthorized(
                "[TokenNotYetValid] Error validating token: 'S2S12087: The token is not yet valid.'.",
            ));
        }
        if checked.audience != audience {
            return Err(self.wrong_audience(&self.authority.resource(checked.audience), audience));
        }
        if known.is_none() {
            if self.checked.len() >= MAX_REMEMBERED {
                self.checked.clear();
            }
            self.checked.insert(token.to_owned(), checked);
        }
        Ok(checked.caller)
    }

    fn decode(&self, token: &str) -> Result<Checked, ApiError> {
        let mut validation = Validation::new(Algorithm::RS256);
        // Checked with our own clock, our own words and our own leeway.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims = HashSet::from(["exp".to_owned()]);
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|error| unauthorized(format!("AKV10046: Unable to validate the token: {error}.")))?
            .claims;
        let issuer = self.authority.issuer();
        if claims.iss != issuer || claims.tid != self.authority.tenant {
            let found = claims.iss;
            return Err(unauthorized(format!("AKV10032: Invalid issuer. Expected one of {issuer}, found {found}.")));
        }
        let audience =
            self.authority.audience_of(&claims.aud).ok_or_else(|| self.wrong_audience(&claims.aud, Audience::Vault))?;
        let identity = self
            .client(&claims.appid)
            .ok_or_else(|| unauthorized(format!("AKV10033: The caller appid={} is not known.", claims.appid)))?;
        Ok(Checked { caller: Caller { identity }, audience, nbf: claims.nbf, exp: claims.exp })
    }

    fn wrong_audience(&self, found: &str, expected: Audience) -> ApiError {
        let expected = self.authority.resource(expected);
        unauthorized(format!("AKV10022: Invalid audience. Expected {expected}, found: {found}."))
    }
}

/// The id of an identity's service principal: not its client id, but always the same.
pub fn object_id(client_id: &str) -> String {
    let mut bytes: [u8; 16] = uuid::Uuid::try_parse(client_id).map_or([0; 16], uuid::Uuid::into_bytes);
    bytes.iter_mut().for_each(|byte| *byte = !*byte);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// PEM lines have 64 characters.
fn wrap(base64: &str) -> String {
    let mut text = String::with_capacity(base64.len() + base64.len() / 64);
    for (place, char) in base64.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            text.push('\n');
        }
        text.push(char);
    }
    text
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::crypto::KeySpec;

    const NOW: i64 = 1_900_000_000;

    fn identity() -> IdentitySpec {
        IdentitySpec {
            name: "app".to_owned(),
            client_id: "00000000-0000-4000-8000-0000000000AA".to_owned(),
            client_secret: "s".to_owned(),
            client_certificate: None,
            identity_header: None,
            arm: true,
        }
    }

    fn tokens() -> Tokens {
        let authority = Authority { tenant: "tenant".to_owned(), port: 8_443 };
        let key = PrivateKey::generate(KeySpec::Rsa { bits: 2_048 }).unwrap();
        Tokens::new(authority, &key, &[identity()]).unwrap()
    }

    fn issued(tokens: &Tokens) -> String {
        tokens.issue(&identity(), Audience::Vault, NOW).unwrap().token
    }

    /// Issues a token with other claims.
    fn with(tokens: &Tokens, change: impl FnOnce(&mut Claims)) -> String {
        let token = issued(tokens);
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let mut claims: Claims = serde_json::from_slice(&payload).unwrap();
        change(&mut claims);
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &tokens.encoding).unwrap()
    }

    fn refusal(tokens: &Tokens, token: &str) -> String {
        let error = tokens.check(token, Audience::Vault, NOW).unwrap_err();
        assert_eq!(error.status, 401);
        error.message
    }

    #[test]
    fn a_token_is_good_for_its_audience_until_it_ends() {
        let tokens = tokens();
        let token = issued(&tokens);
        let check = |audience, now| tokens.check(&token, audience, now).map_err(|error| error.message);
        for _ in 0..2 {
            assert_eq!(check(Audience::Vault, NOW), Ok(Caller { identity: 0 }));
        }
        assert!(check(Audience::Management, NOW).unwrap_err().contains("AKV10022"));
        assert!(check(Audience::Vault, NOW - LEEWAY_S - 1).unwrap_err().contains("TokenNotYetValid"));
        let end = NOW + tokens.lifetime_s();
        assert!(check(Audience::Vault, end).is_ok());
        assert!(check(Audience::Vault, end + 1).unwrap_err().contains("TokenExpired"));
    }

    #[test]
    fn claims_of_another_world_are_refused() {
        let tokens = tokens();
        for (token, word) in [
            (with(&tokens, |claims| claims.iss = "https://login.microsoftonline.com/t/v2.0".to_owned()), "AKV10032"),
            (with(&tokens, |claims| claims.tid = "other".to_owned()), "AKV10032"),
            (with(&tokens, |claims| claims.aud = "https://vault.azure.net".to_owned()), "AKV10022"),
            (with(&tokens, |claims| claims.appid = "nobody".to_owned()), "AKV10033"),
            (with(&tokens, |claims| claims.exp = NOW - 1), "TokenExpired"),
        ] {
            let message = refusal(&tokens, &token);
            assert!(message.contains(word), "{message}");
        }
        assert!(tokens.check(&with(&tokens, |_| {}), Audience::Vault, NOW).is_ok());
    }

    #[test]
    fn a_signature_that_is_not_the_authoritys_is_refused() {
        let (tokens, foreign) = (tokens(), tokens());
        let good = issued(&tokens);
        let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(payload).unwrap();
        let altered = String::from_utf8(claims.clone()).unwrap().replace("0000000000AA", "0000000000BB");
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let modulus = tokens.jwk["n"].as_str().unwrap().as_bytes();
        let claims: Claims = serde_json::from_slice(&claims).unwrap();
        let symmetric = Header::new(Algorithm::HS256);
        for bad in [
            format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(altered)),
            format!("{none}.{payload}."),
            format!("{none}.{payload}.{signature}"),
            format!("{header}.{payload}."),
            format!("{header}.{payload}"),
            issued(&foreign),
            jsonwebtoken::encode(&symmetric, &claims, &EncodingKey::from_secret(modulus)).unwrap(),
            String::new(),
        ] {
            let message = refusal(&tokens, &bad);
            assert!(message.contains("AKV10046"), "{message}");
        }
    }
}
