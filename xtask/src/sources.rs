//! Rules about the text of our files that no compiler checks.
//!
//! Invariants: every file of the checkout is looked at, but for what is built, installed or running; a finding
//! names file and line. Deliberately absent: what clippy knows (the length of functions, banned calls) and rustfmt.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A file that fits the eye gets reviewed.
const MAX_CODE_LINES: usize = 400;
/// Folders that are never ours, wherever they are.
const NOT_OURS: &[&str] = &[".git", ".keyferry", "node_modules", "__pycache__", ".pytest_cache", ".venv"];
/// How paths of one person's machine begin. Written in two parts: this file is looked at too.
const HOMES: &[&str] = &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Words that a crate's code must not contain.
struct Without {
    folder: &'static str,
    words: &'static [&'static str],
    because: &'static str,
}

const WITHOUT: &[Without] = &[Without {
    folder: "services/domain/src",
    words: &["tokio", "Instant", "SystemTime", "async"],
    because: "decisions take time as an argument and run without a runtime",
}];

/// Looks at every file under `root` except `target`.
pub fn violations(root: &Path, target: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut files = Vec::new();
    collect(root, target, &mut files)?;
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        // What is not text is a fixture.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        found.extend(machine_paths(&name, &text, root));
        if name.ends_with(".rs") {
            found.extend(rust(&name, &text));
        }
    }
    Ok(found)
}

fn collect(folder: &Path, target: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let entries = fs::read_dir(folder).with_context(unreadable)?.collect::<Result<Vec<_>, _>>();
    let mut entries = entries.with_context(unreadable)?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let kind = entry.file_type().with_context(unreadable)?;
        let path = entry.path();
        let is_ours = path != target && !NOT_OURS.contains(&entry.file_name().to_string_lossy().as_ref());
        if kind.is_dir() && is_ours {
            collect(&path, target, files)?;
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// The rules for a Rust file.
fn rust(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.trim_start().starts_with("//!") {
        found.push(format!("{name}:1: opens without a module doc (`//!`: why it exists, invariants, what is absent)"));
    }
    let code = text.lines().filter(|line| is_code(line)).count();
    if code >= MAX_CODE_LINES {
        found.push(format!("{name}: {code} lines of code, at most {} may be: split it by subject", MAX_CODE_LINES - 1));
    }
    found.extend(unbiased(name, text));
    for row in WITHOUT.iter().filter(|row| Path::new(name).starts_with(row.folder)) {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| is_code(line)) {
            let code = line.split("//").next().unwrap_or(line);
            for word in row.words.iter().filter(|word| has_word(code, word)) {
                found.push(format!("{name}:{}: `{word}`: {}", number + 1, row.because));
            }
        }
    }
    found
}

/// A `select!` takes its branches in a random order unless it says `biased`, and no seed then replays a run.
fn unbiased(name: &str, text: &str) -> Vec<String> {
    let mut code = text.lines().enumerate().filter(|(_, line)| is_code(line)).peekable();
    let mut found = Vec::new();
    while let Some((number, line)) = code.next() {
        let is_open = line.trim_end().ends_with("select! {");
        if is_open && code.peek().is_none_or(|(_, next)| next.trim() != "biased;") {
            found.push(format!("{name}:{}: `select!` without `biased;` as its first line", number + 1));
        }
    }
    found
}

fn machine_paths(name: &str, text: &str, root: &Path) -> Vec<String> {
    let root = root.display().to_string();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // A checkout directly under `/` has a name too common to look for.
        let has_root = root.matches('/').count() > 1 && line.contains(&root);
        if has_root || HOMES.iter().any(|home| begins_in(line, home)) {
            found.push(format!("{name}:{}: a path of one machine", number + 1));
        }
    }
    found
}

fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|part| part == word)
}

/// Whether an absolute path that starts with `prefix` is in `line`; the same letters inside a URL are none.
fn begins_in(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "-_.~}".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_module_doc_is_found() {
        assert_eq!(rust("a.rs", "use std::fs;\n").len(), 1);
        assert!(rust("a.rs", "\n//! Why.\nuse std::fs;\n").is_empty());
    }

    #[test]
    fn only_lines_of_code_make_a_file_long() {
        let comments = format!("//! Why.\n{}", "// comment\n\n".repeat(MAX_CODE_LINES));
        let code = format!("//! Why.\n{}", "fn f() {}\n".repeat(MAX_CODE_LINES));

        assert!(rust("a.rs", &comments).is_empty());
        assert!(rust("a.rs", &code)[0].contains("split it"), "{:?}", rust("a.rs", &code));
    }

    #[test]
    fn a_clock_or_runtime_in_the_domain_is_found_and_a_comment_about_it_is_not() {
        let text = "//! No tokio here.\nuse std::time::Instant; // never\nfn f() {} // Instant\n";

        assert_eq!(rust("services/domain/src/plan.rs", text).len(), 1);
        assert!(rust("services/worker/src/lib.rs", text).is_empty());
        assert!(rust("services/domain/src/plan.rs", "//! Why.\nfn instantly(is_async_task: bool) {}\n").is_empty());
    }

    #[test]
    fn a_select_in_random_order_is_found() {
        let select = |first: &str| format!("//! Why.\nfn f() {{\n    tokio::select! {{\n        {first}\n    }}\n}}\n");

        assert!(rust("a.rs", &select("// Why.\n        biased;\n        () = a() => {}")).is_empty());
        assert_eq!(rust("a.rs", &select("() = a() => {}")).len(), 1);
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_url_is_not() {
        let root = Path::new("/build/keyferry");
        for line in [format!("see {}x", HOMES[1]), format!("\"{}a\"", HOMES[0]), "cd /build/keyferry/x".to_owned()] {
            assert_eq!(machine_paths("a.md", &line, root).len(), 1, "{line}");
        }
        for line in [format!("https://example.test{}x", HOMES[1]), "cargo xtask up".to_owned()] {
            assert!(machine_paths("a.md", &line, root).is_empty(), "{line}");
        }
    }
}
