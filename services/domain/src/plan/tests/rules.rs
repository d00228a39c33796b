//! The rules of misses, deletes, drift and claims, each named, over whatever a source, a target and a record may be.

mod any;
mod shown;

use super::super::{page as plan_page, *};
use crate::fixtures::{REVISION, at, baseline, config, deleting, item, page, record, side};
use proto_msgs::{
    ConfigId, DriftPolicy, Record, Rule, Sequence,
    record::{Arrival, Leave, LeaveKind},
    vault::DeletedMeta,
    worker::InventoryPage,
};

/// A second miss comes this long after the first one in these tests; the interval is a day.
const LONG: i64 = 13 * 3_600;

/// What the source or the target lists under the name `a`, beside items of other names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Live(i64),
    Deleted,
    Nowhere,
}

#[derive(Debug, Clone, Copy)]
struct Listings {
    at: At,
    live_complete: bool,
    deleted_complete: bool,
}

fn complete(at: At) -> Listings {
    Listings { at, live_complete: true, deleted_complete: true }
}

fn inventory(listings: Listings) -> Inventory {
    let mut inventory = Inventory::new();
    let kind = ItemType::Secrets;
    let mut shown = InventoryPage { read_at: at(100_000), ..page(vec![item("other", 1)]) };
    match listings.at {
        At::Live(updated) => shown.live.push(item("a", updated)),
        At::Deleted => shown.deleted.push(DeletedMeta { item: item("a", 1), deleted: None, purge_due: None }),
        At::Nowhere => {}
    }
    inventory.add(kind, shown);
    if listings.live_complete {
        inventory.finish(kind, Listing::Live);
    }
    if listings.deleted_complete {
        inventory.finish(kind, Listing::Deleted);
    }
    inventory
}

/// One config with one record of interest, `a`, and nine healthy ones.
struct Scene {
    config: Config,
    record: Option<Record>,
    source: Inventory,
    target: Inventory,
    claims: Claims,
    run: u128,
    now: i64,
}

impl Scene {
    fn new(record: Record, source: Listings, target: Listings) -> Self {
        let mut config = config(Rule::All {});
        config.spec.item_types = [ItemType::Secrets].into();
        let (source, target) = (inventory(source), inventory(target));
        Self { config, record: Some(record), source, target, claims: Claims::new(), run: 2, now: LONG }
    }

    fn propagating(mut self, trigger: DeleteTrigger) -> Self {
        let behaviour = &mut self.config.spec.behaviour;
        (behaviour.propagate_deletes, behaviour.delete_trigger) = (true, trigger);
        self
    }

    fn with_policy(mut self, policy: DriftPolicy) -> Self {
        self.config.spec.behaviour.drift_policy = policy;
        self
    }

    fn index(&self) -> Index {
        let mut index = Index::new();
        for n in 0..9 {
            let healthy = Record { miss: None, ..record(ItemType::Keys, &format!("k{n}"), Status::Disabled) };
            index.upsert(&Record { code: Some(ErrorCode::SourceGone), ..healthy }, Sequence(100 + n));
        }
        index.upsert(&active("other", 1), Sequence(200));
        if let Some(record) = &self.record {
            index.upsert(record, Sequence(7));
        }
        index
    }

    fn plan(&self) -> Plan {
        let index = self.index();
        plan(&self.given(&index)).unwrap()
    }

    fn given<'a>(&'a self, index: &'a Index) -> Given<'a> {
        Given {
            config: &self.config,
            index,
            source: &self.source,
            target: &self.target,
            claims: &self.claims,
            replaced: None,
            run: RunId::from_random(self.run),
            now: at(self.now),
        }
    }

    /// What is planned for `a`.
    fn action(&self) -> Option<Action> {
        self.plan().steps.into_iter().find(|step| step.key.name.as_str() == "a").map(|step| step.action)
    }

    fn matcher(&self) -> Matcher {
        Matcher::new(&self.config.spec).unwrap()
    }

    /// `a` after the plan's step was taken.
    fn taken(&self) -> Option<Record> {
        let new = record(ItemType::Secrets, "a", Status::Pending);
        let before = self.record.clone().unwrap_or(new);
        let matcher = self.matcher();
        self.action().map(|action| next(before, &action, &matcher, RunId::from_random(self.run), REVISION))
    }
}

fn active(name: &str, source_updated: i64) -> Record {
    let source = side("s1", source_updated);
    Record {
        source_seen: Some(source.clone()),
        baseline: Some(baseline(source, 10)),
        ..record(ItemType::Secrets, name, Status::Active)
    }
}

fn missed(record: Record) -> Record {
    Record { miss: Some(Miss { run: RunId::from_random(1), at: at(0) }), ..record }
}

/// As the baseline of [`active`] left it.
const AS_LEFT: At = At::Live(500);

fn code(action: Option<&Action>) -> Option<ErrorCode> {
    match action? {
        Action::Block { code, .. } => Some(*code),
        Action::Delete { held: Some(_), .. } => Some(ErrorCode::DeleteHeld),
        Action::Sync { .. } | Action::Miss(_) | Action::Found | Action::Delete { held: None, .. } => None,
    }
}

#[test]
fn a_missing_item_gets_a_miss_and_only_the_second_disables_its_record() {
    let first = Scene::new(active("a", 1), complete(At::Nowhere), complete(AS_LEFT));
    let after = first.taken().unwrap();
    assert_eq!((after.status, after.miss.unwrap().run), (Status::Active, RunId::from_random(2)));

    let second = Scene::new(missed(active("a", 1)), complete(At::Nowhere), complete(AS_LEFT));
    assert_eq!(second.taken().map(|r| (r.status, r.code)), Some((Status::Disabled, Some(ErrorCode::SourceGone))));
    let same_run = Scene { run: 1, ..Scene::new(missed(active("a", 1)), complete(At::Nowhere), complete(AS_LEFT)) };
    assert_eq!(same_run.action(), None);
    let too_soon =
        Scene { now: 11 * 3_600, ..Scene::new(missed(active("a", 1)), complete(At::Nowhere), complete(AS_LEFT)) };
    assert_eq!(too_soon.action(), None);
}

#[test]
fn nothing_is_in_sync_with_a_vault_that_has_the_name_of_another_and_nothing_is_done_to_it() {
    let retrying = Record { status: Status::Retrying, code: Some(ErrorCode::Throttled), ..active("a", 1) };
    let gone = Record { status: Status::Disabled, code: Some(ErrorCode::SourceGone), ..active("a", 1) };
    for (before, is_concerned) in
        [(active("a", 1), true), (missed(active("a", 1)), true), (retrying, true), (gone, false)]
    {
        let scene = Scene::new(before, complete(At::Nowhere), complete(AS_LEFT)).propagating(DeleteTrigger::Purged);
        let index = scene.index();
        let plan = plan(&Given { replaced: Some(Side::Target), ..scene.given(&index) }).unwrap();
        let stopped = plan.steps.iter().filter(|step| step.key.name.as_str() == "a");
        assert_eq!(stopped.count(), usize::from(is_concerned));
        for step in &plan.steps {
            let after = next(active("a", 1), &step.action, &scene.matcher(), RunId::from_random(2), REVISION);
            assert_eq!((after.status, after.code), (Status::Failed, Some(ErrorCode::VaultReplaced)), "{step:?}");
        }
    }
    // Once the vault is back, what was in sync is looked at again.
    let back = Record { status: Status::Failed, code: Some(ErrorCode::VaultReplaced), ..active("a", 1) };
    let back = Scene::new(back, complete(At::Live(1)), complete(AS_LEFT));
    assert!(matches!(back.action(), Some(Action::Sync { .. })));
}

#[test]
fn an_item_that_comes_back_clears_the_miss_and_reactivates_its_record() {
    let back = Scene::new(missed(active("a", 1)), complete(At::Live(1)), complete(AS_LEFT));
    let after = back.taken().unwrap();
    assert_eq!((back.action(), after.status, after.miss), (Some(Action::Found), Status::Active, None));
    let gone = Record { status: Status::Disabled, code: Some(ErrorCode::SourceGone), ..missed(active("a", 1)) };
    let back = Scene::new(gone, complete(At::Live(1)), complete(AS_LEFT)).taken().unwrap();
    assert_eq!((back.status, back.miss), (Status::Pending, None));
}

#[test]
fn a_disabled_record_whose_item_came_back_unseen_shows_that_it_can_be_recovered() {
    let off = |code| Record { status: Status::Disabled, code: Some(code), ..active("a", 1) };
    let deleted = |code| Scene::new(off(code), complete(At::Deleted), complete(AS_LEFT));
    for code in [ErrorCode::SourceGone, ErrorCode::RuleNoMatch] {
        let shown = deleted(code).propagating(DeleteTrigger::Purged).taken().unwrap();
        assert_eq!((shown.status, shown.miss), (Status::BlockedSourceSoftDeleted, None));
    }
    // A record that is off never deletes, where that means gone.
    let gone = deleted(ErrorCode::RuleNoMatch).propagating(DeleteTrigger::Deleted).taken().unwrap();
    assert_eq!((gone.status, gone.code), (Status::Disabled, Some(ErrorCode::SourceGone)));
    assert_eq!(deleted(ErrorCode::SourceGone).propagating(DeleteTrigger::Deleted).action(), None);
    let unlisted = Listings { live_complete: false, ..complete(At::Deleted) };
    let unlisted = Scene::new(off(ErrorCode::RuleNoMatch), unlisted, complete(AS_LEFT));
    assert_eq!(unlisted.propagating(DeleteTrigger::Deleted).action(), None, "it may be live as well");
    assert_eq!(deleted(ErrorCode::OperatorDisabled).action(), None);
}

#[test]
fn a_soft_deleted_source_is_shown_unless_its_delete_is_propagated_at_once() {
    let scene = || Scene::new(missed(active("a", 1)), complete(At::Deleted), complete(AS_LEFT));
    let shown = scene().propagating(DeleteTrigger::Purged).taken().unwrap();
    assert_eq!((shown.status, shown.miss), (Status::BlockedSourceSoftDeleted, None));
    let due = scene().propagating(DeleteTrigger::Deleted).action();
    assert_eq!(due, Some(Action::Delete { seen: DeleteTrigger::Deleted, held: None }));
}

#[test]
fn the_delete_of_an_item_whose_tag_was_taken_off_before_is_not_propagated() {
    for trigger in [DeleteTrigger::Deleted, DeleteTrigger::Purged] {
        let mut scene =
            Scene::new(missed(active("a", 1)), complete(At::Deleted), complete(AS_LEFT)).propagating(trigger);
        scene.config.spec.rule = Rule::Tagged { tag: "replicate".to_owned() };
        assert_eq!(code(scene.action().as_ref()), Some(ErrorCode::RuleNoMatch), "{trigger:?}");
    }
}

#[test]
fn a_delete_that_is_due_is_marked_and_ends_as_a_tombstone_from_which_a_first_write_begins() {
    let scene = Scene::new(missed(active("a", 1)), complete(At::Nowhere), complete(AS_LEFT));
    let due = scene.propagating(DeleteTrigger::Purged).taken().unwrap();
    assert_eq!((due.status, due.delete), (Status::Pending, Some(DeleteTrigger::Purged)));
    let report = crate::fixtures::report(proto_msgs::record::OutcomeKind::Deleted);
    let tombstone = crate::lifecycle::deleted(due, report, at(9));
    assert_eq!(
        (tombstone.status, tombstone.baseline.clone(), tombstone.deleted_at),
        (Status::Deleted, None, Some(at(9)))
    );
    let again = Scene::new(tombstone.clone(), complete(At::Nowhere), complete(At::Nowhere));
    assert_eq!(again.propagating(DeleteTrigger::Purged).action(), None);
    let back = Scene::new(tombstone, complete(At::Live(9)), complete(At::Nowhere)).taken().unwrap();
    assert_eq!((back.status, back.deleted_at), (Status::Pending, Some(at(9))));
}

#[test]
fn a_delete_whose_answer_was_lost_is_not_looked_for_before_its_time_though_its_item_is_back() {
    let due = Record { status: Status::Retrying, delete: Some(DeleteTrigger::Purged), ..active("a", 1) };
    let back = |unresolved| {
        Scene::new(Record { unresolved, ..due.clone() }, complete(At::Live(9)), complete(AS_LEFT)).action()
    };
    assert_eq!(back(Some(deleting())), None);
    assert!(matches!(back(None), Some(Action::Sync { thorough: true, .. })));
}

#[test]
fn a_held_delete_waits_for_release_and_goes_once() {
    let due = || missed(active("a", 1));
    let mut scene = Scene::new(due(), complete(At::Nowhere), complete(AS_LEFT)).propagating(DeleteTrigger::Purged);
    // The only other record of the type is gone too.
    let mut empty = Inventory::new();
    for listing in [Listing::Live, Listing::Deleted] {
        empty.finish(ItemType::Secrets, listing);
    }
    scene.source = empty;
    let held = scene.taken().unwrap();
    assert_eq!((held.status, held.delete), (Status::BlockedDeleteHeld, Some(DeleteTrigger::Purged)));

    let full = |record| Scene::new(record, complete(At::Nowhere), complete(AS_LEFT));
    assert_eq!(
        full(held.clone()).propagating(DeleteTrigger::Purged).action(),
        None,
        "a full listing does not release it"
    );
    let released = crate::lifecycle::released(held.clone(), "ann", REVISION).unwrap();
    assert_eq!((released.status, released.delete), (Status::Pending, Some(DeleteTrigger::Purged)));
    assert_eq!(crate::lifecycle::released(released.clone(), "ann", REVISION), None, "once");
    let on_its_way = full(released.clone()).propagating(DeleteTrigger::Purged).action();
    assert_eq!(on_its_way, Some(Action::Delete { seen: DeleteTrigger::Purged, held: None }), "and not held again");
    assert_eq!(code(full(released).action().as_ref()), Some(ErrorCode::SourceGone), "deletes were switched off");
    let back = Scene::new(held, complete(At::Live(1)), complete(AS_LEFT)).taken().unwrap();
    assert_eq!((back.status, back.delete), (Status::Pending, None));
}

#[test]
fn a_rule_that_no_longer_matches_disables_and_never_deletes() {
    let scene = || {
        Scene::new(missed(active("a", 1)), complete(At::Nowhere), complete(AS_LEFT)).propagating(DeleteTrigger::Purged)
    };
    let mut other = scene();
    other.config.spec.rule = Rule::Pattern { glob: "b*".into() };
    assert_eq!(code(other.action().as_ref()), Some(ErrorCode::RuleNoMatch));
    let mut tagged = scene();
    tagged.config.spec.rule = Rule::Tagged { tag: "replicate".into() };
    assert_eq!(tagged.taken().unwrap().code, Some(ErrorCode::RuleNoMatch), "as it was last seen, it had no tag");
    let mut narrowed = scene();
    narrowed.config.spec.item_types = [ItemType::Keys].into();
    assert_eq!(code(narrowed.action().as_ref()), Some(ErrorCode::RuleNoMatch));
    let mut excluded = scene();
    excluded.config.spec.exclude = vec!["a".into()];
    assert_eq!(code(excluded.action().as_ref()), Some(ErrorCode::SourceGone));
}

#[test]
fn drift_is_reported_corrected_or_blocked_as_the_policy_says() {
    let drift =
        |policy, source, there| Scene::new(active("a", 1), complete(source), complete(there)).with_policy(policy);
    let (same, newer, touched) = (At::Live(1), At::Live(9), At::Live(600));
    for there in [touched, At::Nowhere, At::Deleted] {
        for (policy, source) in [(DriftPolicy::Report, same), (DriftPolicy::Block, same), (DriftPolicy::Block, newer)] {
            let action = drift(policy, source, there).action();
            assert_eq!(code(action.as_ref()), Some(ErrorCode::Drift), "{policy:?} {source:?} {there:?}");
        }
    }
    for there in [touched, At::Nowhere] {
        for (policy, source) in [(DriftPolicy::Report, newer), (DriftPolicy::Correct, same)] {
            let action = drift(policy, source, there).action();
            assert!(matches!(action, Some(Action::Sync { thorough: true, .. })), "{policy:?} {action:?}");
        }
    }
    let blocked = drift(DriftPolicy::Correct, same, At::Deleted).action();
    assert_eq!(code(blocked.as_ref()), Some(ErrorCode::TargetSoftDeleted));
}

#[test]
fn drift_beside_a_source_that_may_have_changed_in_the_second_of_its_read_is_found_by_reading_both_ends() {
    let scene = Scene::new(active("a", 9), complete(At::Live(9)), complete(At::Live(600)));
    let action = scene.with_policy(DriftPolicy::Report).action();
    assert!(matches!(action, Some(Action::Sync { thorough: true, .. })), "{action:?}");
}

#[test]
fn drift_of_the_second_in_which_it_was_listed_is_read_so_that_leave_is_for_the_version_that_was_seen() {
    let scene = |record, there| Scene::new(record, complete(At::Live(1)), complete(At::Live(there)));
    for policy in [DriftPolicy::Report, DriftPolicy::Block] {
        let action = |record, there| scene(record, there).with_policy(policy).action();
        for hasty in [100_000 - 1, 100_000] {
            let read = action(active("a", 1), hasty);
            assert!(matches!(read, Some(Action::Sync { thorough: true, .. })), "{policy:?} {read:?}");
            // An attempt showed it, and names the version.
            let shown = Record {
                status: Status::Drifted,
                code: Some(ErrorCode::Drift),
                target_seen: Some(side("t9", hasty)),
                ..active("a", 1)
            };
            assert_eq!(action(shown, hasty), None, "{policy:?}");
        }
        assert_eq!(code(action(active("a", 1), 100_000 - 2).as_ref()), Some(ErrorCode::Drift));
    }
}

#[test]
fn drift_that_is_shown_is_not_news_until_the_target_changes_again_and_ends_when_it_is_as_left() {
    let scene = |record, there| Scene::new(record, complete(At::Live(1)), complete(there));
    let drifted = scene(active("a", 1), At::Live(600)).taken().unwrap();
    assert_eq!((drifted.status, drifted.target_seen.clone().unwrap().updated), (Status::Drifted, Some(at(600))));
    assert_eq!(scene(drifted.clone(), At::Live(600)).action(), None);
    assert_eq!(scene(drifted.clone(), At::Live(601)).taken().unwrap().target_seen.unwrap().updated, Some(at(601)));
    assert_eq!(scene(drifted.clone(), AS_LEFT).taken().unwrap().status, Status::Pending);
    let leave =
        Leave { actor: "a".into(), at: at(0), sequence: Sequence(7), target_version: None, kind: LeaveKind::Correct };
    let corrected = crate::leave::given(drifted.clone(), leave.clone(), REVISION);
    let blocking = scene(corrected, At::Live(600)).with_policy(DriftPolicy::Block);
    assert!(matches!(blocking.action(), Some(Action::Sync { thorough: true, .. })));
    let accepted = crate::leave::given(drifted, Leave { kind: LeaveKind::Accept, ..leave }, REVISION);
    assert_eq!(scene(accepted.clone(), At::Live(600)).action(), None);
    let gone = Scene::new(missed(accepted), complete(At::Nowhere), complete(At::Live(600)));
    assert_eq!(code(gone.propagating(DeleteTrigger::Purged).action().as_ref()), Some(ErrorCode::SourceGone));
}

#[test]
fn drift_shows_the_source_as_it_is_by_now_for_whoever_accepts_it() {
    let scene =
        |record, source| Scene::new(record, complete(source), complete(At::Live(600))).with_policy(DriftPolicy::Block);
    let drifted = scene(active("a", 1), At::Live(1)).taken().unwrap();
    assert_eq!((drifted.status, scene(drifted.clone(), At::Live(1)).action()), (Status::Drifted, None));
    let later = scene(drifted, At::Live(9)).taken().unwrap();
    assert_eq!((later.status, later.source_seen.unwrap().updated), (Status::Drifted, Some(at(9))));
}

#[test]
fn a_target_item_of_another_config_is_blocked_with_the_owners_name() {
    let mut scene =
        Scene::new(record(ItemType::Secrets, "x", Status::Active), complete(At::Live(1)), complete(At::Nowhere));
    scene.claims.name(ConfigId::from_random(9), "prod");
    let key = RecordKey { kind: ItemType::Secrets, name: "a".parse().unwrap() };
    scene.claims.claim(ConfigId::from_random(9), &key).unwrap();
    let Some(Action::Block { code, message, .. }) = scene.action() else { panic!("not blocked") };
    assert!(code == ErrorCode::TargetClaimed && message.contains("`prod`"), "{message}");
}

#[test]
fn what_blocks_for_a_reason_that_is_listed_costs_no_call_until_that_changes() {
    for status in [Status::BlockedCertificateExpired, Status::BlockedTargetConflict] {
        let blocked = Record {
            source_seen: Some(side("s1", 1)),
            target_seen: Some(side("t9", 600)),
            ..record(ItemType::Secrets, "a", status)
        };
        let at_source = |source, there| Scene::new(blocked.clone(), complete(source), complete(there)).action();
        assert_eq!(at_source(At::Live(1), At::Live(600)), None, "{status}");
        assert!(at_source(At::Live(2), At::Live(600)).is_some(), "{status}");
    }
    let mut managed =
        Scene::new(record(ItemType::Secrets, "x", Status::Active), complete(At::Live(1)), complete(At::Nowhere));
    managed.target.add(ItemType::Secrets, page(vec![ItemMeta { managed: true, ..item("a", 5) }]));
    assert_eq!(code(managed.action().as_ref()), Some(ErrorCode::TargetNameTaken));
}

#[test]
fn names_of_a_manual_rule_that_are_not_there_are_told() {
    let mut scene = Scene::new(active("a", 1), complete(At::Live(1)), complete(AS_LEFT));
    scene.config.spec.rule = Rule::Manual { names: ["A", "b"].map(|name| name.parse().unwrap()).into() };
    assert_eq!(scene.plan().not_found, ["b".parse().unwrap()]);
    scene.source = inventory(Listings { deleted_complete: false, ..complete(At::Live(1)) });
    assert_eq!(scene.plan().not_found, []);
}
