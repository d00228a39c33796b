//! How often each operation was called on each vault, and how it ended.
//!
//! Lock-free: one array of counters per vault. Probes without a token are apart from the calls Azure would count.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::{operation::Operation, routes::Served};

/// How a call ended, as the client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Ok,
    /// 401: mostly the SDK's first request, which asks for the challenge.
    Challenged,
    Throttled,
    ClientError,
    ServerError,
    /// A fault: the connection was reset, or nothing was ever answered.
    NoAnswer,
}

impl Ended {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Ok, "ok"),
        (Self::Challenged, "challenged"),
        (Self::Throttled, "throttled"),
        (Self::ClientError, "client_error"),
        (Self::ServerError, "server_error"),
        (Self::NoAnswer, "no_answer"),
    ];

    /// How a call ended that was served so.
    pub fn of(served: &Served) -> Self {
        match served {
            Served::Reply(reply) => Self::of_status(reply.status),
            Served::Hang | Served::Reset => Self::NoAnswer,
        }
    }

    /// The ending a status stands for.
    fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Challenged,
            429 => Self::Throttled,
            200..=399 => Self::Ok,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

#[derive(Debug, Default)]
struct Row {
    ended: [AtomicU64; Ended::ALL.len()],
    /// The vault did as it was told, whatever was answered.
    applied: AtomicU64,
}

/// The counters of one vault, or of one of the other hosts.
#[derive(Debug)]
pub struct Counts(Vec<Row>);

impl Counts {
    pub fn new() -> Self {
        Self(Operation::ALL.iter().map(|_| Row::default()).collect())
    }

    /// Counts a call that ended.
    pub fn ended(&self, operation: Operation, ended: Ended) {
        self.0[operation.index()].ended[ended as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an effect: the state was read or changed as asked.
    pub fn applied(&self, operation: Operation) {
        self.0[operation.index()].applied.fetch_add(1, Ordering::Relaxed);
    }

    /// Starts again from zero.
    pub fn reset(&self) {
        for row in &self.0 {
            row.ended.iter().chain([&row.applied]).for_each(|counter| counter.store(0, Ordering::Relaxed));
        }
    }

    /// One row for each operation that was called; `calls` are those with a token.
    pub fn rows(&self, vault: &str) -> Vec<Value> {
        Operation::ALL.iter().filter_map(|operation| self.row(vault, *operation)).collect()
    }

    fn row(&self, vault: &str, operation: Operation) -> Option<Value> {
        let row = &self.0[operation.index()];
        let count = |ended: Ended| row.ended[ended as usize].load(Ordering::Relaxed);
        let calls: u64 =
            Ended::ALL.iter().filter(|(ended, _)| *ended != Ended::Challenged).map(|(ended, _)| count(*ended)).sum();
        let applied = row.applied.load(Ordering::Relaxed);
        if calls + count(Ended::Challenged) + applied == 0 {
            return None;
        }
        let mut line = json!({ "vault": vault, "operation": operation.name(), "calls": calls });
        let fields = line.as_object_mut()?;
        for (ended, name) in Ended::ALL {
            fields.insert(name.to_owned(), json!(count(ended)));
        }
        fields.insert("applied".to_owned(), json!(applied));
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_counted_apart_from_calls() {
        let counts = Counts::new();
        counts.ended(Operation::SecretsSet, Ended::of_status(401));
        counts.ended(Operation::SecretsSet, Ended::of_status(200));
        counts.ended(Operation::SecretsSet, Ended::NoAnswer);
        counts.applied(Operation::SecretsSet);
        let rows = counts.rows("a");
        assert_eq!(rows.len(), 1);
        assert_eq!((&rows[0]["calls"], &rows[0]["challenged"], &rows[0]["applied"]), (&json!(2), &json!(1), &json!(1)));
        counts.reset();
        assert!(counts.rows("a").is_empty());
    }
}
