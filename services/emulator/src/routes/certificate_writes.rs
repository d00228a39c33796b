//! Calls that make and change certificates.
//!
//! A self-signed certificate is there at once: its create is answered as in progress, and the first look at the
//! operation says that it is completed. Any other issuer never answers, so that such a certificate stays pending.

use serde::Deserialize;

use crate::{
    crypto::{Chain, CryptoError, PrivateKey, facts, request},
    error::ApiError,
    keyspec::KeyShape,
    operation::Operation,
    routes::{Reply, data_plane::Call},
    state::{
        certificates::{CertificateItem, CertificateVersion, Change, Import, Pending},
        collection::Kind,
        keys, material,
        policy::{MONTH_S, PEM, PKCS12, Policy},
        validate,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Months a certificate lives if its policy does not say.
const DEFAULT_MONTHS: u32 = 12;
/// A new certificate is valid a little before now, for those whose clock is behind.
const BACKDATED_S: i64 = 600;

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
    call.vault.state.lock().certificate_creatable(call.name(), call.moment().now_ms)
}

async fn create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let mut change: Change = call.json()?;
    validate::tags(change.tags.as_ref())?;
    writable(call)?;
    let mut policy = change.policy.take().ok_or_else(|| ApiError::bad_parameter("Property policy is missing."))?;
    policy.check()?;
    let subject = subject(&policy)?;
    let issuer =
        policy.issuer.name.clone().ok_or_else(|| ApiError::bad_parameter("Property policy.issuer.name is missing."))?;
    let (shape, is_self) = (policy.shape()?, policy.is_self_issued());
    call.vault.takes_keys(shape.hsm)?;
    policy.note_key(shape);
    policy.secret_props.content_type.get_or_insert(PKCS12.to_owned());
    let months = i64::from(*policy.x509_props.validity_months.get_or_insert(DEFAULT_MONTHS));
    policy.note_usages();
    let (now, reused) = (call.moment().now(), reused(call, &policy));
    let asked = policy.clone();
    let made = material::blocking(move || {
        let spec = asked.issue(&subject, now - BACKDATED_S, now + months * MONTH_S);
        let key = reused.map_or_else(|| keys::generate(shape), Ok)?;
        let csr = request(&key, &spec).map_err(refused)?;
        let chain = is_self.then(|| Chain::issue(key, &spec).map_err(refused)).transpose()?;
        Ok((chain, csr))
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

/// The key of the newest version, if the policy wants it again and it is of the right kind.
fn reused(call: &Call<'_>, policy: &Policy) -> Option<PrivateKey> {
    let state = call.vault.state.lock();
    let newest = state.certificates.find(call.name(), call.moment().now_ms)?.newest()?;
    let fits = policy.key_props.reuse_key == Some(true) && policy.shape().ok() == Some(newest.shape());
    fits.then(|| newest.chain.key.clone())
}

fn issue(
    call: &Call<'_>,
    policy: Policy,
    change: Change,
    chain: Option<Chain>,
    pending: Pending,
) -> Result<Reply, ApiError> {
    let (name, at, place) = (call.name(), call.moment(), &call.vault.place);
    let requested_tags = change.tags.clone();
    let version = chain.map(|chain| {
        let facts = facts(chain.leaf()).map_err(refused)?;
        Ok(CertificateVersion::new(chain, &facts, &policy, change.attributes.as_ref(), change.tags, at.now()))
    });
    let version = version.transpose()?;
    let mut state = call.vault.state.lock();
    state.certificate_creatable(name, at.now_ms)?;
    let item = state.certificates.find_or_insert(name, || CertificateItem::new(name, at.now()));
    item.set_policy(policy, at.now());
    item.requested_tags = requested_tags;
    let reply = item.pending_json(place, &pending);
    item.pending = Some(Pending { is_completed: version.is_some(), ..pending });
    item.versions.extend(version);
    let location = item.pending_id(place);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply).status(202).header("Location", location))
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
    let mut body: Import = call.json()?;
    validate::tags(body.tags.as_ref())?;
    writable(call)?;
    let mut policy = body.policy.take().unwrap_or_default();
    // Azure does not guess: what is PEM has to be called so.
    let wants_pem = policy.secret_props.content_type.get_or_insert_with(|| PKCS12.to_owned()) == PEM;
    if wants_pem != body.pem().is_some() {
        return Err(ApiError::bad_parameter(format!(
            "The specified X.509 certificate content is in an unexpected format. Please check if the certificate is in a valid {} format.",
            if wants_pem { "PEM" } else { "PKCS#12" }
        )));
    }
    let hsm = policy.key_props.kty.as_deref().is_some_and(|kty| kty.ends_with("-HSM"));
    call.vault.takes_keys(hsm)?;
    let (body, chain) = material::blocking(move || {
        let chain = body.chain()?;
        Ok((body, chain))
    })
    .await?;
    let facts = facts(chain.leaf()).map_err(refused)?;
    let (name, at) = (call.name(), call.moment());
    if facts.not_after <= at.now() {
        return Err(ApiError::bad_parameter("The specified X.509 certificate is expired and cannot be imported."));
    }
    policy.issuer.name.get_or_insert("Unknown".to_owned());
    policy.note_key(KeyShape { spec: chain.key.spec(), hsm });
    policy.note_certificate(&facts);
    policy.check()?;
    let version = CertificateVersion::new(chain, &facts, &policy, body.attributes.as_ref(), body.tags, at.now());
    let mut state = call.vault.state.lock();
    state.certificate_creatable(name, at.now_ms)?;
    let item = state.certificates.find_or_insert(name, || CertificateItem::new(name, at.now()));
    item.set_policy(policy, at.now());
    let reply = item.bundle(&call.vault.place, &version);
    item.versions.push(version);
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
    let policy = change.policy.map(|update| item.policy.merged(update)).transpose()?;
    let version = item.version_mut(call.version())?;
    version.update(change.attributes.as_ref(), change.tags, at.now());
    let id = version.id.clone();
    if let Some(policy) = policy {
        item.set_policy(policy, at.now());
    }
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
    item.set_policy(item.policy.merged(update)?, at.now());
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
