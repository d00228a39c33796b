//! What a certificate says, read off its DER. What cannot be read is an error, never an empty answer.

use sha1::{Digest, Sha1};
use x509_cert::{
    Certificate,
    der::{
        Decode,
        asn1::{ObjectIdentifier, Utf8StringRef},
    },
    ext::pkix::{ExtendedKeyUsage, KeyUsage, SubjectAltName, name::GeneralName},
};

use super::CryptoError;

/// Microsoft's user principal name, among a certificate's other names.
pub(super) const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    pub subject: String,
    pub names: Names,
    /// Object identifiers.
    pub extended_key_usage: Vec<String>,
    /// As RFC 5280 names them.
    pub key_usage: Vec<&'static str>,
}

/// Subject alternative names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    pub dns: Vec<String>,
    pub emails: Vec<String>,
    pub upns: Vec<String>,
}

/// Reads what a certificate says.
pub fn facts(der: &[u8]) -> Result<Facts, CryptoError> {
    let certificate = Certificate::from_der(der).map_err(|_| CryptoError::Certificate)?;
    let body = certificate.tbs_certificate();
    let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    let unreadable = |_| CryptoError::Certificate;
    let names = body.get_extension::<SubjectAltName>().map_err(unreadable)?;
    let extended = body.get_extension::<ExtendedKeyUsage>().map_err(unreadable)?;
    let usage = body.get_extension::<KeyUsage>().map_err(unreadable)?;
    Ok(Facts {
        not_before: seconds(body.validity().not_before),
        not_after: seconds(body.validity().not_after),
        subject: body.subject().to_string(),
        names: names.map_or_else(|| Ok(Names::default()), |(_, names)| read_names(names.0))?,
        extended_key_usage: extended
            .map(|(_, usages)| usages.0.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        key_usage: usage.map(|(_, usage)| usages(usage)).unwrap_or_default(),
    })
}

/// SHA-1 of a certificate's DER.
pub fn thumbprint(der: &[u8]) -> [u8; 20] {
    Sha1::digest(der).into()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a policy has no room for the other kinds of names")]
fn read_names(given: Vec<GeneralName>) -> Result<Names, CryptoError> {
    let mut names = Names::default();
    for name in given {
        match name {
            GeneralName::DnsName(name) => names.dns.push(name.to_string()),
            GeneralName::Rfc822Name(name) => names.emails.push(name.to_string()),
            GeneralName::OtherName(other) if other.type_id == UPN => {
                let text = Utf8StringRef::try_from(&other.value).map_err(|_| CryptoError::Certificate)?;
                names.upns.push(text.to_string());
            }
            _ => {}
        }
    }
    Ok(names)
}

fn usages(usage: KeyUsage) -> Vec<&'static str> {
    let all = [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
        (usage.encipher_only(), "encipherOnly"),
        (usage.decipher_only(), "decipherOnly"),
    ];
    all.into_iter().filter_map(|(is_set, name)| is_set.then_some(name)).collect()
}
