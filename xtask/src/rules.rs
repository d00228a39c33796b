//! Who may use whom: the boundaries of the architecture, as tables.
//!
//! Rust's compiler lets any crate use any other; these tables do not. Invariants: every crate of the workspace has a
//! row; every row says why; dependencies for tests obey the same rows, unless a row says otherwise. Deliberately
//! absent: rules about versions, except that the Azure crates are pinned.

use crate::graph::{Declared, Graph};

/// What a crate of ours may use of ours.
struct Uses {
    name: &'static str,
    may_use: &'static [&'static str],
    because: &'static str,
}

const LIBRARIES: &[&str] =
    &["proto-msgs", "domain", "broker", "vault", "runtime", "coordinator", "worker", "gateway", "emulator"];

const OWN: &[Uses] = &[
    Uses { name: "proto-msgs", may_use: &[], because: "the contract stands below everything and builds for browsers" },
    Uses { name: "domain", may_use: &["proto-msgs"], because: "decisions are pure: no store, no vault, no clock" },
    Uses { name: "broker", may_use: &["proto-msgs", "domain"], because: "a change of store is one crate wide" },
    Uses { name: "vault", may_use: &["proto-msgs", "domain"], because: "a change of vendor is one crate wide" },
    Uses { name: "runtime", may_use: &["proto-msgs"], because: "it starts and stops processes, whatever they do" },
    Uses {
        name: "coordinator",
        may_use: &["proto-msgs", "domain", "broker", "runtime"],
        because: "roles meet over the bus, and only workers hold a vault identity",
    },
    Uses {
        name: "worker",
        may_use: &["proto-msgs", "domain", "broker", "vault", "runtime"],
        because: "roles meet over the bus",
    },
    Uses {
        name: "gateway",
        may_use: &["proto-msgs", "domain", "broker", "runtime"],
        because: "roles meet over the bus, and only workers hold a vault identity",
    },
    Uses { name: "emulator", may_use: &[], because: "two independent readings of the same API check each other" },
    Uses { name: "keyferry", may_use: LIBRARIES, because: "the binary puts the parts together; nothing builds on it" },
    Uses { name: "system-tests", may_use: LIBRARIES, because: "it drives the whole system from outside" },
    Uses {
        name: "loadtest",
        may_use: &["proto-msgs", "domain", "system-tests"],
        because: "it measures from outside, as a customer would, and works out whose a record was",
    },
    Uses { name: "xtask", may_use: &[], because: "it is built first, so it stays small" },
];

/// Crates of others that only some of ours may name. A `*` at the end stands for any rest.
struct Only {
    what: &'static str,
    by: &'static [&'static str],
    by_tests_of: &'static [&'static str],
    because: &'static str,
}

const FOREIGN: &[Only] = &[
    Only { what: "async-nats", by: &["broker"], by_tests_of: &[], because: "a change of store is one crate wide" },
    Only { what: "azure_*", by: &["vault"], by_tests_of: &[], because: "a change of vendor is one crate wide" },
    Only {
        what: "reqwest",
        by: &["vault", "notify", "gateway", "loadtest", "keyferry", "system-tests"],
        by_tests_of: &["emulator"],
        because: "who may call out is decided in few places",
    },
    Only {
        what: "actix-web*",
        by: &["gateway", "emulator"],
        by_tests_of: &[],
        because: "who may listen is decided in few places",
    },
    Only {
        what: "actix",
        by: &["coordinator", "worker"],
        by_tests_of: &[],
        because: "only what owns state under messages is an actor",
    },
];

/// Crates that must not be linked, not even through others.
struct Never {
    from: &'static str,
    what: &'static [&'static str],
    because: &'static str,
}

const UNREACHABLE: &[Never] = &[
    Never {
        from: "domain",
        what: &["tokio", "actix", "actix-rt", "futures", "chrono", "rand", "tracing"],
        because: "decisions are tested by the thousand, without a runtime, a clock or chance",
    },
    Never {
        from: "proto-msgs",
        what: &["tokio", "reqwest", "rustls", "rustix"],
        because: "the contract does no input or output and builds for browsers",
    },
    Never {
        from: "emulator",
        what: &["azure_core", "vault", "proto-msgs"],
        because: "two independent readings of the same API check each other",
    },
];

/// Crates of others whose version is written out in full.
struct Pinned {
    what: &'static str,
    because: &'static str,
}

const PINNED: &[Pinned] = &[Pinned { what: "azure_*", because: "a plain requirement may resolve to a beta" }];

/// Every way in which `graph` breaks the tables, one sentence each.
pub fn violations(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (name, declared) in &graph.own {
        match OWN.iter().find(|row| row.name == name) {
            Some(row) => found.extend(own_violations(row, declared, graph)),
            None => found.push(format!("`{name}` has no row in the table of own crates (xtask/src/rules.rs)")),
        }
        found.extend(declared.iter().flat_map(|used| foreign_violations(name, used)));
    }
    found.extend(UNREACHABLE.iter().flat_map(|row| reach_violations(row, graph)));
    found
}

fn own_violations(row: &Uses, declared: &[Declared], graph: &Graph) -> Vec<String> {
    let ours = declared.iter().map(|used| &used.name).filter(|name| graph.own.contains_key(*name));
    let wrong = ours.filter(|name| !row.may_use.contains(&name.as_str()));
    wrong.map(|name| format!("`{}` uses `{name}`, which it may not: {}", row.name, row.because)).collect()
}

fn foreign_violations(name: &str, used: &Declared) -> Vec<String> {
    let mut found = Vec::new();
    for row in FOREIGN.iter().filter(|row| fits(row.what, &used.name)) {
        let in_tests = used.for_tests_only && row.by_tests_of.contains(&name);
        if !in_tests && !row.by.contains(&name) {
            let by = row.by.join("`, `");
            found.push(format!("`{name}` uses `{}`, which only `{by}` may: {}", used.name, row.because));
        }
    }
    for row in PINNED.iter().filter(|row| fits(row.what, &used.name)) {
        if !used.requirement.starts_with('=') {
            let (what, requirement) = (&used.name, &used.requirement);
            found.push(format!("`{name}` wants `{what}` {requirement}, not one version (`=`): {}", row.because));
        }
    }
    found
}

fn reach_violations(row: &Never, graph: &Graph) -> Vec<String> {
    let reached = row.what.iter().filter_map(|what| graph.path(row.from, what));
    reached.map(|path| format!("`{}` is linked by {}: {}", row.from, path.join(" -> "), row.because)).collect()
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with every crate of the table, none of which uses anything.
    fn clean() -> Graph {
        let mut graph = Graph::default();
        for row in OWN {
            graph.own.insert(row.name.to_owned(), Vec::new());
        }
        graph
    }

    impl Graph {
        fn uses(mut self, name: &str, what: &str) -> Self {
            self.declare(name, what, "^1", false);
            self
        }

        fn uses_in_tests(mut self, name: &str, what: &str) -> Self {
            self.declare(name, what, "^1", true);
            self
        }

        fn pins(mut self, name: &str, what: &str, requirement: &str) -> Self {
            self.declare(name, what, requirement, false);
            self
        }

        fn links(mut self, from: &str, to: &str) -> Self {
            self.links.entry(from.to_owned()).or_default().insert(to.to_owned());
            self
        }

        fn declare(&mut self, name: &str, what: &str, requirement: &str, for_tests_only: bool) {
            let (what, requirement) = (what.to_owned(), requirement.to_owned());
            let declared = self.own.entry(name.to_owned()).or_default();
            declared.push(Declared { name: what, for_tests_only, requirement });
        }
    }

    #[track_caller]
    fn assert_refused(graph: &Graph, words: &[&str]) {
        let found = violations(graph);
        assert_eq!(found.len(), 1, "{found:?}");
        for word in words {
            assert!(found[0].contains(word), "{word} is not in {found:?}");
        }
    }

    #[test]
    fn a_workspace_that_keeps_the_rules_has_no_violation() {
        let graph = clean()
            .uses("domain", "proto-msgs")
            .uses("worker", "vault")
            .uses("broker", "async-nats")
            .pins("vault", "azure_core", "=1.1.0")
            .uses_in_tests("emulator", "reqwest")
            .uses("gateway", "actix-web")
            .links("domain", "proto-msgs")
            .links("proto-msgs", "serde");

        assert_eq!(violations(&graph), Vec::<String>::new());
    }

    #[test]
    fn roles_may_not_depend_on_each_other() {
        for role in ["coordinator", "worker", "gateway"] {
            for other in ["coordinator", "worker", "gateway"].into_iter().filter(|other| *other != role) {
                assert_refused(&clean().uses(role, other), &[role, other, "over the bus"]);
            }
        }
    }

    #[test]
    fn lower_layers_may_not_use_higher_ones() {
        let cases = [
            ("proto-msgs", "domain"),
            ("domain", "broker"),
            ("broker", "runtime"),
            ("broker", "vault"),
            ("vault", "broker"),
            ("runtime", "domain"),
            ("emulator", "proto-msgs"),
            ("coordinator", "vault"),
            ("gateway", "vault"),
            ("worker", "keyferry"),
        ];
        for (name, what) in cases {
            assert_refused(&clean().uses(name, what), &[name, what]);
        }
    }

    #[test]
    fn tests_may_not_use_what_their_crate_may_not() {
        assert_refused(&clean().uses_in_tests("emulator", "vault"), &["emulator", "vault"]);
        assert_refused(&clean().uses_in_tests("worker", "async-nats"), &["worker", "async-nats"]);
    }

    #[test]
    fn foreign_crates_stay_where_they_belong() {
        let cases = [
            ("worker", "async-nats"),
            ("emulator", "reqwest"),
            ("coordinator", "reqwest"),
            ("keyferry", "actix-web"),
            ("worker", "actix-web-actors"),
            ("gateway", "actix"),
        ];
        for (name, what) in cases {
            assert_refused(&clean().uses(name, what), &[name, what]);
        }
        assert_refused(&clean().pins("worker", "azure_identity", "=1.0.0"), &["worker", "azure_identity"]);
    }

    #[test]
    fn azure_crates_are_pinned_to_one_version() {
        assert_refused(&clean().pins("vault", "azure_core", "^1.1.0"), &["azure_core", "^1.1.0", "beta"]);
    }

    #[test]
    fn a_runtime_must_not_reach_the_domain_through_others() {
        let graph = clean().links("domain", "serde-helper").links("serde-helper", "tokio");

        assert_refused(&graph, &["domain -> serde-helper -> tokio"]);
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        assert_refused(&clean().uses("frontend", "proto-msgs"), &["frontend", "no row"]);
    }

    #[test]
    fn cycles_among_foreign_crates_do_not_hold_the_check() {
        let graph = clean().links("domain", "a").links("a", "b").links("b", "a").links("b", "domain");

        assert_eq!(violations(&graph), Vec::<String>::new());
    }
}
