//! The rules over any source, target and record.

use proptest::prelude::*;

use super::*;

fn any_listings() -> impl Strategy<Value = Listings> {
    let at = prop_oneof![Just(At::Live(1)), Just(At::Live(9)), Just(AS_LEFT), Just(At::Deleted), Just(At::Nowhere)];
    (at, any::<bool>(), any::<bool>()).prop_map(|(at, live_complete, deleted_complete)| Listings {
        at,
        live_complete,
        deleted_complete,
    })
}

prop_compose! {
    fn any_record()(
        status in prop::sample::select(Status::ALL.to_vec()),
        code in prop::sample::select(vec![ErrorCode::SourceGone, ErrorCode::RuleNoMatch, ErrorCode::OperatorDisabled]),
        how in prop::option::of(prop_oneof![Just(Arrival::Written), Just(Arrival::Adopted)]),
        has_miss in any::<bool>(),
        delete in prop::option::of(Just(DeleteTrigger::Purged)),
        is_unresolved in any::<bool>(),
    ) -> Record {
        let codes = [
            (Status::Disabled, code),
            (Status::Deleted, ErrorCode::SourceGone),
            (Status::Drifted, ErrorCode::Drift),
            (Status::Failed, ErrorCode::TransientNetwork),
            (Status::Retrying, ErrorCode::TransientNetwork),
        ];
        let code = codes.into_iter().find(|(of, _)| *of == status).map(|(_, code)| code).or(status.blocking_code());
        let left = how.map(|how| proto_msgs::record::Baseline { how, ..baseline(side("s1", 1), 10) });
        let is_deleting = matches!(status, Status::Pending | Status::Retrying | Status::BlockedDeleteHeld);
        let record = Record {
            status, code,
            baseline: left.filter(|_| status != Status::Deleted),
            source_seen: Some(side("s1", 1)),
            delete: delete.filter(|_| is_deleting),
            thorough: is_unresolved,
            ..record(ItemType::Secrets, "a", status)
        };
        if has_miss { missed(record) } else { record }
    }
}

prop_compose! {
    fn any_scene()(
        record in prop::option::of(any_record()),
        source in any_listings(),
        target in any_listings(),
        propagates in any::<bool>(),
        trigger in prop_oneof![Just(DeleteTrigger::Purged), Just(DeleteTrigger::Deleted)],
        policy in prop_oneof![Just(DriftPolicy::Report), Just(DriftPolicy::Correct), Just(DriftPolicy::Block)],
        now in 0..2 * LONG,
    ) -> (Scene, Listings, Listings) {
        let mut scene = Scene::new(active("x", 1), source, target).with_policy(policy);
        if propagates { scene = scene.propagating(trigger); }
        (Scene { record, now, ..scene }, source, target)
    }
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {} under {:?}", self.record, self.now, self.config.spec.behaviour)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_incomplete_inventory_never_counts_as_missing((scene, source, _) in any_scene()) {
        let is_complete = source.live_complete && source.deleted_complete;
        let is_by_absence = match scene.action() {
            Some(Action::Miss(_) | Action::Delete { .. }) => true,
            action => code(action.as_ref()) == Some(ErrorCode::SourceGone),
        };
        prop_assert!(is_complete || !is_by_absence);
    }

    #[test]
    fn only_what_keyferry_wrote_left_and_missed_twice_is_deleted((scene, source, target) in any_scene()) {
        if let Some(Action::Delete { seen, .. }) = scene.action() {
            let record = scene.record.clone().unwrap();
            prop_assert_eq!(record.baseline.unwrap().how, Arrival::Written);
            prop_assert_eq!(target.at, AS_LEFT);
            prop_assert!(record.miss.is_some() && scene.now >= 12 * 3_600);
            prop_assert!(!matches!(record.status, Status::Disabled | Status::Deleted | Status::Syncing));
            prop_assert!(scene.config.spec.behaviour.propagate_deletes);
            let expected = if source.at == At::Deleted { DeleteTrigger::Deleted } else { DeleteTrigger::Purged };
            prop_assert_eq!(seen, expected);
            prop_assert!(seen == DeleteTrigger::Purged || scene.config.spec.behaviour.delete_trigger == seen);
        }
    }

    #[test]
    fn a_record_under_way_or_disabled_by_an_operator_is_left_alone((scene, _, _) in any_scene()) {
        let record = scene.record.clone();
        let is_alone = record.is_some_and(|r| r.status == Status::Syncing || r.code == Some(ErrorCode::OperatorDisabled));
        let changed = scene.action().filter(|action| *action != Action::Found);
        prop_assert!(!is_alone || changed.is_none());
    }

    #[test]
    fn what_drifted_under_block_is_written_only_with_leave((scene, _, target) in any_scene()) {
        let scene = scene.with_policy(DriftPolicy::Block);
        let record = scene.record.clone();
        let is_clear = record.is_some_and(|r| r.baseline.is_some() && r.delete.is_none() && !r.thorough);
        let is_drifted = target.at != AS_LEFT && matches!(target.at, At::Live(_));
        let is_sync = matches!(scene.action(), Some(Action::Sync { .. }));
        prop_assert!(!(is_clear && is_drifted && is_sync));
    }

    #[test]
    fn taking_a_step_and_planning_again_yields_nothing_but_the_attempt((scene, _, _) in any_scene()) {
        if let Some(after) = scene.taken() {
            let waits = after.status == Status::Pending;
            let again = Scene { record: Some(after), ..scene };
            let action = again.action();
            let is_attempt = matches!(action, Some(Action::Sync { .. } | Action::Delete { held: None, .. }));
            prop_assert!(action.is_none() || (waits && is_attempt), "{:?}", action);
        }
    }

    #[test]
    fn a_state_that_a_plan_leads_to_has_a_code_unless_it_needs_none((scene, _, _) in any_scene()) {
        if let Some(after) = scene.taken() {
            prop_assert_eq!(after.code.is_none(), after.status.needs_no_code());
            if let Some(code) = after.status.blocking_code() {
                prop_assert_eq!(after.code, Some(code));
            }
        }
    }
}
