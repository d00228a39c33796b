//! Claims about a client whose line fails.

use std::time::Duration;

use futures::StreamExt;
use proto_msgs::Sequence;

use super::{
    Host,
    bus::subscribed,
    live::{heard, heard_message, tailed},
    newest, outgoing, seen, soon, stored, text, to_run, typed, until,
};
use crate::{
    Broker,
    error::{AppendError, BusError, ReadError},
    ports::{Live, Select},
};

/// Less than the client gives anything by itself.
const SHORT: Duration = Duration::from_millis(300);
const SUBJECT: &str = "kf.test.ask";

async fn until_cut(broker: &Broker) {
    until("the client to know", || std::future::ready((!broker.bus.is_connected()).then_some(()))).await;
}

async fn until_connected(broker: &Broker) {
    until("the client to connect again", || std::future::ready(broker.bus.is_connected().then_some(()))).await;
}

pub async fn a_cut_client_is_told_in_time(host: &dyn Host) {
    let (broker, line) = host.client_on_a_line().await;
    let first = stored(&broker, to_run(&broker, 1, "1", Sequence(0))).await;
    assert!(broker.bus.is_connected());
    line.cut().await;
    until_cut(&broker).await;
    let like = to_run(&broker, 1, "2", first);
    let (streams, bus, live) = (&broker.streams, &broker.bus, broker.subjects.live_run(&super::config_id(1)));
    let asking = async {
        tokio::join!(
            streams.append(like.clone()),
            streams.last(&like.stream, &like.subject),
            async { streams.read(&like.stream, &like.subject, Select::NewestPerSubject).await.map(drop) },
            async { streams.tail(&like.stream, &like.subject, first).await.map(drop) },
            async { streams.follow(&live).await.map(drop) },
            bus.request(SUBJECT, outgoing("?"), SHORT),
            bus.publish(SUBJECT, outgoing("!")),
            bus.flush(),
        )
    };
    let (append, last, read, tail, follow, request, publish, flush) = soon("every call to end", asking).await;
    assert!(matches!(append, Err(AppendError::Unknown)), "it may be stored: {append:?}");
    for (what, outcome) in [("last", last.map(drop)), ("read", read), ("tail", tail), ("follow", follow)] {
        assert!(matches!(outcome, Err(ReadError::Deadline | ReadError::Unavailable(_))), "{what}: {outcome:?}");
    }
    assert!(matches!(request, Err(BusError::Disconnected)), "{request:?}");
    assert!(publish.is_ok(), "it is sent later: {publish:?}");
    assert!(matches!(flush, Err(BusError::Disconnected)), "{flush:?}");
}

/// An append that was given up long ago may still be stored: only what it expects keeps it out.
pub async fn what_was_sent_while_cut_arrives_late(host: &dyn Host) {
    let (broker, line) = host.client_on_a_line().await;
    let other = host.client().await;
    let mut messages = subscribed(&other, SUBJECT, None).await;
    let first = stored(&broker, to_run(&broker, 1, "1", Sequence(0))).await;
    line.cut().await;
    until_cut(&broker).await;
    let (append, publish) = tokio::join!(
        broker.streams.append(to_run(&broker, 1, "late", first)),
        broker.bus.publish(SUBJECT, outgoing("late")),
    );
    assert!(matches!(append, Err(AppendError::Unknown)), "{append:?}");
    assert!(publish.is_ok(), "{publish:?}");
    let like = to_run(&other, 1, "", first);
    assert_eq!(newest(&other, &like).await.map(|stored| stored.sequence), Some(first));
    line.mend().await;
    until("the late append to be stored", || async {
        newest(&other, &like).await.filter(|stored| stored.sequence > first && text(stored) == "late")
    })
    .await;
    let late = soon("the late message", messages.next()).await.expect("a subscription does not end");
    assert_eq!(&late.payload[..], b"late");
}

pub async fn after_a_cut_everything_is_heard_again(host: &dyn Host) {
    let (broker, line) = host.client_on_a_line().await;
    let other = host.client().await;
    let like = to_run(&broker, 1, "", Sequence(0));
    let live = broker.subjects.live_run(&super::config_id(1));
    let mut live = broker.streams.follow(&live).await.expect("following begins");
    let mut tail = broker.streams.tail(&like.stream, &like.subject, Sequence(1)).await.expect("the tail begins");
    // The last of the three, which the server has seen when it has seen this one.
    let mut questions = subscribed(&broker, SUBJECT, None).await;
    let first = stored(&other, to_run(&other, 1, "1", Sequence(0))).await;
    assert_eq!(text(&heard_message(&mut live).await), "1");
    assert_eq!(text(&tailed(&mut tail).await), "1");
    line.cut().await;
    until_cut(&broker).await;
    let second = stored(&other, to_run(&other, 1, "2", first)).await;
    line.mend().await;
    until_connected(&broker).await;
    while heard(&mut live).await != Live::Gap {}
    seen(&broker).await;
    stored(&other, to_run(&other, 1, "3", second)).await;
    assert_eq!(text(&heard_message(&mut live).await), "3");
    for state in ["2", "3"] {
        assert_eq!(text(&tailed(&mut tail).await), state, "a tail misses nothing");
    }
    let asking = other.bus.request(SUBJECT, outgoing("?"), super::SOON);
    let answering = async {
        let question = soon("the question", questions.next()).await.expect("a subscription does not end");
        broker.bus.respond(&question, outgoing("!")).await
    };
    let (answer, _) = tokio::join!(asking, answering);
    assert_eq!(&answer.expect("it was answered").payload[..], b"!");
}

pub async fn who_is_cut_off_answers_nobody(host: &dyn Host) {
    let (broker, line) = host.client_on_a_line().await;
    let other = host.client().await;
    let _questions = subscribed(&broker, SUBJECT, Some("group")).await;
    line.cut().await;
    until("the server to know", || async {
        let outcome = other.bus.request(SUBJECT, outgoing("?"), SHORT).await;
        matches!(outcome, Err(BusError::NoResponders { .. })).then_some(())
    })
    .await;
}

pub async fn a_lost_answer_is_settled_by_the_writers_own_message(host: &dyn Host) {
    let (broker, line) = host.client_on_a_line().await;
    let other = host.client().await;
    let run = typed::run(1, 1);
    line.deafen().await;
    let log = broker.log();
    let appending = log.append_run(&run, Sequence(0));
    let mending = async {
        let stored = until("the run to be stored", || async {
            other.log().run(&run.body.config).await.expect("the run is readable")
        })
        .await;
        line.mend().await;
        stored
    };
    let (appended, stored) = soon("the append to be settled", async { tokio::join!(appending, mending) }).await;
    assert_eq!(appended.expect("it was stored, and is known to be"), stored.sequence);
    assert_eq!(stored.envelope, run);
}
