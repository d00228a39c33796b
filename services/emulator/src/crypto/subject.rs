//! A certificate's subject, as people write it: `CN=example.test, O="Example, Inc."`.
//!
//! Deliberately absent: a part that comes more than once, such as the `DC`s of a domain.

use rcgen::{DistinguishedName, DnType};

use super::CryptoError;

/// Reads a subject. A value in quotes may have commas in it, and quotes that are doubled.
pub fn read(text: &str) -> Result<DistinguishedName, CryptoError> {
    let mut name = DistinguishedName::new();
    for part in parts(text)? {
        let (kind, value) =
            part.split_once('=').ok_or_else(|| refused(&format!("`{part}` is no part of a subject")))?;
        let (kind, value) = (kind_of(kind.trim())?, unquoted(value.trim())?);
        if name.get(&kind).is_some() {
            return Err(refused(&format!("`{part}` is not the first of its kind in the subject")));
        }
        name.push(kind, value);
    }
    Ok(name)
}

/// What is between the commas that are not in quotes.
fn parts(text: &str) -> Result<Vec<String>, CryptoError> {
    let (mut parts, mut is_quoted) = (vec![String::new()], false);
    for letter in text.chars() {
        is_quoted ^= letter == '"';
        match parts.last_mut() {
            Some(_) if letter == ',' && !is_quoted => parts.push(String::new()),
            Some(part) => part.push(letter),
            None => {}
        }
    }
    if is_quoted {
        return Err(refused("a quote in the subject does not end"));
    }
    Ok(parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
}

fn unquoted(value: &str) -> Result<String, CryptoError> {
    let inner = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'));
    let plain = inner.map(|inner| inner.replace("\"\"", "")).filter(|plain| !plain.contains('"'));
    match (inner, plain) {
        (Some(inner), Some(_)) => Ok(inner.replace("\"\"", "\"")),
        (Some(_) | None, _) => Err(refused(&format!("the quotes of `{value}` are not around all of it"))),
    }
}

fn kind_of(name: &str) -> Result<DnType, CryptoError> {
    Ok(match name.to_ascii_uppercase().as_str() {
        "CN" => DnType::CommonName,
        "O" => DnType::OrganizationName,
        "OU" => DnType::OrganizationalUnitName,
        "C" => DnType::CountryName,
        "L" => DnType::LocalityName,
        "S" | "ST" => DnType::StateOrProvinceName,
        "SERIALNUMBER" => DnType::CustomDnType(vec![2, 5, 4, 5]),
        "DC" => DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 25]),
        "E" => DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]),
        other => return Err(refused(&format!("`{other}` is not understood in a subject"))),
    })
}

fn refused(why: &str) -> CryptoError {
    CryptoError::Issue(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::DnValue;

    #[test]
    fn commas_and_quotes_in_quotes_belong_to_the_value() {
        let name = read(r#"CN=a.test, O="Example, ""the"" Inc." ,E=a@b.test"#).unwrap();
        let value = |kind: &DnType| name.get(kind).cloned();
        assert_eq!(value(&DnType::CommonName), Some(DnValue::from("a.test")));
        assert_eq!(value(&DnType::OrganizationName), Some(DnValue::from("Example, \"the\" Inc.")));
        assert_eq!(name.iter().count(), 3);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for text in ["a", "X=1", "CN=a,CN=b", "CN=\"a", "CN=a\"b\"", "DC=a,DC=b"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
