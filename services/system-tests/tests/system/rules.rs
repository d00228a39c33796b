//! What each kind of rule takes along, and what an exclude takes out again.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use proto_msgs::{ItemType, Status};
use serde_json::{Value, json};
use system_tests::{ClusterBuilder, EstateBuilder};

use crate::fixtures::{SOURCE, between, replicate, statuses};

const ITEMS: &str = "        items:
          secrets:
            - { name: app-one, tags: { replicate: \"true\" } }
            - { name: App-Two, tags: { replicate: \"false\" } }
            - { name: app-three }
            - { name: db-one, tags: { replicate: \"true\", team: data } }
            - { name: scratch }
";

/// A rule, what is excluded from it, what arrives, and what shows as excluded.
type Case = (&'static str, Value, Value, &'static [&'static str], &'static [&'static str]);

fn cases() -> Vec<Case> {
    vec![
        (
            "all-kv",
            json!({ "kind": "all" }),
            json!(["SCRATCH", "app-t*"]),
            &["app-one", "db-one"],
            &["App-Two", "app-three", "scratch"],
        ),
        ("valued-kv", json!({ "kind": "tagged", "tag": "replicate=true" }), json!(["db-*"]), &["app-one"], &["db-one"]),
        (
            "tagged-kv",
            json!({ "kind": "tagged", "tag": "replicate" }),
            json!([]),
            &["App-Two", "app-one", "db-one"],
            &[],
        ),
        (
            "pattern-kv",
            json!({ "kind": "pattern", "glob": "APP-[ot]?[eo]" }),
            json!(["*-two"]),
            &["app-one"],
            &["App-Two"],
        ),
        (
            "manual-kv",
            json!({ "kind": "manual", "names": ["DB-One", "app-two", "absent"] }),
            json!([]),
            &["App-Two", "db-one"],
            &[],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_takes_what_it_names_and_nothing_else() -> Result<()> {
    let source = EstateBuilder::new().vault_with(SOURCE, "westeurope", ITEMS);
    let estate = cases().iter().fold(source, |estate, (target, ..)| estate.vault(target, "northeurope", 0));
    let cluster = ClusterBuilder::new(estate).unlimited().start().await?;
    for (target, rule, exclude, arrives, excluded) in cases() {
        let what = format!("{rule} without {exclude}");
        let mut spec = between(target, SOURCE, target);
        (spec["rule"], spec["exclude"]) = (rule, exclude);
        let (_, records) = replicate(&cluster, spec).await.context(what.clone())?;

        let found = statuses(&records);
        let with = |status| move |name: &&str| (format!("secrets/{name}"), status);
        let wanted = arrives.iter().map(with(Status::Active)).chain(excluded.iter().map(with(Status::BlockedExcluded)));
        ensure!(found == wanted.collect(), "{what}: {found:?}");
        let reader = cluster.reader(&[SOURCE, target]).await?;
        let copied: BTreeSet<_> = reader.listed(target, ItemType::Secrets).await?.into_keys().collect();
        ensure!(copied == arrives.iter().map(|name| (*name).to_owned()).collect(), "{what}: {copied:?}");
        reader.compare(SOURCE, target, copied).await.context(what)?;
    }
    Ok(())
}
