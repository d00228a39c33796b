//! The plan, rule by rule.

mod rules;

use super::*;
use crate::fixtures::{REVISION, at, attributes, baseline, config, item, page, record, report, side};
use crate::lifecycle;
use proto_msgs::{
    Config,
    vault::{Attributes, VaultIdentity},
};
use proto_msgs::{
    Record, Rule, Sequence,
    record::{Leave, LeaveKind, OutcomeKind},
    vault::DeletedMeta,
    worker::Listing,
};

fn listed(kind: ItemType, items: Vec<ItemMeta>) -> Inventory {
    let mut inventory = Inventory::new();
    inventory.add(kind, page(items));
    inventory.finish(kind, Listing::Live);
    inventory
}

fn leave() -> Leave {
    Leave { actor: "a".into(), at: at(0), sequence: Sequence(1), target_version: None, kind: LeaveKind::Acknowledge }
}

fn only_step(plan: &Plan) -> &Action {
    assert_eq!(plan.steps.len(), 1, "{plan:?}");
    &plan.steps[0].action
}

fn code_of(action: &Action) -> Option<ErrorCode> {
    match action {
        Action::Block { code, .. } => Some(*code),
        Action::Delete { held: Some(_), .. } => Some(ErrorCode::DeleteHeld),
        Action::Sync { .. } | Action::Miss(_) | Action::Found | Action::Delete { held: None, .. } => None,
    }
}

/// Plans a first cycle: nothing was claimed, nothing missed before.
fn plan(config: &Config, index: &Index, source: &Inventory, target: &Inventory) -> Result<Plan, RuleError> {
    let (claims, run, now) = (Claims::new(), RunId::from_random(1), at(1_000));
    super::plan(&Given { config, index, source, target, claims: &claims, replaced: None, run, now })
}

fn index_of(record: &Record) -> Index {
    let mut index = Index::new();
    index.upsert(record, Sequence(1));
    index
}

fn active(kind: ItemType, source_updated: i64, read_at: i64) -> Record {
    let mut source = side("s1", source_updated);
    if kind == ItemType::Certificates {
        source.x5t = Some("aa".to_owned());
    }
    lifecycle::succeeded(record(kind, "a", Status::Syncing), baseline(source, read_at), report(OutcomeKind::Written))
}

fn plan_one(kind: ItemType, config: &Config, entry: Option<&Record>, item: ItemMeta) -> Plan {
    let index = entry.map(index_of).unwrap_or_default();
    plan(config, &index, &listed(kind, vec![item]), &Inventory::new()).unwrap()
}

#[test]
fn a_new_matching_item_is_synced() {
    let plan = plan_one(ItemType::Secrets, &config(Rule::All {}), None, item("a", 1));
    assert!(matches!(only_step(&plan), Action::Sync { .. }));
}

#[test]
fn an_item_that_never_matched_leaves_no_record() {
    let plan = plan_one(ItemType::Secrets, &config(Rule::Tagged { tag: "replicate".into() }), None, item("a", 1));
    assert_eq!(plan, Plan::default());
}

#[test]
fn a_record_that_no_longer_matches_is_disabled_and_comes_back_by_itself() {
    let mut config = config(Rule::Tagged { tag: "replicate".into() });
    let plan = plan_one(ItemType::Secrets, &config, Some(&active(ItemType::Secrets, 1, 10)), item("a", 1));
    assert_eq!(code_of(only_step(&plan)), Some(ErrorCode::RuleNoMatch));

    let disabled =
        lifecycle::blocked(active(ItemType::Secrets, 1, 10), ErrorCode::RuleNoMatch, "x".into(), None, None, REVISION);
    assert_eq!(disabled.status, Status::Disabled);
    config.spec.rule = Rule::All {};
    let plan = plan_one(ItemType::Secrets, &config, Some(&disabled), item("a", 1));
    assert!(matches!(only_step(&plan), Action::Sync { .. }));
}

#[test]
fn what_an_operator_disabled_stays_so() {
    let disabled = lifecycle::blocked(
        active(ItemType::Secrets, 1, 10),
        ErrorCode::OperatorDisabled,
        "x".into(),
        None,
        None,
        REVISION,
    );
    let plan = plan_one(ItemType::Secrets, &config(Rule::All {}), Some(&disabled), item("a", 99));
    assert_eq!((plan.steps.len(), plan.unchanged), (0, 1));
}

#[test]
fn an_excluded_item_has_a_record_that_says_so() {
    let mut config = config(Rule::All {});
    config.spec.exclude = vec!["a*".to_owned()];
    let plan = plan_one(ItemType::Secrets, &config, None, item("A", 1));
    assert_eq!(code_of(only_step(&plan)), Some(ErrorCode::Excluded));
}

#[test]
fn an_unchanged_item_costs_nothing() {
    let plan =
        plan_one(ItemType::Secrets, &config(Rule::All {}), Some(&active(ItemType::Secrets, 1, 10)), item("a", 1));
    assert_eq!((plan.steps.len(), plan.unchanged), (0, 1));
}

#[test]
fn a_change_of_time_attributes_or_tags_is_a_change() {
    let entry = active(ItemType::Secrets, 1, 10);
    let mut tagged = item("a", 1);
    tagged.attributes.tags.insert("x".into(), "y".into());
    let mut typed = item("a", 1);
    typed.attributes.content_type = Some("text/plain".into());
    let mut off = item("a", 1);
    off.attributes.enabled = false;
    for changed in [item("a", 2), tagged, typed, off] {
        let plan = plan_one(ItemType::Secrets, &config(Rule::All {}), Some(&entry), changed);
        assert!(matches!(only_step(&plan), Action::Sync { .. }), "{plan:?}");
    }
}

#[test]
fn a_source_read_in_the_second_it_changed_counts_as_changed() {
    for (read_at, steps) in [(1, 1), (2, 1), (3, 0), (9, 0)] {
        let plan = plan_one(
            ItemType::Secrets,
            &config(Rule::All {}),
            Some(&active(ItemType::Secrets, 1, read_at)),
            item("a", 1),
        );
        assert_eq!(plan.steps.len(), steps, "read {read_at}");
    }
}

#[test]
fn a_disabled_source_is_blocked_unless_it_was_synced_before() {
    let mut off = item("a", 5);
    off.attributes = Attributes { enabled: false, ..attributes() };
    let plan = plan_one(ItemType::Secrets, &config(Rule::All {}), None, off.clone());
    assert_eq!(code_of(only_step(&plan)), Some(ErrorCode::SourceDisabled));
    let plan = plan_one(ItemType::Secrets, &config(Rule::All {}), Some(&active(ItemType::Secrets, 1, 10)), off);
    assert!(matches!(only_step(&plan), Action::Sync { .. }));
}

#[test]
fn keys_stay_in_their_geography_and_subscription() {
    let target = config(Rule::All {}).target;
    let elsewhere = VaultIdentity { geography: Some("Asia Pacific".into()), ..target.clone() };
    let other_subscription = VaultIdentity { subscription: Some("other".into()), ..target.clone() };
    let cases = [
        (elsewhere, ErrorCode::CrossGeographyKey),
        (other_subscription, ErrorCode::CrossSubscriptionKey),
        (VaultIdentity { geography: None, ..target.clone() }, ErrorCode::GeographyUnknown),
        (VaultIdentity { subscription: None, ..target }, ErrorCode::GeographyUnknown),
    ];
    for (target, expected) in cases {
        let config = Config { target, ..config(Rule::All {}) };
        let plan = plan_one(ItemType::Keys, &config, None, item("a", 1));
        assert_eq!(code_of(only_step(&plan)), Some(expected));
        let plan = plan_one(ItemType::Secrets, &config, None, item("a", 1));
        assert!(matches!(only_step(&plan), Action::Sync { .. }), "only keys are bound");
    }
}

#[test]
fn what_key_vault_keeps_behind_a_certificate_never_becomes_a_record() {
    let managed = ItemMeta { managed: true, ..item("a", 1) };
    let mut config = config(Rule::All {});
    assert_eq!(plan_one(ItemType::Secrets, &config, None, managed.clone()), Plan::default());
    config.spec.item_types.remove(&ItemType::Certificates);
    let plan = plan_one(ItemType::Secrets, &config, None, managed);
    assert_eq!(code_of(only_step(&plan)), Some(ErrorCode::ManagedByCertificate));
}

#[test]
fn a_certificate_that_was_never_issued_is_pending_and_a_renewal_is_not() {
    let plan = plan_one(ItemType::Certificates, &config(Rule::All {}), None, item("a", 1));
    assert_eq!(code_of(only_step(&plan)), Some(ErrorCode::CertificatePending));
    let issued = ItemMeta { x5t: Some("aa".into()), ..item("a", 1) };
    let plan = plan_one(ItemType::Certificates, &config(Rule::All {}), None, issued);
    assert!(matches!(only_step(&plan), Action::Sync { .. }));
}

#[test]
fn soft_deleted_items_on_either_side_are_shown() {
    let deleted = || DeletedMeta { item: item("a", 1), deleted: Some(at(2)), purge_due: None };
    let mut gone = Inventory::new();
    gone.add(ItemType::Secrets, proto_msgs::worker::InventoryPage { deleted: vec![deleted()], ..page(Vec::new()) });
    let config = config(Rule::All {});

    let at_source = plan(&config, &Index::new(), &gone, &Inventory::new()).unwrap();
    assert_eq!(code_of(only_step(&at_source)), Some(ErrorCode::SourceSoftDeleted));
    let at_target = plan(&config, &Index::new(), &listed(ItemType::Secrets, vec![item("a", 1)]), &gone).unwrap();
    assert_eq!(code_of(only_step(&at_target)), Some(ErrorCode::TargetSoftDeleted));
}

#[test]
fn a_conflict_is_not_attempted_again_until_something_changes() {
    let mut blocked = lifecycle::blocked(
        record(ItemType::Secrets, "a", Status::Syncing),
        ErrorCode::TargetConflictActive,
        "x".into(),
        Some(side("s1", 1)),
        None,
        REVISION,
    );
    let config = config(Rule::All {});
    let target = listed(ItemType::Secrets, vec![item("a", 1)]);
    let steps = |record: &Record, config: &Config, source: ItemMeta, target: &Inventory| {
        plan(config, &index_of(record), &listed(ItemType::Secrets, vec![source]), target).unwrap().steps.len()
    };
    assert_eq!(steps(&blocked, &config, item("a", 1), &target), 0);
    assert_eq!(steps(&blocked, &config, item("a", 2), &target), 1);
    assert_eq!(steps(&blocked, &config, item("a", 1), &listed(ItemType::Secrets, vec![])), 1);
    let mut overwriting = config.clone();
    overwriting.spec.behaviour.overwrite_on_conflict = true;
    assert_eq!(steps(&blocked, &overwriting, item("a", 1), &target), 1);
    blocked.leave = Some(leave());
    assert_eq!(steps(&blocked, &config, item("a", 1), &target), 1);
}

#[test]
fn a_record_with_an_attempt_under_way_is_left_to_it() {
    let mut config = config(Rule::All {});
    config.spec.exclude = vec!["*".to_owned()];
    let plan =
        plan_one(ItemType::Secrets, &config, Some(&record(ItemType::Secrets, "a", Status::Syncing)), item("a", 1));
    assert_eq!(plan.steps.len(), 0);
}

#[test]
fn planning_again_after_the_blocks_are_taken_yields_nothing() {
    let mut config = config(Rule::All {});
    config.target.geography = Some("Asia Pacific".to_owned());
    config.spec.exclude = vec!["x*".to_owned()];
    let mut off = item("off", 1);
    off.attributes.enabled = false;
    let mut source = listed(ItemType::Secrets, vec![item("x1", 1), off]);
    source.add(ItemType::Keys, page(vec![item("k", 1)]));
    source.add(ItemType::Certificates, page(vec![item("c", 1)]));

    let mut index = Index::new();
    let first = plan(&config, &index, &source, &Inventory::new()).unwrap();
    assert_eq!(first.steps.len(), 4);
    for (n, step) in first.steps.into_iter().enumerate() {
        let new = record(step.key.kind, step.key.name.as_str(), Status::Pending);
        let matcher = Matcher::new(&config.spec).unwrap();
        let blocked = next(new, &step.action, &matcher, RunId::from_random(1), REVISION);
        assert!(blocked.status.is_blocked(), "{blocked:?}");
        index.upsert(&blocked, Sequence(n as u64 + 1));
    }
    let second = plan(&config, &index, &source, &Inventory::new()).unwrap();
    assert_eq!((second.steps.len(), second.unchanged), (0, 4));
}

#[test]
fn a_record_whose_item_is_not_listed_is_left_alone() {
    let plan =
        plan(&config(Rule::All {}), &index_of(&active(ItemType::Secrets, 1, 10)), &Inventory::new(), &Inventory::new())
            .unwrap();
    assert_eq!((plan.steps.len(), plan.unchanged), (0, 1));
}
