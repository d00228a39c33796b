//! Secrets: values, versions, attributes.

use std::collections::BTreeMap;

use proto_msgs::{ItemType, Timestamp, vault::Attributes};

use super::{Claim, Stage, correlation, fails, holds, name, open_gate, pair, plain, refused, stage, tagged};
use crate::{SecretValue, VaultErrorKind};

fn text(value: &str) -> SecretValue {
    SecretValue::from_text(value.to_owned())
}

pub async fn a_secret_is_read_with_value_and_attributes(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let answer = vault.read_secret(&name("db"), None, correlation()).await?;
    holds!(answer.request_id.is_some(), "an answer without id");
    holds!(answer.date.unix_seconds() > 0 && answer.date.unix_millis() % 1000 == 0, "{:?}", answer.date);
    let secret = answer.value;
    holds!(secret.value == text("first") && !secret.managed, "another value, or managed");
    holds!(secret.state.version.is_some() && secret.state.x5t.is_none(), "{:?}", secret.state);
    let expected = Attributes { content_type: Some("text/plain".to_owned()), ..tagged("a", "b") };
    holds!(secret.state.attributes == expected, "{:?}", secret.state);
    let timed = vault.read_secret(&name("timed"), None, correlation()).await?.value.state.attributes;
    let times = [timed.not_before, timed.expires].map(|time| time.map(Timestamp::unix_seconds));
    holds!(times == [Some(stage::TIMES.0), Some(stage::TIMES.1)], "{timed:?}");
    fails("absent", vault.read_secret(&name("absent"), None, correlation()).await, VaultErrorKind::NotFound)
}

pub async fn a_named_version_is_read(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    let secret = name("versioned");
    let mut versions = Vec::new();
    for value in ["one", "two"] {
        let written = vault.write_secret(&secret, &text(value), &plain(), &open_gate(), correlation()).await?;
        versions.push(written.value.version);
    }
    let first = vault.read_secret(&secret, versions[0].as_ref(), correlation()).await?.value;
    holds!(first.value == text("one") && first.state.version == versions[0], "{:?}", first.state);
    let newest = vault.read_secret(&secret, None, correlation()).await?.value;
    holds!(newest.value == text("two") && newest.state.version == versions[1], "{:?}", newest.state);
    Ok(())
}

pub async fn a_write_makes_a_new_version_with_all_attributes(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    let attributes = Attributes {
        enabled: true,
        not_before: Some(Timestamp::from_unix_seconds(1_500_000_000)),
        expires: Some(Timestamp::from_unix_seconds(3_900_000_000)),
        content_type: Some("application/json".to_owned()),
        tags: BTreeMap::from([("x".to_owned(), "1".to_owned()), ("y".to_owned(), String::new())]),
        ..plain()
    };
    let secret = name("new");
    let first = vault.write_secret(&secret, &text("1"), &attributes, &open_gate(), correlation()).await?;
    holds!(first.request_id.is_some() && first.date.unix_seconds() > 0, "an answer without id or date");
    holds!(first.value.attributes == attributes && first.value.updated.is_some(), "{:?}", first.value);
    let second = vault.write_secret(&secret, &text("2"), &plain(), &open_gate(), correlation()).await?.value;
    holds!(second.version != first.value.version && second.attributes == plain(), "{second:?}");
    let versions = vault.versions(ItemType::Secrets, &secret, correlation()).await?.value;
    holds!(versions.len() == 2, "{versions:?}");
    let read = vault.read_secret(&secret, None, correlation()).await?.value;
    holds!(read.state == second && read.value == text("2"), "{:?}", read.state);
    Ok(())
}

pub async fn an_update_makes_no_new_version(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    let secret = name("updated");
    let before = Attributes { content_type: Some("text/plain".to_owned()), ..tagged("a", "b") };
    let written = vault.write_secret(&secret, &text("x"), &before, &open_gate(), correlation()).await?.value;
    let expires = Some(Timestamp::from_unix_seconds(3_900_000_000));
    let kind = |kind: &str| Some(kind.to_owned());
    let html = Attributes { enabled: false, expires, content_type: kind("text/html"), ..tagged("c", "d") };
    // Tags that are not given are cleared, a content type is not: that takes an empty one.
    let untagged = Attributes { expires, content_type: kind("text/html"), ..plain() };
    let untyped = Attributes { expires, ..plain() };
    for (given, after) in [
        (html.clone(), html),
        (untyped.clone(), untagged),
        (Attributes { content_type: kind(""), ..untyped.clone() }, untyped),
    ] {
        let updated = vault.update(ItemType::Secrets, &secret, &given, &open_gate(), correlation()).await?.value;
        holds!(updated.version == written.version && updated.attributes == after, "{updated:?}");
        let meta = vault.read_meta(ItemType::Secrets, &secret, correlation()).await?.value;
        holds!(meta == updated, "{meta:?} {updated:?}");
    }
    let versions = vault.versions(ItemType::Secrets, &secret, correlation()).await?.value;
    holds!(versions.len() == 1, "{versions:?}");
    let absent = vault.update(ItemType::Secrets, &name("absent"), &plain(), &open_gate(), correlation()).await;
    fails("absent", absent, VaultErrorKind::NotFound)
}

pub async fn an_update_cannot_clear_times(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let updated = vault.update(ItemType::Secrets, &name("timed"), &plain(), &open_gate(), correlation()).await?.value;
    let times =
        [updated.attributes.not_before, updated.attributes.expires].map(|time| time.map(Timestamp::unix_seconds));
    holds!(times == [Some(stage::TIMES.0), Some(stage::TIMES.1)], "{updated:?}");
    Ok(())
}

pub async fn a_disabled_secret_cannot_be_read_and_can_be_enabled(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let off = name("off");
    let error = refused("off", vault.read_secret(&off, None, correlation()).await)?;
    holds!(error.kind == VaultErrorKind::Disabled, "{error:?}");
    holds!(error.azure_code.as_deref() == Some("SecretDisabled") && error.azure_request_id.is_some(), "{error:?}");
    let enabled = vault.update(ItemType::Secrets, &off, &tagged("a", "b"), &open_gate(), correlation()).await?.value;
    holds!(enabled.attributes.enabled, "{enabled:?}");
    let read = vault.read_secret(&off, None, correlation()).await?.value;
    holds!(read.state == enabled, "{:?} {enabled:?}", read.state);
    Ok(())
}

pub async fn a_secret_behind_a_certificate_is_read_and_never_written(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let tls = name("tls");
    let read = vault.read_secret(&tls, None, correlation()).await?.value;
    holds!(read.managed, "{:?}", read.state);
    holds!(read.state.attributes.content_type.as_deref() == Some("application/x-pkcs12"), "{:?}", read.state);
    let written = vault.write_secret(&tls, &text("x"), &plain(), &open_gate(), correlation()).await;
    fails("write", written, VaultErrorKind::ManagedByCertificate)?;
    let updated = vault.update(ItemType::Secrets, &tls, &plain(), &open_gate(), correlation()).await;
    fails("update", updated, VaultErrorKind::ManagedByCertificate)
}

pub async fn what_is_too_large_is_rejected(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    let large = name("large");
    let tags = |count: usize| (0..count).map(|n| (n.to_string(), String::new())).collect();
    let too_many = Attributes { tags: tags(16), ..plain() };
    let too_long = Attributes { content_type: Some("x".repeat(256)), ..plain() };
    for (what, value, attributes) in [
        ("value", text(&"x".repeat(25 * 1024 + 1)), &plain()),
        ("tags", text("x"), &too_many),
        ("tag", text("x"), &tagged("x", &"y".repeat(513))),
        ("content type", text("x"), &too_long),
    ] {
        let written = vault.write_secret(&large, &value, attributes, &open_gate(), correlation()).await;
        let error = refused(what, written)?;
        holds!(error.kind == VaultErrorKind::Rejected && error.left_no_trace(), "{what}: {error:?}");
    }
    let largest = Attributes { content_type: Some("x".repeat(255)), tags: tags(15), ..plain() };
    let value = text(&"x".repeat(25 * 1024));
    vault.write_secret(&large, &value, &largest, &open_gate(), correlation()).await?;
    let updated = vault.update(ItemType::Secrets, &large, &too_many, &open_gate(), correlation()).await;
    fails("update", updated, VaultErrorKind::Rejected)
}

pub async fn names_compare_without_case(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    let written = vault.write_secret(&name("Mixed"), &text("1"), &plain(), &open_gate(), correlation()).await?.value;
    let read = vault.read_secret(&name("mIXED"), None, correlation()).await?.value;
    holds!(read.state == written, "{:?}", read.state);
    vault.write_secret(&name("MIXED"), &text("2"), &plain(), &open_gate(), correlation()).await?;
    let listed = super::listings::live(vault.as_ref(), ItemType::Secrets).await?;
    let listed: Vec<_> = listed.iter().filter(|item| item.name == name("mixed")).collect();
    holds!(listed.len() == 1 && listed[0].name.as_str() == "Mixed", "{listed:?}");
    Ok(())
}

pub async fn a_value_that_is_no_text_is_not_sent(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    let value = SecretValue::new(vec![0xff, 0xfe]);
    let written = vault.write_secret(&name("bytes"), &value, &plain(), &open_gate(), correlation()).await;
    let error = refused("bytes", written)?;
    holds!(error.kind == VaultErrorKind::Rejected && error.left_no_trace(), "{error:?}");
    Ok(())
}

pub async fn values_of_all_kinds_arrive_as_they_are(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    let secret = name("odd");
    for value in
        [" ", "\"quoted\" \\ and /", "lines\r\n\tand\u{8}\u{c}\u{1}controls", "ünïcödé 𝄞 \u{2028}", "{\"value\":\"x\"}"]
    {
        vault.write_secret(&secret, &text(value), &plain(), &open_gate(), correlation()).await?;
        let read = vault.read_secret(&secret, None, correlation()).await?.value.value;
        holds!(read == text(value), "{value:?} arrived changed");
    }
    Ok(())
}
