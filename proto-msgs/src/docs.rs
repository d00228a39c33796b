//! The pages about codes and statuses, read from `docs/errors.md`, so that there is one text for everybody.

use crate::status::Status;

/// All pages, as Markdown.
pub const ALL: &str = include_str!("../../docs/errors.md");

/// One page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The code or status.
    pub word: &'static str,
    /// As Markdown, without its heading.
    pub text: &'static str,
    pub meaning: &'static str,
    pub causes: &'static str,
    pub fix: &'static str,
    pub escalate: &'static str,
}

/// The page about a code or status. A status that goes with one code has that code's page.
pub fn explain(word: &str) -> Option<Page> {
    let code = word.parse::<Status>().ok().and_then(Status::blocking_code);
    let wanted = code.map_or(word, |code| code.as_str());
    pages().find(|page| page.word == wanted)
}

/// All pages, in the order of the file.
pub fn pages() -> impl Iterator<Item = Page> {
    ALL.split("\n## ").skip(1).filter_map(page)
}

fn page(section: &'static str) -> Option<Page> {
    let (word, text) = section.split_once('\n')?;
    let part = |name: &str| {
        let start = text.find(&format!("**{name}**"))?;
        let rest = &text[start + name.len() + "****".len()..];
        Some(rest.split("\n\n**").next().unwrap_or(rest).trim())
    };
    Some(Page {
        word: word.trim(),
        text: text.trim(),
        meaning: part("Meaning.")?,
        causes: part("Likely causes.")?,
        fix: part("Fix.")?,
        escalate: part("Escalate.")?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::error::{ErrorCode, RequestCode};

    #[test]
    fn codes_statuses_and_pages_belong_together() {
        let pages: Vec<_> = pages().map(|page| page.word).collect();
        let unique: BTreeSet<_> = pages.iter().copied().collect();
        assert_eq!(pages.len(), unique.len(), "a page is there twice");
        assert_eq!(ALL.matches("\n## ").count(), pages.len(), "a page lacks one of its four parts");
        let codes = ErrorCode::ALL.iter().map(|code| code.as_str());
        let requests = RequestCode::ALL.iter().map(|code| code.as_str());
        let statuses = Status::ALL.iter().filter(|status| !status.is_blocked()).map(|status| status.as_str());
        let wanted: BTreeSet<_> = codes.chain(requests).chain(statuses).collect();
        assert_eq!(unique, wanted);
    }

    #[test]
    fn a_blocked_status_has_its_codes_page() {
        for status in Status::ALL {
            let page = explain(status.as_str()).unwrap();
            assert!(!page.fix.is_empty() && !page.meaning.is_empty(), "{status}");
        }
        assert_eq!(explain("blocked_target_conflict").unwrap().word, "target_conflict_active");
        assert_eq!(explain("nonsense"), None);
    }
}
