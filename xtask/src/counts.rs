//! How many tests passed and failed, read from what the test programs print.
//!
//! Invariant: a count that is not there is an error, never zero; a skipped test is a failure of the run, because
//! a test nobody runs proves nothing. Deliberately absent: names of tests, which the programs print themselves.

use std::fmt;

use anyhow::{Result, bail};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Fails unless all these tests ran and passed.
    pub fn must_be_good(self) -> Result<()> {
        if self.failed > 0 {
            bail!("{} failed", tests(self.failed));
        }
        if self.skipped > 0 {
            bail!("{} skipped: repair or remove them", tests(self.skipped));
        }
        Ok(())
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn tests(count: u64) -> String {
    format!("{count} {}", if count == 1 { "test" } else { "tests" })
}

/// Reads the summary of a Rust test program: `test result: ok. 5 passed; 0 failed; 1 ignored; ...`.
pub fn from_libtest(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    let mut seen = 0;
    for (number, word) in numbers.split("; ").filter_map(numbered) {
        match word {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "ignored" => counts.skipped = number,
            _ => continue,
        }
        seen += 1;
    }
    (seen == 3).then_some(counts)
}

/// Reads pytest's last line: `===== 2 failed, 5 passed, 1 warning in 3.21s =====`.
pub fn from_pytest(line: &str) -> Option<Counts> {
    let (numbers, time) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
    if !time.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if numbers == "no tests ran" {
        return Some(Counts::default());
    }
    let mut counts = Counts::default();
    for part in numbers.split(", ") {
        let (number, word) = numbered(part)?;
        match word {
            "passed" => counts.passed += number,
            "failed" | "error" | "errors" => counts.failed += number,
            "skipped" | "xfailed" | "xpassed" => counts.skipped += number,
            "deselected" | "warning" | "warnings" => {}
            _ => return None,
        }
    }
    Some(counts)
}

fn numbered(part: &str) -> Option<(u64, &str)> {
    let (number, word) = part.trim().split_once(' ')?;
    Some((number.parse().ok()?, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_a_rust_test_program_is_read() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.31s";

        assert_eq!(from_libtest(line), Some(Counts { passed: 12, failed: 2, skipped: 1 }));
    }

    #[test]
    fn a_line_that_is_no_summary_is_no_count() {
        for line in ["test worker::tests::x ... ok", "test result: ok. 5 passed", "running 5 tests", ""] {
            assert_eq!(from_libtest(line), None, "{line}");
            assert_eq!(from_pytest(line), None, "{line}");
        }
        assert_eq!(from_pytest("3 boats in 2 harbours"), None);
    }

    #[test]
    fn the_summary_of_pytest_is_read() {
        let failed = Counts { passed: 5, failed: 3, skipped: 1 };
        let cases = [
            ("===== 2 failed, 5 passed, 1 skipped, 1 error, 3 warnings in 3.21s =====", failed),
            ("7 passed in 61.02s (0:01:01)", Counts { passed: 7, ..Counts::default() }),
            ("==== no tests ran in 0.01s ====", Counts::default()),
            ("==== 4 deselected in 0.01s ====", Counts::default()),
        ];
        for (line, counts) in cases {
            assert_eq!(from_pytest(line), Some(counts), "{line}");
        }
    }

    #[test]
    fn skipped_tests_fail_a_run() {
        assert!(Counts { passed: 9, failed: 0, skipped: 1 }.must_be_good().is_err());
        assert!(Counts { passed: 9, failed: 0, skipped: 0 }.must_be_good().is_ok());
    }
}
