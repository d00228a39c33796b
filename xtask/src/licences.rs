//! Where other people's code may come from, and under which licences.
//!
//! Invariant: a licence nobody has looked at is refused, and so is a crate that names none or comes from somewhere
//! else than the registry the lock file's checksums belong to. Deliberately absent: known vulnerabilities, whose
//! list lives on the network.

use crate::graph::{Foreign, Graph};

/// Licences that let us ship under Apache-2.0, with notices at most.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// Every foreign crate that may not be used, one sentence each.
pub fn violations(graph: &Graph) -> Vec<String> {
    graph.foreign.iter().filter_map(violation).collect()
}

fn violation(used: &Foreign) -> Option<String> {
    let label = &used.label;
    if !used.is_from_registry {
        return Some(format!("`{label}` does not come from the registry, so nobody vouches that it stays as it is"));
    }
    let Some(licence) = &used.licence else {
        return Some(format!("`{label}` names no licence"));
    };
    match is_allowed(licence) {
        Some(true) => None,
        Some(false) => {
            Some(format!("`{label}` is under `{licence}`, which is not on the list (xtask/src/licences.rs)"))
        }
        None => Some(format!("`{label}` is under `{licence}`, which cannot be read as a licence expression")),
    }
}

/// Whether an SPDX expression can be met by allowed licences alone; `None` when it is not one.
fn is_allowed(expression: &str) -> Option<bool> {
    // Older manifests separate alternatives by a slash.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { tokens: &tokens };
    let answer = reader.alternatives()?;
    reader.tokens.is_empty().then_some(answer)
}

struct Reader<'a> {
    tokens: &'a [&'a str],
}

impl<'a> Reader<'a> {
    fn alternatives(&mut self) -> Option<bool> {
        let mut answer = self.conjunction()?;
        while self.takes("OR") {
            answer |= self.conjunction()?;
        }
        Some(answer)
    }

    fn conjunction(&mut self) -> Option<bool> {
        let mut answer = self.licence()?;
        while self.takes("AND") {
            answer &= self.licence()?;
        }
        Some(answer)
    }

    fn licence(&mut self) -> Option<bool> {
        if self.takes("(") {
            let answer = self.alternatives()?;
            return self.takes(")").then_some(answer);
        }
        let name = self.next()?;
        if self.takes("WITH") {
            let exception = self.next()?;
            return Some(ALLOWED.contains(&format!("{name} WITH {exception}").as_str()));
        }
        Some(ALLOWED.contains(&name))
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_next = self.tokens.first() == Some(&word);
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }

    /// The next name; a word of the grammar is none.
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        (!["OR", "AND", "WITH", "(", ")"].contains(first)).then_some(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(licence: Option<&str>, is_from_registry: bool) -> Foreign {
        Foreign { label: "some-crate 1.0.0".to_owned(), licence: licence.map(str::to_owned), is_from_registry }
    }

    #[test]
    fn an_expression_is_allowed_when_allowed_licences_meet_it() {
        let cases = [
            ("MIT", Some(true)),
            ("MIT/Apache-2.0", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("GPL-3.0-only OR MIT", Some(true)),
            ("GPL-3.0-only AND MIT", Some(false)),
            ("(Apache-2.0 OR MIT) AND BSD-3-Clause", Some(true)),
            ("(GPL-2.0-only OR AGPL-3.0-only) AND MIT", Some(false)),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only", Some(true)),
            ("GPL-2.0-only WITH Classpath-exception-2.0", Some(false)),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT Apache-2.0", None),
            ("", None),
        ];
        for (expression, answer) in cases {
            assert_eq!(is_allowed(expression), answer, "{expression}");
        }
    }

    #[test]
    fn a_crate_without_a_known_licence_or_from_elsewhere_is_refused() {
        let foreign = vec![used(Some("AGPL-3.0-only"), true), used(None, true), used(Some("MIT"), false)];

        let found = violations(&Graph { foreign, ..Graph::default() });

        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn a_crate_from_the_registry_under_a_known_licence_passes() {
        let foreign = vec![used(Some("MIT OR Apache-2.0"), true)];

        assert!(violations(&Graph { foreign, ..Graph::default() }).is_empty());
    }
}
