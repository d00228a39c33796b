//! A plan as somebody sees it.

use super::*;

#[test]
fn a_shown_plan_has_a_word_for_each_record_and_pages_under_one_hash() {
    let scene =
        Scene::new(missed(active("a", 1)), complete(At::Nowhere), complete(AS_LEFT)).propagating(DeleteTrigger::Purged);
    let index = scene.index();
    let given = scene.given(&index);
    let plan = plan(&given).unwrap();
    let whole = plan.view(&given, true);
    let view = plan_page(&whole, None, 1);
    assert_eq!(view.items.iter().map(|item| item.action.as_str()).collect::<Vec<_>>(), ["delete"]);
    assert!(plan_page(&whole, view.next.as_ref(), 1).hash == view.hash);
    let newer = Scene { run: 3, now: LONG + 60, ..scene };
    let again = newer.index();
    assert_eq!(newer.plan().view(&newer.given(&again), true).hash, view.hash, "neither run nor time is part of a plan");
}

#[test]
fn a_shown_plan_says_what_it_would_overwrite() {
    let shown = |scene: &Scene| {
        let index = scene.index();
        let given = scene.given(&index);
        let items = plan(&given).unwrap().view(&given, true).items;
        items.first().and_then(|item| item.message.clone()).unwrap_or_default()
    };
    let new = || record(ItemType::Secrets, "a", Status::Pending);
    let mut scene = Scene::new(new(), complete(At::Live(1)), complete(At::Live(600)));
    assert!(shown(&scene).contains("else the record is blocked"), "{}", shown(&scene));
    scene.config.spec.behaviour.overwrite_on_conflict = true;
    assert!(shown(&scene).contains("overwritten unless it is equal"), "{}", shown(&scene));
    assert_eq!(shown(&Scene::new(new(), complete(At::Live(1)), complete(At::Nowhere))), "");

    let mut scene = Scene::new(active("a", 1), complete(At::Live(LONG)), complete(At::Live(600)));
    assert!(shown(&scene).contains("if the source has changed"), "{}", shown(&scene));
    scene.config.spec.behaviour.drift_policy = DriftPolicy::Correct;
    assert!(shown(&scene).ends_with("it is overwritten"), "{}", shown(&scene));
    assert_eq!(shown(&Scene::new(active("a", 1), complete(At::Live(LONG)), complete(AS_LEFT))), "");
}
