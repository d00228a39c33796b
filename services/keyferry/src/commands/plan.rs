//! What the next run of a config would do.

use std::collections::BTreeMap;

use proto_msgs::{
    ItemName, RequestCode, SetHash,
    api::PAGE_MAX,
    plan::{PlanAction, PlanItem, PlanPage, PlanView},
};
use serde::Serialize;

use crate::{
    client::{Client, PAGES_MAX, path, query},
    failure::Failure,
    invocation::{ConfigArg, Invocation},
    output::{self, or_dash},
};

/// A whole plan: all pages of it.
#[derive(Debug, Serialize)]
struct Plan {
    items: Vec<PlanItem>,
    counts: BTreeMap<PlanAction, u64>,
    not_found: Vec<ItemName>,
    complete: bool,
    hash: SetHash,
}

pub async fn run(ConfigArg { config }: ConfigArg, invocation: &Invocation) -> Result<(), Failure> {
    let plan = whole(&invocation.client()?, &config).await?;
    invocation.answer(&plan, || describe(&plan))
}

async fn whole(client: &Client, config: &str) -> Result<Plan, Failure> {
    let path = path(&["configs", config, "plan"]);
    let limit = PAGE_MAX.to_string();
    let mut plan: Option<Plan> = None;
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let asked = query(&[("limit", Some(limit.as_str())), ("cursor", cursor.as_deref())]);
        let page: PlanPage = client.get(&format!("{path}?{asked}")).await?;
        let PlanView { items, next, counts, not_found, complete, hash } = page;
        match &mut plan {
            Some(plan) if plan.hash == hash => plan.items.extend(items),
            Some(_) => {
                let detail = "the plan became another one while it was read";
                return Err(Failure::new(RequestCode::PlanChanged, detail, "ask for it again"));
            }
            None => plan = Some(Plan { items, counts, not_found, complete, hash }),
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    plan.filter(|_| cursor.is_none())
        .ok_or_else(|| Failure::new(RequestCode::Internal, "the plan does not end", "look into the coordinator's log"))
}

fn describe(plan: &Plan) -> String {
    let rows = plan.items.iter().map(|item| {
        vec![
            item.key.kind.to_string(),
            item.key.name.to_string(),
            item.action.as_str().to_owned(),
            or_dash(item.code),
            item.message.as_deref().map(output::one_line).unwrap_or_default(),
        ]
    });
    let counts: Vec<_> = plan.counts.iter().map(|(action, count)| format!("{} {count}", action.as_str())).collect();
    let mut summary = vec![("counts", if counts.is_empty() { "-".to_owned() } else { counts.join(", ") })];
    if !plan.not_found.is_empty() {
        let names: Vec<_> = plan.not_found.iter().map(ItemName::as_str).collect();
        summary.push(("not at the source", names.join(", ")));
    }
    if !plan.complete {
        summary.push(("incomplete", "a listing broke off: of what it did not show, nothing is known".to_owned()));
    }
    summary.push(("hash", plan.hash.to_string()));
    let summary = output::list(&summary);
    if plan.items.is_empty() {
        return format!("nothing is to be done\n\n{summary}");
    }
    format!("{}\n\n{summary}", output::table(&["TYPE", "NAME", "ACTION", "CODE", "MESSAGE"], rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_told_with_its_counts_and_its_hash() {
        let mut plan = Plan {
            items: serde_json::from_value(json!([
                { "key": { "kind": "secrets", "name": "a" }, "action": "make" },
                { "key": { "kind": "secrets", "name": "b" }, "action": "block", "code": "excluded", "message": "x" },
            ]))
            .unwrap(),
            counts: BTreeMap::from([(PlanAction::Make, 1), (PlanAction::Block, 1), (PlanAction::Nothing, 9)]),
            not_found: vec!["absent".parse().unwrap()],
            complete: false,
            hash: SetHash(255),
        };
        let text = describe(&plan);
        for word in ["make", "excluded", "nothing 9", "absent", "broke off", &SetHash(255).to_string()] {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
        plan.items.clear();
        assert!(describe(&plan).starts_with("nothing is to be done"));
    }
}
