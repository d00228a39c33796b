//! Certificates with their private key and chain: exported as PKCS#12 or PEM, and read back from either.

use base64::{Engine, engine::general_purpose::STANDARD};
use p12_keystore::{
    Certificate as Bag, EncryptionAlgorithm, KeyStore, KeyStoreEntry, Pkcs12Archive, PrivateKey as BagKey,
    PrivateKeyChain,
};
use serde::{Deserialize, Serialize};
use x509_cert::{
    Certificate,
    der::{Decode, Encode},
};

use super::{CryptoError, PrivateKey, thumbprint};

/// A certificate with its private key and the certificates above it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Chain {
    pub key: PrivateKey,
    /// DER, in the order in which they are exported.
    pub certificates: Vec<Vec<u8>>,
    /// The place of the certificate itself; not the first only where an import kept its order.
    #[serde(default)]
    pub(super) leaf: usize,
}

impl Chain {
    /// The certificate itself.
    pub fn leaf(&self) -> &[u8] {
        self.certificates.get(self.leaf).map_or(&[], Vec::as_slice)
    }

    /// A PFX without password. Two exports differ byte by byte, by their salts.
    pub fn to_pkcs12(&self) -> Result<Vec<u8>, CryptoError> {
        let bag = |der: &Vec<u8>| Bag::from_der(der).map_err(|_| CryptoError::Certificate);
        let mut bags: Vec<Bag> = self.certificates.iter().map(bag).collect::<Result<_, _>>()?;
        // The format marks the first as the key's own.
        bags[..=self.leaf].rotate_right(1);
        let key = BagKey::from_der(&self.key.to_pkcs8_der()?).map_err(|_| CryptoError::Key)?;
        let id = thumbprint(self.leaf());
        let mut store = KeyStore::new();
        store.add_entry("certificate", KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(id.as_slice(), key, bags)));
        // What protects nothing need not be slow: the password is empty.
        let writer = store.writer("").encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256);
        writer.encryption_iterations(2_000).mac_iterations(2_000).write().map_err(|_| CryptoError::Bundle)
    }

    /// The key as PKCS#8, then the certificates.
    pub fn to_pem_bundle(&self) -> Result<String, CryptoError> {
        Ok(format!("{}{}", self.key.to_pem()?, self.certificates_pem()))
    }

    /// The certificates alone.
    pub fn certificates_pem(&self) -> String {
        self.certificates.iter().map(|der| pem(der)).collect()
    }

    /// The certificates alone, as PKCS#12.
    pub fn certificates_pkcs12(&self) -> Result<Vec<u8>, CryptoError> {
        let mut store = KeyStore::new();
        for (place, der) in self.certificates.iter().enumerate() {
            let bag = Bag::from_der(der).map_err(|_| CryptoError::Certificate)?;
            store.add_entry(&format!("certificate {place}"), KeyStoreEntry::Certificate(bag));
        }
        store.writer("").encryption_iterations(2_000).mac_iterations(2_000).write().map_err(|_| CryptoError::Bundle)
    }

    /// Reads a PFX.
    pub fn from_pkcs12(bytes: &[u8], password: &str, preserve_order: bool) -> Result<Self, CryptoError> {
        let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(|_| CryptoError::Bundle)?;
        let key = archive.keys.first().ok_or(CryptoError::NoPrivateKey)?;
        let key = PrivateKey::from_pkcs8_der(key.key.as_der())?;
        let certificates = archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect();
        Self::assemble(key, certificates, preserve_order)
    }

    /// Reads PEM blocks: one private key as PKCS#8, and certificates.
    pub fn from_pem_bundle(text: &str, preserve_order: bool) -> Result<Self, CryptoError> {
        let blocks = blocks(text);
        let (label, key) =
            blocks.iter().find(|(label, _)| label.ends_with("PRIVATE KEY")).ok_or(CryptoError::NoPrivateKey)?;
        if label != "PRIVATE KEY" {
            return Err(CryptoError::NotPkcs8(label.clone()));
        }
        let key = PrivateKey::from_pem(key)?;
        let certificates = blocks.iter().filter(|(label, _)| label == "CERTIFICATE").map(|(_, block)| {
            let body: String = block.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
            STANDARD.decode(body).map_err(|_| CryptoError::Certificate)
        });
        Self::assemble(key, certificates.collect::<Result<_, _>>()?, preserve_order)
    }

    /// Leaves the certificates as they were, or puts the key's own first and the others in the order in which they signed.
    fn assemble(key: PrivateKey, mut given: Vec<Vec<u8>>, preserve_order: bool) -> Result<Self, CryptoError> {
        let public = key.public_spki_der()?;
        let parsed = |der: &[u8]| Certificate::from_der(der).map_err(|_| CryptoError::Certificate);
        let mut place = None;
        for (n, der) in given.iter().enumerate() {
            let own = parsed(der)?
                .tbs_certificate()
                .subject_public_key_info()
                .to_der()
                .map_err(|_| CryptoError::Certificate)?;
            if own == public {
                place.get_or_insert(n);
            }
        }
        let leaf = place.ok_or(CryptoError::Unrelated)?;
        if preserve_order {
            return Ok(Self { key, certificates: given, leaf });
        }
        let mut certificates = vec![given.remove(leaf)];
        while let Some(last) = certificates.last() {
            let issuer = parsed(last)?.tbs_certificate().issuer().clone();
            let next = given
                .iter()
                .position(|der| parsed(der).is_ok_and(|above| *above.tbs_certificate().subject() == issuer));
            let Some(next) = next else { break };
            certificates.push(given.remove(next));
        }
        certificates.append(&mut given);
        Ok(Self { key, certificates, leaf: 0 })
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned());
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.collect::<Vec<_>>().join("\n"))
}

/// The PEM blocks of a text, with their labels.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(str::trim) {
        if let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) {
            open = Some((label.to_owned(), format!("{line}\n")));
        } else if let Some((_, body)) = &mut open {
            body.push_str(line);
            body.push('\n');
            if line.starts_with("-----END ") {
                blocks.extend(open.take());
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Curve, IssueSpec, KeySpec};

    fn issued(key: KeySpec, above: u32) -> Chain {
        let spec = IssueSpec { above, ..IssueSpec::of("CN=example.test,O=Example") };
        Chain::issue(PrivateKey::generate(key).unwrap(), &spec).unwrap()
    }

    const EC: KeySpec = KeySpec::Ec { curve: Curve::P256 };

    #[test]
    fn both_formats_carry_the_key_and_the_whole_chain_in_order() {
        for key in [KeySpec::Rsa { bits: 2_048 }, EC] {
            let chain = issued(key, 2);
            assert_eq!(chain.certificates.len(), 3);
            let pfx = chain.to_pkcs12().unwrap();
            assert_ne!(pfx, chain.to_pkcs12().unwrap());
            for read in
                [Chain::from_pkcs12(&pfx, "", true), Chain::from_pem_bundle(&chain.to_pem_bundle().unwrap(), false)]
            {
                let read = read.unwrap();
                assert_eq!(read.certificates, chain.certificates);
                assert_eq!(read.key.public_jwk(), chain.key.public_jwk());
            }
        }
    }

    #[test]
    fn the_keys_own_certificate_comes_first_unless_the_order_is_to_be_kept() {
        let chain = issued(EC, 2);
        let mut shuffled = chain.clone();
        shuffled.certificates.reverse();
        let read = |preserve| Chain::from_pem_bundle(&shuffled.to_pem_bundle().unwrap(), preserve).unwrap();
        assert_eq!(read(false).certificates, chain.certificates);
        let kept = read(true);
        assert_eq!((kept.certificates.as_slice(), kept.leaf()), (shuffled.certificates.as_slice(), chain.leaf()));
        let exported = Chain::from_pkcs12(&kept.to_pkcs12().unwrap(), "", false).unwrap();
        assert_eq!(exported.certificates, chain.certificates);
    }

    #[test]
    fn a_bundle_without_its_private_key_is_told_apart() {
        let chain = issued(EC, 0);
        assert_eq!(Chain::from_pem_bundle(&chain.certificates_pem(), true).err(), Some(CryptoError::NoPrivateKey));
        assert_eq!(
            Chain::from_pkcs12(&chain.certificates_pkcs12().unwrap(), "", true).err(),
            Some(CryptoError::NoPrivateKey)
        );
        assert_eq!(Chain::from_pkcs12(b"nothing", "", true).err(), Some(CryptoError::Bundle));
    }

    #[test]
    fn a_private_key_that_is_not_pkcs8_is_refused() {
        let pem = issued(EC, 0).to_pem_bundle().unwrap();
        for label in ["EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let other = pem.replace("PRIVATE KEY", label);
            assert_eq!(Chain::from_pem_bundle(&other, true).err(), Some(CryptoError::NotPkcs8(label.to_owned())));
        }
    }
}
