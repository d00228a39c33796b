//! The token host: discovery documents, keys, and tokens for client credentials.
//!
//! Also the App-Service-style managed identity endpoint, which is on the admin listener because its clients speak plain
//! HTTP to loopback. Deliberately absent: users, refresh tokens, federated credentials.

use serde_json::{Value, json};

use crate::{
    auth::{
        Audience,
        assertion::{ClientCertificate, Refused},
    },
    counts::Ended,
    error::ApiError,
    estate::IdentitySpec,
    faults::Sender,
    operation::Operation,
    routes::{Query, Reply, Request, Served, admin::Refusal, fault},
    world::World,
};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What answers one kind of call.
type Answer = fn(&World, &Request) -> Reply;

/// Answers a request to `login.localhost`.
pub async fn serve(world: &World, request: &Request) -> Served {
    let (operation, answer): (_, Answer) = match (request.method.as_str(), &*request.segments()) {
        ("POST", [tenant, "oauth2", "v2.0", "token"] | [tenant, "oauth2", "token"]) => {
            if !is_tenant(world, tenant) {
                return Served::Reply(unknown_tenant(tenant));
            }
            (Operation::LoginToken, token)
        }
        (
            "GET",
            [tenant, "v2.0", ".well-known", "openid-configuration"] | [tenant, ".well-known", "openid-configuration"],
        ) => {
            if !is_tenant(world, tenant) {
                return Served::Reply(unknown_tenant(tenant));
            }
            (Operation::LoginDiscovery, discovery)
        }
        ("GET", ["common", "discovery", "instance"]) => (Operation::LoginDiscovery, instance),
        ("GET", [_, "discovery", "v2.0", "keys"] | [_, "discovery", "keys"]) => (Operation::LoginKeys, keys),
        _ => {
            let message = format!("{} {} is not served here.", request.method, request.path());
            return Served::Reply(ApiError::new(404, "NotFound", message).into());
        }
    };
    let hit = world.faults.hit(Sender::Caller, operation, "login", "");
    let served = fault::serve(hit, async { answer(world, request) }).await;
    let ended = match Ended::of(&served) {
        // A refused client is no probe for a challenge.
        Ended::Challenged => Ended::ClientError,
        ended @ (Ended::Ok | Ended::Throttled | Ended::ClientError | Ended::ServerError | Ended::NoAnswer) => ended,
    };
    world.login_counts.ended(operation, ended);
    served
}

fn is_tenant(world: &World, tenant: &str) -> bool {
    tenant.eq_ignore_ascii_case(&world.tokens.authority().tenant)
}

fn unknown_tenant(tenant: &str) -> Reply {
    refused(
        400,
        "invalid_tenant",
        90_002,
        &format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."),
    )
}

/// An error of the token endpoint.
fn refused(status: u16, error: &str, number: u32, text: &str) -> Reply {
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{number}: {text}"),
        "error_codes": [number],
        "correlation_id": uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string(),
    });
    Reply { status, body: Some(body), headers: Vec::new() }
}

fn discovery(world: &World, _: &Request) -> Reply {
    let authority = world.tokens.authority();
    let base = authority.authority();
    Reply::ok(json!({
        "issuer": authority.issuer(),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": authority.token_endpoint(),
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "response_types_supported": ["code", "id_token", "token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
        "claims_supported": ["aud", "iss", "iat", "nbf", "exp", "appid", "oid", "sub", "tid", "ver"],
        "tenant_region_scope": null,
    }))
}

fn instance(world: &World, request: &Request) -> Reply {
    let authority = world.tokens.authority();
    let host = format!("login.localhost:{}", authority.port);
    // A client asks about an authority before it trusts it; only ours is known.
    let asked = request.query().get("authorization_endpoint").unwrap_or_default().to_owned();
    if !asked.is_empty() && !asked.starts_with(&authority.login()) {
        return refused(400, "invalid_instance", 50_049, "Unknown or invalid instance.");
    }
    Reply::ok(json!({
        "tenant_discovery_endpoint": format!("{}/v2.0/.well-known/openid-configuration", authority.authority()),
        "api-version": "1.1",
        "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
    }))
}

fn keys(world: &World, _: &Request) -> Reply {
    Reply::ok(world.tokens.jwks())
}

fn token(world: &World, request: &Request) -> Reply {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if field("grant_type") != Some("client_credentials") {
        return refused(
            400,
            "unsupported_grant_type",
            70_003,
            "The emulator issues tokens for client_credentials only.",
        );
    }
    let basic = basic(request);
    let given = field("client_id").map(str::to_owned).or_else(|| basic.as_ref().map(|(id, _)| id.clone()));
    let Some(client_id) = given else {
        return refused(
            400,
            "invalid_request",
            900_144,
            "The request body must contain the following parameter: 'client_id'.",
        );
    };
    let known = world.tokens.client(&client_id).and_then(|place| world.identities.get(place));
    let Some(identity) = known else {
        let tenant = &world.tokens.authority().tenant;
        let text = format!("Application with identifier '{client_id}' was not found in the directory '{tenant}'.");
        return refused(400, "unauthorized_client", 700_016, &text);
    };
    let proven = match field("client_assertion") {
        Some(assertion) => check_assertion(world, identity, field("client_assertion_type"), assertion),
        None => {
            let secret = field("client_secret").map(str::to_owned).or_else(|| basic.map(|(_, secret)| secret));
            check_secret(identity, secret.as_deref())
        }
    };
    if let Err(Refused { number, text }) = proven {
        return refused(401, "invalid_client", number, &text);
    }
    let scope = field("scope").or_else(|| field("resource")).unwrap_or_default();
    let Some(audience) = scope.split(' ').find_map(|scope| world.tokens.authority().audience_of(scope)) else {
        let text = format!("The resource principal named {scope} was not found in the tenant.");
        return refused(400, "invalid_resource", 500_011, &text);
    };
    issue(world, identity, audience).map_or_else(Reply::from, Reply::ok)
}

fn check_secret(identity: &IdentitySpec, secret: Option<&str>) -> Result<(), Refused> {
    if secret == Some(&*identity.client_secret) {
        return Ok(());
    }
    let text = format!("Invalid client secret provided for app '{}'.", identity.client_id);
    Err(Refused { number: 7_000_215, text })
}

fn check_assertion(world: &World, identity: &IdentitySpec, kind: Option<&str>, assertion: &str) -> Result<(), Refused> {
    let refused = |number, text: &str| Refused { number, text: text.to_owned() };
    if kind != Some(ASSERTION_TYPE) {
        return Err(refused(
            900_144,
            "The request body must contain the following parameter: 'client_assertion_type'.",
        ));
    }
    // The estate was checked when it was read, so a certificate that is there can be read.
    let known = identity.client_certificate.as_deref().and_then(|pem| ClientCertificate::from_pem(pem).ok());
    let certificate = known.ok_or_else(|| refused(700_027, "No certificate is registered on the application."))?;
    let endpoint = world.tokens.authority().token_endpoint();
    certificate.check(assertion, &identity.client_id, &endpoint, world.clock.host())
}

fn issue(world: &World, identity: &IdentitySpec, audience: Audience) -> Result<Value, ApiError> {
    let issued = world.tokens.issue(identity, audience, world.clock.host())?;
    Ok(json!({
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "ext_expires_in": issued.expires_in,
        "access_token": issued.token,
    }))
}

/// The client's id and secret in the `Authorization` header.
fn basic(request: &Request) -> Option<(String, String)> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let encoded = request.authorization()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// The App-Service-style managed identity endpoint: a token for whoever knows an identity's header.
pub fn managed_identity(world: &World, header: Option<&str>, query: &Query) -> Result<Value, Refusal> {
    let wanted = query.get("client_id").or_else(|| query.get("mi_client_id"));
    let fits = |identity: &&IdentitySpec| {
        let own = identity.identity_header.as_deref().unwrap_or(&identity.client_secret);
        header == Some(own) && wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(&identity.client_id))
    };
    let identity = world.identities.iter().find(fits).ok_or_else(|| {
        let fix = "send an identity's identity_header, or its client_secret where it has none";
        Refusal::input("No managed identity was found for the given X-IDENTITY-HEADER.", fix)
    })?;
    let resource = query.get("resource").unwrap_or_default();
    let authority = world.tokens.authority();
    let audience = authority.audience_of(resource).ok_or_else(|| {
        let fix = format!("ask for resource={}", authority.resource(Audience::Vault));
        Refusal::input(format!("The resource `{resource}` is not known here."), fix)
    })?;
    let issued =
        world.tokens.issue(identity, audience, world.clock.host()).map_err(|error| Refusal::internal(error.message))?;
    Ok(json!({
        "access_token": issued.token,
        "expires_on": issued.expires_on.to_string(),
        "resource": resource,
        "token_type": "Bearer",
        "client_id": identity.client_id,
    }))
}
