//! The dependency graph, reduced to what the rules look at.
//!
//! It exists so that rules are checked against a value that a test can make up. Invariant: what a manifest declares
//! (`own`) and what the resolver made of it (`links`) are kept apart: the first is what a reviewer sees, the second
//! is what gets linked. Deliberately absent: features and versions, about which there are no rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cargo_metadata::{DependencyKind, Metadata, PackageId};

#[derive(Default)]
pub struct Graph {
    /// Each crate of this workspace, with what its manifest declares.
    pub own: BTreeMap<String, Vec<Declared>>,
    /// Each crate, own or not, with what is linked into it; build scripts and tests left out.
    pub links: BTreeMap<String, BTreeSet<String>>,
    /// Each crate that is not ours.
    pub foreign: Vec<Foreign>,
}

/// One line of a manifest's dependency tables.
pub struct Declared {
    pub name: String,
    pub for_tests_only: bool,
    pub requirement: String,
}

pub struct Foreign {
    /// Name and version.
    pub label: String,
    pub licence: Option<String>,
    pub is_from_registry: bool,
}

impl Graph {
    pub fn of(metadata: &Metadata) -> Self {
        let mut graph = Self::default();
        let mut names: HashMap<&PackageId, &str> = HashMap::new();
        for package in &metadata.packages {
            names.insert(&package.id, package.name.as_str());
            if metadata.workspace_members.contains(&package.id) {
                let declared = package.dependencies.iter().map(|dependency| Declared {
                    name: dependency.name.clone(),
                    for_tests_only: dependency.kind == DependencyKind::Development,
                    requirement: dependency.req.to_string(),
                });
                graph.own.insert(package.name.to_string(), declared.collect());
            } else {
                graph.foreign.push(Foreign {
                    label: format!("{} {}", package.name, package.version),
                    licence: package.license.clone(),
                    is_from_registry: package.source.as_ref().is_some_and(cargo_metadata::Source::is_crates_io),
                });
            }
        }
        for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
            let Some(name) = names.get(&node.id) else { continue };
            let linked = node.deps.iter().filter(|dep| {
                dep.dep_kinds.is_empty() || dep.dep_kinds.iter().any(|info| info.kind == DependencyKind::Normal)
            });
            let linked = linked.filter_map(|dep| names.get(&dep.pkg)).map(|name| (*name).to_owned());
            graph.links.entry((*name).to_owned()).or_default().extend(linked);
        }
        graph
    }

    /// How `from` comes to link `to`, as the chain of crates between them; `None` when it does not.
    pub fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            for next in self.links.get(name).into_iter().flatten() {
                if next != from && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, name);
                    open.push(next);
                }
            }
        }
        let mut chain = vec![to.to_owned()];
        let mut name = to;
        while name != from {
            name = came_from.get(name)?;
            chain.push(name.to_owned());
        }
        chain.reverse();
        Some(chain)
    }
}
