//! How long records wait for a role that died: a worker, then the coordinator that owns them, killed in the middle.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use domain::placement;
use proto_msgs::{ConfigId, Epoch, MemberId, Status, Timestamp, api::RecordView, hash, record::UnresolvedAttempt};
use system_tests::{Cluster, ClusterBuilder, EstateBuilder};

use crate::parts::{LIMIT, SOURCE, TARGET, spec};

/// Records of which each part has this share done when the role is killed.
const DONE_FIRST: usize = 4;

/// Slots change hands once in ten seconds at most: the second coordinator gets its share that long after the first took
/// all, and what it took can be taken from it that long after, at the next of its renewals.
const SLOTS_REST: Duration = Duration::from_secs(30);

/// What became of the records that a role left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Failover {
    /// From the kill to the next outcome of a record that was the dead one's and had no open attempt.
    pub next: Duration,
    /// From the kill to the last outcome of the attempts that were open, and how many those were.
    pub open: Option<(Duration, usize)>,
}

/// A worker is killed.
pub async fn worker(secrets: usize, latency: Duration) -> Result<Failover> {
    let (mut cluster, config) = half_done(secrets, latency).await?;
    let members = [cluster.workers[0].member(LIMIT).await?, cluster.workers[1].member(LIMIT).await?];
    let killed = now()?;
    cluster.workers[0].kill()?;
    let stories = told(&cluster, &config, secrets).await?;
    Failover::of(&stories, killed, |story| is_placed_on(story, &members), |open| open.worker == members[0])
}

/// The coordinator that owns the records is killed.
pub async fn coordinator(secrets: usize, latency: Duration) -> Result<Failover> {
    let (mut cluster, config) = half_done(secrets, latency).await?;
    let owner = cluster.api().config(&config).await?.summary.context("no coordinator answers")?.coordinator;
    let mut dead = None;
    for (number, coordinator) in cluster.coordinators.iter().enumerate() {
        dead = if coordinator.member(LIMIT).await? == owner { Some(number) } else { dead };
    }
    let killed = now()?;
    cluster.coordinators[dead.context("the owner is none of the two")?].kill()?;
    let stories = told(&cluster, &config, secrets).await?;
    let epoch = stories.iter().filter_map(|story| open_at(story, killed)).map(|open| open.epoch).max();
    let epoch = epoch.context("nothing was open when the coordinator died")?;
    Failover::of(&stories, killed, |story| was_sent_again(story, epoch), |_| true)
}

async fn half_done(secrets: usize, latency: Duration) -> Result<(Cluster, ConfigId)> {
    let estate = EstateBuilder::new().vault(SOURCE, "westeurope", secrets).vault(TARGET, "northeurope", 0);
    let mut cluster = ClusterBuilder::new(estate).latency(latency).unlimited().start().await?;
    cluster.start_coordinator()?;
    cluster.coordinators[1].member(LIMIT).await?;
    tokio::time::sleep(SLOTS_REST).await;
    let config = cluster.api().create(spec()).await?.config.id;
    cluster.api().active(&config, (secrets / DONE_FIRST) as u64, LIMIT).await?;
    Ok((cluster, config))
}

async fn told(cluster: &Cluster, config: &ConfigId, secrets: usize) -> Result<Vec<RecordView>> {
    cluster.api().settled(config, LIMIT).await?;
    let stories = cluster.api().stories(config).await?;
    let is_done = |story: &RecordView| story.record.status == Status::Active;
    ensure!(stories.len() == secrets && stories.iter().all(is_done), "not all {secrets} are active");
    Ok(stories)
}

#[expect(clippy::disallowed_methods, reason = "what is measured has the same clock")]
fn now() -> Result<Timestamp> {
    Ok(Timestamp::default().plus(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?))
}

/// Whether its shard was the first one's, while both lived.
fn is_placed_on(story: &RecordView, members: &[MemberId; 2]) -> bool {
    placement::owner(u64::from(hash::shard(&story.record.id).0), members) == Some(&members[0])
}

/// Whether a later owner handed it out.
fn was_sent_again(story: &RecordView, epoch: Epoch) -> bool {
    let mut intents = states(story).filter_map(|state| state.record.unresolved.as_ref());
    intents.any(|intent| intent.epoch > epoch)
}

/// Newest first.
fn states(story: &RecordView) -> impl Iterator<Item = &RecordView> {
    [story].into_iter().chain(&story.history)
}

fn state_at(story: &RecordView, time: Timestamp) -> Option<&RecordView> {
    states(story).find(|state| state.at <= time)
}

fn open_at(story: &RecordView, time: Timestamp) -> Option<&UnresolvedAttempt> {
    state_at(story, time).filter(|state| state.record.status == Status::Syncing)?.record.unresolved.as_ref()
}

/// When it was first settled after that time.
fn outcome_after(story: &RecordView, time: Timestamp) -> Option<Timestamp> {
    let is_outcome = |state: &&RecordView| state.at > time && state.record.status == Status::Active;
    states(story).filter(is_outcome).map(|state| state.at).min()
}

impl Failover {
    fn of(
        stories: &[RecordView],
        killed: Timestamp,
        is_dead_ones: impl Fn(&RecordView) -> bool,
        is_dead: impl Fn(&UnresolvedAttempt) -> bool,
    ) -> Result<Self> {
        let waiting = |story: &&RecordView| {
            state_at(story, killed).is_some_and(|state| state.record.status == Status::Pending) && is_dead_ones(story)
        };
        let outcomes = |stories: Vec<&RecordView>| -> Vec<Duration> {
            let ends = stories.into_iter().filter_map(|story| outcome_after(story, killed));
            ends.map(|end| end.since(killed)).collect()
        };
        let next = outcomes(stories.iter().filter(waiting).collect()).into_iter().min();
        let open = stories.iter().filter(|story| open_at(story, killed).is_some_and(&is_dead)).collect();
        let open = outcomes(open);
        Ok(Self {
            next: next.context("nothing waited for the dead one")?,
            open: open.iter().max().map(|last| (*last, open.len())),
        })
    }
}
