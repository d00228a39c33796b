//! The broker's promises, kept by a real nats-server.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use broker::{Append, AppendError, Broker, BusError, Live, LogError, Outgoing, Select, nats::NatsSettings};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use proto_msgs::{Encoding, Envelope, MessageId, Sequence, Slot, Timestamp, api::NameReservation, worker::SlotLease};
use system_tests::NatsServer;

/// Longest a live message may take.
const SOON: Duration = Duration::from_secs(5);

async fn connected() -> Result<(NatsServer, Broker)> {
    let server = NatsServer::start().await?;
    let settings = NatsSettings { url: server.url(), ..NatsSettings::default() };
    // Twice: what is there already is brought up to date, not refused.
    for _ in 0..2 {
        broker::nats::provision(&settings, 1).await?;
    }
    let broker = Broker::connect(&settings).await?;
    Ok((server, broker))
}

fn append(broker: &Broker, subject: &str, text: &str, expected: u64) -> Append {
    Append {
        stream: broker.subjects.runs_stream(),
        subject: subject.to_owned(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        encoding: Encoding::Json,
        correlation: proto_msgs::CorrelationId::from_random(7),
        expected: Some(Sequence(expected)),
        ttl: None,
        rollup: false,
    }
}

fn run_subjects(broker: &Broker) -> [String; 3] {
    [1, 2, 3].map(|bits| broker.subjects.run(&proto_msgs::ConfigId::from_random(bits)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_holds_only_where_the_newest_is_the_expected_one() -> Result<()> {
    let (_server, broker) = connected().await?;
    let [a, b, _] = run_subjects(&broker);
    let streams = &broker.streams;
    let first = streams.append(append(&broker, &a, "1", 0)).await?;
    ensure!(matches!(streams.append(append(&broker, &a, "x", 0)).await, Err(AppendError::Conflict)), "0 again");
    // Another subject of the stream does not stand in the way.
    streams.append(append(&broker, &b, "1", 0)).await?;
    let second = streams.append(append(&broker, &a, "2", first.0)).await?;
    ensure!(
        matches!(streams.append(append(&broker, &a, "x", first.0)).await, Err(AppendError::Conflict)),
        "an old one"
    );
    let last = streams.last(&broker.subjects.runs_stream(), &a).await?.context("it was stored")?;
    ensure!((last.sequence, &last.payload[..]) == (second, b"2"), "{last:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_give_the_newest_or_everything_and_then_end() -> Result<()> {
    let (_server, broker) = connected().await?;
    let subjects = run_subjects(&broker);
    for subject in &subjects {
        let first = broker.streams.append(append(&broker, subject, "old", 0)).await?;
        broker.streams.append(append(&broker, subject, "new", first.0)).await?;
    }
    let (stream, all) = (broker.subjects.runs_stream(), broker.subjects.runs());
    let newest: Vec<_> = broker.streams.read(&stream, &all, Select::NewestPerSubject).await?.try_collect().await?;
    ensure!(newest.len() == 3 && newest.iter().all(|stored| &stored.payload[..] == b"new"), "{newest:?}");
    let every: Vec<_> = broker.streams.read(&stream, &all, Select::From(Sequence(1))).await?.try_collect().await?;
    ensure!(every.len() == 6 && every.is_sorted_by_key(|stored| stored.sequence), "{every:?}");
    let none: Vec<_> =
        broker.streams.read(&stream, "kf.run.nobody", Select::NewestPerSubject).await?.try_collect().await?;
    ensure!(none.is_empty(), "{none:?}");
    ensure!(broker.streams.last(&stream, "kf.run.nobody").await?.is_none(), "nobody");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_hears_what_is_stored_and_a_tail_goes_on_from_its_cursor() -> Result<()> {
    let (_server, broker) = connected().await?;
    let [subject, ..] = run_subjects(&broker);
    let id = proto_msgs::ConfigId::from_random(1);
    let mut live = broker.streams.follow(&broker.subjects.live_run(&id)).await?;
    let first = broker.streams.append(append(&broker, &subject, "1", 0)).await?;
    let mut tail = broker.streams.tail(&broker.subjects.runs_stream(), &subject, first).await?;
    broker.streams.append(append(&broker, &subject, "2", first.0)).await?;
    let mut heard = BTreeSet::new();
    while heard.len() < 2 {
        let next = tokio::time::timeout(SOON, live.next()).await?.context("the feed ended")?;
        if let Live::Message(stored) = next {
            heard.insert((stored.sequence, stored.payload));
        }
    }
    for expected in [b"1", b"2"] {
        let next = tokio::time::timeout(SOON, tail.next()).await?.context("the tail ended")??;
        ensure!(next.payload[..] == expected[..], "{next:?}");
    }
    Ok(())
}

fn envelope<T: proto_msgs::Message>(bits: u128, body: T) -> Envelope<T> {
    Envelope::new(MessageId::from_random(bits), proto_msgs::CorrelationId::from_random(9), Timestamp::default(), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_has_one_owner_and_is_free_again_when_given_back() -> Result<()> {
    let (_server, broker) = connected().await?;
    let leases = broker.leases();
    let lease =
        |owner: &str| -> Result<SlotLease> { Ok(SlotLease { slot: Slot(3), owner: owner.parse()?, epoch: None }) };
    let epoch = leases.take(&envelope(1, lease("coordinator-a")?), Sequence(0)).await?;
    let refused = leases.take(&envelope(2, lease("coordinator-b")?), Sequence(0)).await;
    ensure!(matches!(refused, Err(LogError::Conflict)), "{refused:?}");
    let sequence = leases.renew(&envelope(3, lease("coordinator-a")?), Sequence(epoch.0)).await?;
    leases.release(Slot(3), proto_msgs::CorrelationId::from_random(9), sequence).await?;
    let head = leases.head(Slot(3)).await?;
    ensure!(head.lease.is_none() && head.sequence > sequence, "{head:?}");
    let later = leases.take(&envelope(4, lease("coordinator-b")?), head.sequence).await?;
    ensure!(later > epoch, "epochs grow");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_belongs_to_one_config() -> Result<()> {
    let (_server, broker) = connected().await?;
    let configs = broker.configs();
    let mine = |bits, id| envelope(bits, NameReservation { config: proto_msgs::ConfigId::from_random(id) });
    configs.reserve_name("prod-eu to prod-ne", &mine(1, 1)).await?;
    let refused = configs.reserve_name("prod-eu to prod-ne", &mine(2, 2)).await;
    ensure!(matches!(refused, Err(LogError::Conflict)), "{refused:?}");
    configs.release_name("prod-eu to prod-ne", &mine(3, 1)).await?;
    configs.reserve_name("prod-eu to prod-ne", &mine(4, 2)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_by_one_of_a_group_and_nobody_is_told_at_once() -> Result<()> {
    let (_server, broker) = connected().await?;
    let message = || Outgoing { payload: Bytes::from_static(b"?"), encoding: Encoding::Json, correlation: None };
    let nobody = broker.bus.request("kf.test.nobody", message(), SOON).await;
    ensure!(matches!(nobody, Err(BusError::NoResponders { .. })), "{nobody:?}");
    let mut first = broker.bus.subscribe("kf.test.ask", Some("group")).await?;
    let mut second = broker.bus.subscribe("kf.test.ask", Some("group")).await?;
    broker.bus.flush().await?;
    let bus = broker.bus.clone();
    let answering = async {
        let question = tokio::select! { question = first.next() => question, question = second.next() => question };
        let question = question.context("the subscription ended")?;
        bus.respond(
            &question,
            Outgoing { payload: Bytes::from_static(b"!"), encoding: Encoding::Json, correlation: None },
        )
        .await?;
        anyhow::Ok(())
    };
    let asking = async { anyhow::Ok(broker.bus.request("kf.test.ask", message(), SOON).await?) };
    let (_, answer) = tokio::try_join!(answering, asking)?;
    ensure!(&answer.payload[..] == b"!", "{answer:?}");
    let again = tokio::time::timeout(Duration::from_millis(200), async {
        tokio::select! { question = first.next() => question, question = second.next() => question }
    });
    ensure!(again.await.is_err(), "both of the group were asked");
    Ok(())
}
