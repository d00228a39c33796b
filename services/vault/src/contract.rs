//! What every implementation of the vault port must do: one claim per function, the same for Azure's adapter and for
//! the twin in memory.
//!
//! A claim plays on a [`Stage`]: the vaults and items of [`stage::VAULTS`], fresh for each claim, and a way to make
//! calls fail. [`crate::for_each_claim`] names all of them, so that nobody runs only some. Deliberately absent: what
//! only one implementation can show, such as identities or stalled writes.

pub mod certificates;
pub mod deletes;
pub mod failures;
pub mod keys;
pub mod listings;
pub mod resolving;
pub mod rights;
pub mod secrets;
pub mod stage;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use proto_msgs::{
    CorrelationId, ItemName, ItemType, VaultRef,
    config::DiscoveredVault,
    vault::{Attributes, Side, VaultIdentity},
};

use crate::{Operation, Vault, VaultError, VaultErrorKind, Vaults, WriteGate};

/// An implementation with the stage's vaults and items in it. Deleting and recovering take no time at first.
#[async_trait]
pub trait Stage: Send + Sync {
    fn vaults(&self) -> &dyn Vaults;

    /// Lets every call of that operation on that vault fail from now on.
    async fn fail(&self, vault: &str, operation: Operation, failure: Failure) -> Claim;

    /// How long deleting and recovering take from now on.
    async fn set_phase(&self, phase: Duration) -> Claim;

    /// Lets listings begin with an empty page that goes on.
    async fn begin_with_empty_pages(&self) -> Claim;

    /// Brings a soft-deleted item back, as somebody else.
    async fn recover(&self, vault: &str, kind: ItemType, name: &str) -> Claim;

    /// Ends a soft-deleted item for good, as somebody else.
    async fn purge(&self, vault: &str, kind: ItemType, name: &str) -> Claim;
}

/// How a call is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// 429, asking for so long a rest.
    Throttled(Option<Duration>),
    /// 503, before anything was done.
    Unavailable,
    /// 401, for whatever reason.
    Unauthenticated,
    /// Azure Policy refuses.
    PolicyDenied,
    /// It is done, and the connection breaks before the answer.
    Lost,
    /// Nothing is done, and nothing is ever answered.
    Hangs,
}

/// What a claim comes to.
pub type Claim = Result<(), Broken>;

/// A claim that does not hold, and how.
#[derive(PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(String);

impl Broken {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<VaultError> for Broken {
    fn from(error: VaultError) -> Self {
        Self(format!("{error}: {error:?}"))
    }
}

/// Calls a macro with the names of all claims, by subject.
#[macro_export]
macro_rules! for_each_claim {
    ($each:ident) => {
        $each! {
            resolving {
                a_vault_is_found_by_its_name_with_all_that_is_known_of_it,
                a_vault_that_nobody_sees_is_not_found,
                a_vault_by_hand_is_taken_at_its_word_and_asked_for_its_tenant,
            }
            listings {
                a_listing_comes_in_pages_with_metadata,
                an_empty_page_is_not_the_end,
                what_a_certificate_keeps_is_listed_as_managed,
                certificates_are_listed_with_thumbprints_and_pending_ones_without,
                deleted_items_are_listed_apart_with_their_end,
                a_continuation_elsewhere_is_not_followed,
                versions_are_listed_for_every_type,
                no_item_has_no_versions,
            }
            secrets {
                a_secret_is_read_with_value_and_attributes,
                a_named_version_is_read,
                a_write_makes_a_new_version_with_all_attributes,
                an_update_makes_no_new_version,
                an_update_cannot_clear_times,
                a_disabled_secret_cannot_be_read_and_can_be_enabled,
                a_secret_behind_a_certificate_is_read_and_never_written,
                what_is_too_large_is_rejected,
                names_compare_without_case,
                a_value_that_is_no_text_is_not_sent,
                values_of_all_kinds_arrive_as_they_are,
            }
            certificates {
                a_certificate_keeps_its_thumbprint_on_the_way,
                two_exports_of_a_certificate_differ,
                an_import_carries_policy_and_attributes,
                an_import_over_a_certificate_is_a_new_version,
                a_pending_certificate_has_no_version,
                what_may_not_be_exported_cannot_be_imported,
                an_expired_certificate_is_not_imported,
                a_disabled_certificate_is_not_exported,
                a_certificate_does_not_take_a_plain_name,
                a_request_under_way_keeps_an_import_out,
                what_is_no_certificate_is_rejected,
                an_update_of_a_certificate_makes_no_new_version,
            }
            keys {
                a_restored_key_keeps_everything,
                a_key_is_restored_only_where_there_is_none,
                a_key_is_not_restored_over_a_certificate,
                a_key_stays_in_its_geography,
                a_key_stays_in_its_subscription,
                a_key_with_too_many_versions_is_not_backed_up,
                a_key_behind_a_certificate_is_read_and_nothing_else,
                an_update_of_a_key_makes_no_new_version,
                what_is_no_backup_is_rejected,
            }
            deletes {
                a_deleted_item_is_in_the_deleted_listing_only,
                an_item_is_nowhere_while_it_is_being_deleted,
                a_deleted_name_cannot_be_written,
                a_name_cannot_be_written_while_it_is_being_deleted,
                nothing_is_deleted_twice,
                what_a_certificate_keeps_is_not_deleted_alone,
                a_deleted_certificate_takes_its_secret_and_key_along,
                a_recovered_item_is_back,
                an_item_is_nowhere_while_it_is_being_recovered,
                a_purged_item_is_nowhere,
                metadata_is_read_without_the_value,
                a_newest_version_that_cannot_be_told_is_not_named,
                a_version_made_later_is_named,
            }
            rights {
                a_missing_right_is_named_for_every_call,
                a_firewall_is_told_from_a_missing_right,
                a_closed_gate_lets_no_write_out,
                an_open_gate_is_asked_by_every_write,
                reads_need_no_gate,
            }
            failures {
                a_throttled_call_says_how_long_to_wait,
                a_throttled_write_has_not_written,
                an_outage_leaves_no_trace_of_a_read_and_may_of_a_write,
                a_vault_that_cannot_be_reached_leaves_no_trace,
                a_lost_answer_may_have_written_and_has,
                a_hanging_read_ends_at_the_deadline,
                a_hanging_write_ends_at_the_deadline,
                a_policy_refuses_in_its_own_name,
                an_identity_that_is_refused_is_told_by_side,
            }
        }
    };
}

/// Ends a claim that does not hold.
macro_rules! holds {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::contract::Broken::new(format!($($text)+)));
        }
    };
}
use holds;

/// The source and a target in the same geography and subscription.
struct Pair {
    from: Arc<dyn Vault>,
    into: Arc<dyn Vault>,
}

async fn pair(stage: &dyn Stage) -> Result<Pair, Broken> {
    Ok(Pair { from: source(stage, stage::FROM).await?, into: target(stage, stage::INTO).await? })
}

async fn source(stage: &dyn Stage, vault: &str) -> Result<Arc<dyn Vault>, Broken> {
    Ok(stage.vaults().open(Side::Source, &identity(stage, vault).await?).await?)
}

async fn target(stage: &dyn Stage, vault: &str) -> Result<Arc<dyn Vault>, Broken> {
    Ok(stage.vaults().open(Side::Target, &identity(stage, vault).await?).await?)
}

async fn identity(stage: &dyn Stage, vault: &str) -> Result<VaultIdentity, Broken> {
    let reference = VaultRef::Discovered(DiscoveredVault { vault: vault.to_owned() });
    let found = stage.vaults().resolve(Side::Source, &reference, correlation()).await;
    found.map_err(|failure| Broken::new(format!("{vault}: {failure:?}")))
}

fn correlation() -> CorrelationId {
    CorrelationId::from_random(5)
}

fn name(text: &str) -> ItemName {
    text.parse().expect("names in claims are names")
}

pub(crate) fn plain() -> Attributes {
    Attributes::plain()
}

fn tagged(name: &str, value: &str) -> Attributes {
    Attributes { tags: BTreeMap::from([(name.to_owned(), value.to_owned())]), ..plain() }
}

fn open_gate() -> WriteGate {
    WriteGate::new(|| true)
}

/// What a call that must fail failed with.
fn refused<T>(what: &str, result: Result<T, VaultError>) -> Result<VaultError, Broken> {
    match result {
        Ok(_) => Err(Broken::new(format!("{what}: was not refused"))),
        Err(error) => Ok(error),
    }
}

/// That a call fails, and how.
fn fails<T>(what: &str, result: Result<T, VaultError>, kind: VaultErrorKind) -> Claim {
    let error = refused(what, result)?;
    holds!(error.kind == kind, "{what}: {kind:?} was expected, not {error:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Claims as the sources have them.
    fn written() -> BTreeSet<&'static str> {
        let sources = [
            include_str!("contract/certificates.rs"),
            include_str!("contract/deletes.rs"),
            include_str!("contract/failures.rs"),
            include_str!("contract/keys.rs"),
            include_str!("contract/listings.rs"),
            include_str!("contract/resolving.rs"),
            include_str!("contract/rights.rs"),
            include_str!("contract/secrets.rs"),
        ];
        let starts = sources.into_iter().flat_map(|source| source.split("\npub async fn ").skip(1));
        starts.filter_map(|rest| rest.split('(').next()).collect()
    }

    #[test]
    fn every_claim_is_in_the_list_of_claims() {
        macro_rules! names {
            ($($subject:ident { $($claim:ident,)+ })+) => { [$($(stringify!($claim),)+)+] };
        }
        assert_eq!(BTreeSet::from(for_each_claim!(names)), written());
    }
}
