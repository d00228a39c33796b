//! Which records a decision is about: one, as it is read now, or all that match, as a listing showed them.
//!
//! Without the hash of a listing nothing is decided about more than one record: what would be is shown, with the hash and
//! the command that does it.

use clap::Args;
use proto_msgs::{
    ItemType, RequestCode, SetHash, Status,
    api::{Done, PassedOver, RecordFilter, RecordView, SetBody},
};
use serde::Serialize;

use super::records;
use crate::{
    client::{Client, Listing, path},
    failure::Failure,
    invocation::{ConfigArg, Invocation, segment},
};

#[derive(Debug, Args)]
pub struct Choice {
    #[command(flatten)]
    config: ConfigArg,
    /// secrets, certificates or keys.
    #[arg(value_name = "TYPE", requires = "item", value_parser = segment)]
    kind: Option<String>,
    /// Name of the item; without it, all records that match.
    #[arg(value_name = "NAME", value_parser = segment)]
    item: Option<String>,
    /// Only items of this type.
    #[arg(long = "type", conflicts_with = "kind")]
    of_type: Option<ItemType>,
    /// Only names that match this glob.
    #[arg(long = "name", value_name = "GLOB", conflicts_with = "kind")]
    matching: Option<String>,
    /// Decides about all that match, if they are still those that were shown under this hash.
    #[arg(long, conflicts_with = "kind")]
    hash: Option<SetHash>,
}

/// What would be decided about, and how.
#[derive(Debug, Serialize)]
pub struct Offer {
    pub records: Vec<RecordView>,
    pub hash: SetHash,
    /// Decides about exactly these.
    pub command: String,
}

impl Choice {
    pub fn config(&self) -> &str {
        &self.config.config
    }

    /// Type and name, where it is about one record.
    pub fn one(&self) -> Option<(&str, &str)> {
        self.kind.as_deref().zip(self.item.as_deref())
    }

    /// What a listing showed; none: nothing is decided before it is looked at.
    pub fn set(&self, status: Option<Status>) -> Option<SetBody> {
        self.hash.map(|hash| SetBody { filter: self.filter(status), hash })
    }

    fn filter(&self, status: Option<Status>) -> RecordFilter {
        RecordFilter { status, kind: self.of_type, name: self.matching.clone() }
    }

    /// Shows what `verb` would be about.
    pub async fn offer(
        &self,
        client: &Client,
        invocation: &Invocation,
        verb: &str,
        status: Option<Status>,
    ) -> Result<(), Failure> {
        let filter = self.filter(status);
        let offer = offer(client, self.config(), &filter, |hash| self.command(verb, status, hash)).await?;
        invocation.answer(&offer, || offer.table())
    }

    fn command(&self, verb: &str, status: Option<Status>, hash: SetHash) -> String {
        let mut command = format!("keyferry {verb} {}", quoted(self.config()));
        let status = status.filter(|_| verb.starts_with("records")).map(Status::as_str);
        let options =
            [("status", status), ("type", self.of_type.map(ItemType::as_str)), ("name", self.matching.as_deref())];
        for (option, value) in options {
            if let Some(value) = value {
                command += &format!(" --{option} {}", quoted(value));
            }
        }
        command + &format!(" --hash {hash}")
    }
}

/// All records that match, and the command for all of them.
pub async fn offer(
    client: &Client,
    config: &str,
    filter: &RecordFilter,
    command: impl FnOnce(SetHash) -> String,
) -> Result<Offer, Failure> {
    let filters = [
        ("status", filter.status.map(Status::as_str)),
        ("type", filter.kind.map(ItemType::as_str)),
        ("name", filter.name.as_deref()),
    ];
    let Listing { items, hash } = client.listing(&path(&["configs", config, "records"]), &filters).await?;
    let hash = hash.ok_or_else(|| {
        let detail = "the list came without the hash that stands for it";
        Failure::new(RequestCode::Unavailable, detail, "run one version everywhere")
    })?;
    Ok(Offer { records: items, hash, command: command(hash) })
}

impl Offer {
    pub fn table(&self) -> String {
        if self.records.is_empty() {
            return "no record matches".to_owned();
        }
        let (count, command) = (self.records.len(), &self.command);
        format!("{}\n\nhash {}\nfor all {count} of them: {command}", records::list(&self.records), self.hash)
    }
}

/// What is said of a decision.
pub fn decided(what: &str, done: &Done) -> String {
    let records = match done.records {
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    };
    let passed_over = done.passed_over.as_ref().map(|passed| {
        let PassedOver { records, key, detail, fix } = passed;
        format!("\npassed over: {records}, among them {key}: {detail} ({fix})")
    });
    format!("{records} {what}, under {}{}", done.correlation_id, passed_over.unwrap_or_default())
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        choice: Choice,
    }

    fn choice(words: &[&str]) -> Result<Choice, clap::Error> {
        Line::try_parse_from(["keyferry"].iter().chain(words)).map(|line| line.choice)
    }

    #[test]
    fn the_command_that_is_offered_repeats_what_was_asked_for() {
        let choice = choice(&["prod eu's", "--type", "keys", "--name", "a*"]).unwrap();
        let command = choice.command("records ack", Some(Status::BlockedTargetConflict), SetHash(255));
        assert_eq!(
            command,
            format!(
                r"keyferry records ack 'prod eu'\''s' --status blocked_target_conflict --type keys --name 'a*' --hash {}",
                SetHash(255)
            )
        );
        let command = choice.command("drift accept", Some(Status::Drifted), SetHash(255));
        assert!(!command.contains("--status"), "{command}");
    }

    #[test]
    fn one_record_and_all_that_match_are_not_mixed() {
        assert_eq!(choice(&["c", "secrets", "a"]).unwrap().one(), Some(("secrets", "a")));
        assert!(choice(&["c"]).unwrap().set(None).is_none());
        let hash = SetHash(7).to_string();
        assert_eq!(choice(&["c", "--hash", &hash]).unwrap().set(None).map(|set| set.hash), Some(SetHash(7)));
        for bad in
            [&["c", "secrets"][..], &["c", "secrets", "a", "--hash", &hash], &["c", "secrets", "a", "--name", "b"]]
        {
            assert!(choice(bad).is_err(), "{bad:?}");
        }
        assert!(choice(&["c", "--hash", "7"]).is_err());
    }
}
