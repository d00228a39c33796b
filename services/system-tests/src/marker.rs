//! A value that can be told wherever it turns up: looked for in files, on the bus and in the memory of processes.
//!
//! It is looked for as it is, as Base64 at every alignment, and as hexadecimal digits: what a log line, a message or a
//! memory image would hold it as. Deliberately absent: what was encrypted or compressed before it was kept.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use memchr::memmem::Finder;

use crate::process::Process;

/// Read at once from a file or a memory region; what may lie across two pieces is looked at in both.
const PIECE: usize = 1 << 20;

/// A value nobody makes up twice.
pub struct Marker {
    value: String,
    forms: Vec<Finder<'static>>,
}

impl Marker {
    /// `value` has 24 characters or more, so that no form of it turns up by chance.
    pub fn new(value: &str) -> Self {
        assert!(value.len() >= 24, "a short value turns up by chance");
        let mut forms = vec![value.to_owned(), hex::encode(value), hex::encode_upper(value)];
        // The characters of Base64 that depend on this value alone, at each of the three alignments.
        for skipped in 0..3 {
            let whole = (value.len() - skipped) / 3 * 3;
            forms.push(STANDARD_NO_PAD.encode(&value[skipped..skipped + whole]));
        }
        let forms = forms.iter().map(|form| Finder::new(form).into_owned()).collect();
        Self { value: value.to_owned(), forms }
    }

    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether any form of the value is in there.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| form.find(bytes).is_some())
    }

    /// Files below `folder` that have it, but for those that `spares` names.
    pub fn files(&self, folder: &Path, spares: &[&str]) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                found.extend(self.files(&path, spares)?);
            } else if !spares.iter().any(|spare| path.ends_with(spare)) && self.is_in(&fs::read(&path)?) {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// How many pieces of a process's memory have it: all that a core file of it would hold.
    pub fn in_memory_of(&self, process: &Process) -> Result<usize> {
        let folder = PathBuf::from(format!("/proc/{}", process.pid()));
        let maps = fs::read_to_string(folder.join("maps"))?;
        let memory = fs::File::open(folder.join("mem")).context("its memory cannot be read")?;
        let longest = self.forms.iter().map(|form| form.needle().len()).max().unwrap_or(0);
        let mut found = 0;
        for (start, end) in maps.lines().filter_map(writable) {
            let mut at = start;
            while at < end {
                let size = usize::try_from(end - at)?.min(PIECE);
                let mut piece = vec![0; size];
                // A region may be gone again, and some cannot be read by anybody.
                if memory.read_exact_at(&mut piece, at).is_ok() {
                    found += usize::from(self.is_in(&piece));
                }
                at += u64::try_from(size.saturating_sub(longest).max(1))?;
                if size < PIECE {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// Bounds of a region that the process can write to, by its line of `/proc/PID/maps`.
fn writable(line: &str) -> Option<(u64, u64)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let bounds = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    rest.starts_with("rw").then_some(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_in_every_form() {
        let marker = Marker::new("a-value-that-nobody-makes-up");
        // What a library makes of it with nothing, one and two bytes in front.
        for text in [
            "..a-value-that-nobody-makes-up..",
            "YS12YWx1ZS10aGF0LW5vYm9keS1tYWtlcy11cA==",
            "eGEtdmFsdWUtdGhhdC1ub2JvZHktbWFrZXMtdXA=",
            "eHhhLXZhbHVlLXRoYXQtbm9ib2R5LW1ha2VzLXVw",
            "612d76616c75652d746861742d6e6f626f64792d6d616b65732d7570",
        ] {
            assert!(marker.is_in(text.as_bytes()), "{text}");
        }
        assert!(!marker.is_in(b"a-value-that-somebody-makes-up"));
    }
}
