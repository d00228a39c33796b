//! Calls that make and change certificates.
//!
//! A self-signed certificate is there at once: its create is answered as in progress, and the first look at the
//! operation says that it is completed. Any other issuer never answers, so that such a certificate stays pending.

use serde::Deserialize;

use crate::{
    crypto::{Chain, CryptoError, IssueSpec, facts, request},
    error::ApiError,
    operation::Operation,
    routes::{Reply, data_plane::Call},
    state::{
        certificates::{CertificateItem, CertificateVersion, Change, Import, Pending},
        collection::Kind,
        material,
        policy::{PEM, PKCS12, Policy},
        validate,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Months a certificate lives if its policy does not say.
const DEFAULT_MONTHS: u32 = 12;
/// Seconds of a month, as far as validity goes.
const MONTH_S: i64 = 30 * 86_400;

/// Whether the call is one of these.
pub const fn is_write(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::CertificatesCreate
            | Operation::CertificatesImport
            | Operation::CertificatesUpdate
            | Operation::CertificatesUpdatePolicy
            | Operation::CertificatesUpdatePending
            | Operation::CertificatesBackup
            | Operation::CertificatesRestore
    )
}

/// Makes the change and answers.
#[expect(clippy::wildcard_enum_match_arm, reason = "`is_write` chose this function")]
pub async fn execute(call: &Call<'_>) -> Result<Reply, ApiError> {
    match call.route.operation {
        Operation::CertificatesCreate => create(call).await,
        Operation::CertificatesImport => import(call).await,
        Operation::CertificatesUpdate => update(call),
        Operation::CertificatesUpdatePolicy => update_policy(call),
        Operation::CertificatesUpdatePending => update_pending(call),
        Operation::CertificatesBackup => crate::backup::certificate(call),
        Operation::CertificatesRestore => crate::backup::restore_certificate(call),
        _ => Err(ApiError::internal("not a write of a certificate")),
    }
}

/// Whether a certificate of that name may get a version.
fn writable(call: &Call<'_>) -> Result<(), ApiError> {
    call.vault.state.lock().certificate_writable(call.name(), call.moment().now_ms)
}

async fn create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let change: Change = call.json()?;
    validate::tags(change.tags.as_ref())?;
    writable(call)?;
    let mut policy = change.policy.clone().ok_or_else(|| ApiError::bad_parameter("Property policy is missing."))?;
    policy.check()?;
    let subject = subject(&policy)?;
    let issuer =
        policy.issuer.name.clone().ok_or_else(|| ApiError::bad_parameter("Property policy.issuer.name is missing."))?;
    let (shape, is_self) = (policy.shape()?, policy.is_self_issued());
    policy.note_key(shape);
    policy.secret_props.content_type.get_or_insert(PKCS12.to_owned());
    let months = i64::from(*policy.x509_props.validity_months.get_or_insert(DEFAULT_MONTHS));
    let names = policy.x509_props.sans.clone().unwrap_or_default().dns_names;
    let now = call.moment().now();
    let made = material::blocking(move || {
        let spec = IssueSpec {
            key: shape.spec,
            subject: &subject,
            dns_names: &names,
            above: 0,
            not_before: now - 600,
            not_after: now + months * MONTH_S,
        };
        let chain = if is_self { Some(Chain::issue(&spec).map_err(refused)?) } else { None };
        Ok((chain, request(&spec).map_err(refused)?))
    });
    let (chain, csr) = made.await?;
    let pending = Pending {
        issuer,
        csr: STANDARD.encode(csr),
        is_completed: false,
        cancel: false,
        request_id: hex::encode(rand::random::<[u8; 16]>()),
    };
    issue(call, policy, change, chain, pending)
}

fn issue(
    call: &Call<'_>,
    policy: Policy,
    change: Change,
    chain: Option<Chain>,
    pending: Pending,
) -> Result<Reply, ApiError> {
    let (name, at, place) = (call.name(), call.moment(), &call.vault.place);
    let mut state = call.vault.state.lock();
    state.certificate_writable(name, at.now_ms)?;
    let requested_tags = change.tags.clone();
    let version = chain
        .map(|chain| CertificateVersion::new(chain, &policy, change.attributes.as_ref(), change.tags, at.now()))
        .transpose()?;
    let mut item = match state.certificates.find(name, at.now_ms) {
        Some(item) => item.clone(),
        None => CertificateItem::new(name, policy.clone(), at.now()),
    };
    item.policy = policy;
    item.policy_updated = at.now();
    item.requested_tags = requested_tags;
    let reply = item.pending_json(place, &pending);
    item.pending = Some(Pending { is_completed: version.is_some(), ..pending });
    item.versions.extend(version);
    let spelling = item.name.clone();
    state.certificates.insert(&spelling, item);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply)
        .status(202)
        .header("Location", format!("{}/pending", place.id(Kind::Certificate, &spelling, None))))
}

fn subject(policy: &Policy) -> Result<String, ApiError> {
    let names = policy.x509_props.sans.as_ref().and_then(|sans| sans.dns_names.first());
    match (&policy.x509_props.subject, names) {
        (Some(subject), _) if !subject.is_empty() => Ok(subject.clone()),
        (_, Some(name)) => Ok(format!("CN={name}")),
        (_, None) => Err(ApiError::bad_parameter("Property policy.x509_props.subject is missing.")),
    }
}

fn refused(error: CryptoError) -> ApiError {
    ApiError::bad_parameter(format!("The certificate cannot be made: {error}."))
}

async fn import(call: &Call<'_>) -> Result<Reply, ApiError> {
    let body: Import = call.json()?;
    validate::tags(body.tags.as_ref())?;
    writable(call)?;
    let is_pem = body.pem().is_some();
    let mut policy = body.policy.clone().unwrap_or_default();
    let wanted =
        policy.secret_props.content_type.get_or_insert_with(|| if is_pem { PEM } else { PKCS12 }.to_owned()).clone();
    if (wanted == PEM) != is_pem {
        return Err(ApiError::bad_parameter(format!(
            "The specified X.509 certificate content is in an unexpected format. Please check if the certificate is in a valid {} format.",
            if wanted == PEM { "PEM" } else { "PKCS#12" }
        )));
    }
    let (body, chain) = material::blocking(move || {
        let chain = body.chain()?;
        Ok((body, chain))
    })
    .await?;
    let now = call.moment().now();
    let not_after = facts(chain.leaf()).map_err(refused)?.not_after;
    if not_after <= now {
        return Err(ApiError::bad_parameter("The specified X.509 certificate is expired and cannot be imported."));
    }
    policy.issuer.name.get_or_insert("Unknown".to_owned());
    add(call, policy, body, chain)
}

fn add(call: &Call<'_>, mut policy: Policy, body: Import, chain: Chain) -> Result<Reply, ApiError> {
    let (name, at, place) = (call.name(), call.moment(), &call.vault.place);
    let leaf = facts(chain.leaf()).map_err(refused)?;
    policy.x509_props.subject.get_or_insert(leaf.subject);
    let hsm = policy.key_props.kty.as_deref().is_some_and(|kty| kty.ends_with("-HSM"));
    if hsm && !call.vault.premium {
        return Err(ApiError::bad_parameter("HSM keys need a vault of the premium SKU."));
    }
    policy.note_key(crate::keyspec::KeyShape { spec: chain.key.spec(), hsm });
    policy.check()?;
    let mut state = call.vault.state.lock();
    state.certificate_writable(name, at.now_ms)?;
    let version = CertificateVersion::new(chain, &policy, body.attributes.as_ref(), body.tags, at.now())?;
    let mut item = match state.certificates.find(name, at.now_ms) {
        Some(item) => item.clone(),
        None => CertificateItem::new(name, policy.clone(), at.now()),
    };
    item.policy = policy;
    item.policy_updated = at.now();
    let reply = item.bundle(place, &version);
    item.versions.push(version);
    let spelling = item.name.clone();
    state.certificates.insert(&spelling, item);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn update(call: &Call<'_>) -> Result<Reply, ApiError> {
    let change: Change = call.json()?;
    validate::tags(change.tags.as_ref())?;
    let (name, at, place) = (call.name(), call.moment(), &call.vault.place);
    let mut state = call.vault.state.lock();
    let item = state.certificates.find_mut(name, at.now_ms).ok_or_else(|| Kind::Certificate.not_found(name))?;
    if let Some(update) = change.policy {
        let mut policy = item.policy.clone();
        policy.merge(update);
        policy.check()?;
        item.policy = policy;
        item.policy_updated = at.now();
    }
    let version = item.version_mut(call.version())?;
    version.attributes.apply(change.attributes.as_ref(), at.now());
    version.tags = change.tags.or_else(|| version.tags.take());
    let id = version.id.clone();
    let reply = item.bundle(place, item.version(Kind::Certificate, Some(&id))?);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn update_policy(call: &Call<'_>) -> Result<Reply, ApiError> {
    let update: Policy = call.json()?;
    let (name, at) = (call.name(), call.moment());
    let mut state = call.vault.state.lock();
    let item = state.certificates.find_mut(name, at.now_ms).ok_or_else(|| Kind::Certificate.not_found(name))?;
    let mut policy = item.policy.clone();
    policy.merge(update);
    policy.check()?;
    item.policy = policy;
    item.policy_updated = at.now();
    let reply = item.policy_json(&call.vault.place);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

#[derive(Deserialize)]
struct Cancel {
    cancellation_requested: bool,
}

fn update_pending(call: &Call<'_>) -> Result<Reply, ApiError> {
    let body: Cancel = call.json()?;
    let (name, at) = (call.name(), call.moment());
    let missing = || ApiError::new(404, "PendingCertificateNotFound", format!("Pending certificate not found: {name}"));
    let mut state = call.vault.state.lock();
    let item = state.certificates.find_mut(name, at.now_ms).ok_or_else(missing)?;
    let pending = item.pending.as_mut().ok_or_else(missing)?;
    if pending.is_completed {
        return Err(ApiError::forbidden("CertificateOperationCompleted", "A completed operation cannot be cancelled."));
    }
    pending.cancel = body.cancellation_requested;
    let pending = pending.clone();
    let reply = item.pending_json(&call.vault.place, &pending);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}
