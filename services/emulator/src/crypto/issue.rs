//! Certificates issued as a policy asks: self-signed, or under authorities that are made for them.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    OtherNameValue, SanType, string::Ia5String,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use time::OffsetDateTime;
use x509_cert::der::asn1::ObjectIdentifier;

use super::{Chain, CryptoError, Curve, KeySpec, Names, PrivateKey, facts::UPN, subject};

/// What a certificate may be used for whose policy does not say: Azure's defaults.
pub const KEY_USAGE: [&str; 2] = ["digitalSignature", "keyEncipherment"];
/// Authentication of servers and of clients.
pub const EXTENDED_KEY_USAGE: [&str; 2] = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

/// What to issue.
#[derive(Debug, Clone)]
pub struct IssueSpec<'a> {
    /// Such as `CN=example.test,O="Example, Inc."`.
    pub subject: &'a str,
    pub names: Names,
    /// As RFC 5280 names them.
    pub key_usage: Vec<String>,
    /// Object identifiers.
    pub extended_key_usage: Vec<String>,
    /// CA certificates that come along: 0 for a self-signed certificate, 1 for a root, 2 for one between as well.
    pub above: u32,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
}

impl Chain {
    /// Issues certificates for a key.
    pub fn issue(key: PrivateKey, spec: &IssueSpec<'_>) -> Result<Self, CryptoError> {
        let leaf_key = key_pair(&key)?;
        let leaf = leaf_params(spec)?;
        if spec.above == 0 {
            let certificate = leaf.self_signed(&leaf_key).map_err(failed)?;
            return Ok(Self { key, certificates: vec![certificate.der().to_vec()], leaf: 0 });
        }
        let (issuer, mut above) = authorities(spec)?;
        let certificate = leaf.signed_by(&leaf_key, &issuer).map_err(failed)?;
        above.insert(0, certificate.der().to_vec());
        Ok(Self { key, certificates: above, leaf: 0 })
    }
}

/// A request for a certificate for a key, as an issuer outside would get it; DER.
pub fn request(key: &PrivateKey, spec: &IssueSpec<'_>) -> Result<Vec<u8>, CryptoError> {
    let key = key_pair(key)?;
    Ok(leaf_params(spec)?.serialize_request(&key).map_err(failed)?.der().to_vec())
}

/// The issuer of the certificate, and the DER of all above it, nearest first.
fn authorities(spec: &IssueSpec<'_>) -> Result<(Issuer<'static, KeyPair>, Vec<Vec<u8>>), CryptoError> {
    let mut above: Vec<Vec<u8>> = Vec::new();
    let mut issuer: Option<Issuer<'static, KeyPair>> = None;
    for level in (0..spec.above).rev() {
        let name = if level + 1 == spec.above {
            "CN=Emulated Root CA".to_owned()
        } else {
            format!("CN=Emulated Issuing CA {}", level + 1)
        };
        let mut params = params(spec, &name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = match &issuer {
            Some(issuer) => params.signed_by(&key, issuer),
            None => params.self_signed(&key),
        };
        above.insert(0, certificate.map_err(failed)?.der().to_vec());
        issuer = Some(Issuer::new(params, key));
    }
    let issuer = issuer.ok_or_else(|| CryptoError::Issue("there is no authority".to_owned()))?;
    Ok((issuer, above))
}

fn params(spec: &IssueSpec<'_>, subject: &str) -> Result<CertificateParams, CryptoError> {
    let moment = |seconds| {
        OffsetDateTime::from_unix_timestamp(seconds)
            .map_err(|_| CryptoError::Issue("a date is out of range".to_owned()))
    };
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.not_before = moment(spec.not_before)?;
    params.not_after = moment(spec.not_after)?;
    params.distinguished_name = subject::read(subject)?;
    Ok(params)
}

/// The certificate itself, with what its policy asks for.
fn leaf_params(spec: &IssueSpec<'_>) -> Result<CertificateParams, CryptoError> {
    let mut params = params(spec, spec.subject)?;
    let ascii = |text: &String| Ia5String::try_from(text.as_str()).map_err(failed);
    let Names { dns, emails, upns } = &spec.names;
    for name in dns {
        params.subject_alt_names.push(SanType::DnsName(ascii(name)?));
    }
    for email in emails {
        params.subject_alt_names.push(SanType::Rfc822Name(ascii(email)?));
    }
    for upn in upns {
        let value = OtherNameValue::Utf8String(upn.clone());
        params.subject_alt_names.push(SanType::OtherName((arcs(&UPN), value)));
    }
    params.key_usages = spec.key_usage.iter().map(|usage| key_usage(usage)).collect::<Result<_, _>>()?;
    params.extended_key_usages =
        spec.extended_key_usage.iter().map(|usage| extended(usage)).collect::<Result<_, _>>()?;
    Ok(params)
}

fn key_usage(name: &str) -> Result<KeyUsagePurpose, CryptoError> {
    Ok(match name {
        "digitalSignature" => KeyUsagePurpose::DigitalSignature,
        "nonRepudiation" => KeyUsagePurpose::ContentCommitment,
        "keyEncipherment" => KeyUsagePurpose::KeyEncipherment,
        "dataEncipherment" => KeyUsagePurpose::DataEncipherment,
        "keyAgreement" => KeyUsagePurpose::KeyAgreement,
        "keyCertSign" => KeyUsagePurpose::KeyCertSign,
        "cRLSign" => KeyUsagePurpose::CrlSign,
        "encipherOnly" => KeyUsagePurpose::EncipherOnly,
        "decipherOnly" => KeyUsagePurpose::DecipherOnly,
        other => return Err(CryptoError::Issue(format!("`{other}` is no key usage"))),
    })
}

fn extended(dotted: &str) -> Result<ExtendedKeyUsagePurpose, CryptoError> {
    let id = ObjectIdentifier::new(dotted)
        .map_err(|_| CryptoError::Issue(format!("`{dotted}` is no object identifier of a key usage")))?;
    Ok(ExtendedKeyUsagePurpose::Other(arcs(&id)))
}

fn arcs(id: &ObjectIdentifier) -> Vec<u64> {
    id.arcs().map(u64::from).collect()
}

fn key_pair(key: &PrivateKey) -> Result<KeyPair, CryptoError> {
    match key.spec() {
        KeySpec::Ec { curve: Curve::P521 | Curve::P256K } => {
            return Err(CryptoError::Issue("certificates are issued for RSA, P-256 and P-384 keys only".to_owned()));
        }
        KeySpec::Rsa { .. } | KeySpec::Ec { curve: Curve::P256 | Curve::P384 } => {}
    }
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(key.to_pkcs8_der()?)).map_err(failed)
}

fn failed(error: rcgen::Error) -> CryptoError {
    CryptoError::Issue(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::facts;

    impl<'a> IssueSpec<'a> {
        /// For tests that care for little of it.
        pub(crate) fn of(subject: &'a str) -> Self {
            Self {
                subject,
                names: Names::default(),
                key_usage: Vec::new(),
                extended_key_usage: Vec::new(),
                above: 0,
                not_before: 1_700_000_000,
                not_after: 1_900_000_000,
            }
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn leaf(spec: &IssueSpec<'_>) -> Result<Chain, CryptoError> {
        Chain::issue(PrivateKey::generate(KeySpec::Ec { curve: Curve::P384 }).unwrap(), spec)
    }

    #[test]
    fn a_certificate_says_what_it_was_issued_for() {
        let names = Names { dns: texts(&["a.test"]), emails: texts(&["a@b.test"]), upns: texts(&["someone@b.test"]) };
        let spec = IssueSpec {
            names: names.clone(),
            key_usage: texts(&["digitalSignature", "keyAgreement", "cRLSign"]),
            extended_key_usage: texts(&["1.3.6.1.5.5.7.3.3", "1.2.3.4"]),
            ..IssueSpec::of("CN=example.test")
        };
        let facts = facts(leaf(&spec).unwrap().leaf()).unwrap();
        assert_eq!((facts.not_before, facts.not_after, facts.names), (1_700_000_000, 1_900_000_000, names));
        assert_eq!(facts.key_usage, ["digitalSignature", "keyAgreement", "cRLSign"]);
        assert_eq!(facts.extended_key_usage, ["1.3.6.1.5.5.7.3.3", "1.2.3.4"]);
        assert_eq!(facts.subject, "CN=example.test");
        assert_eq!(crate::crypto::facts(b"nothing").err(), Some(CryptoError::Certificate));
    }

    #[test]
    fn a_usage_that_does_not_exist_is_refused() {
        let of = || IssueSpec::of("CN=a");
        assert!(leaf(&IssueSpec { key_usage: texts(&["signing"]), ..of() }).is_err());
        for id in ["serverAuth", "1", "1.3.6.1.5.5.7.3.", "9.9.9"] {
            assert!(leaf(&IssueSpec { extended_key_usage: texts(&[id]), ..of() }).is_err(), "{id}");
        }
    }
}
