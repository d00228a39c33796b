//! What the weather, a cut and a kill do.

use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use proto_msgs::{ConfigId, CorrelationId, Envelope, MessageId, Sequence, Slot, Timestamp, worker::SlotLease};
use tokio::time::Instant;

use super::{outgoing, server, to_run};
use crate::{
    Broker, LogError,
    error::{AppendError, BusError, ReadError},
    memory::{Fate, MemoryServer, What},
    nats::{API_LIMIT, SUBSCRIPTION_CAPACITY},
    ports::{Append, Live, Select, Stored},
};

const SECOND: Duration = Duration::from_secs(1);

/// A server on which every message of one kind has the same fate.
fn server_where(what: What, fate: Fate) -> MemoryServer {
    let server = server();
    server.set_weather(move |crossing| if crossing.what == what { fate } else { Fate::Fine });
    server
}

async fn newest(broker: &Broker) -> Option<Stored> {
    let like = to_run(broker, 1, "", Sequence(0));
    broker.streams.last(&like.stream, &like.subject).await.unwrap()
}

/// Appends, and says what came of it, how long that took and what is stored then.
async fn appended(fate: Fate) -> (Result<Sequence, AppendError>, Duration, Option<Stored>) {
    let server = server_where(What::Append, fate);
    let broker = server.client("a").broker();
    let began = Instant::now();
    let outcome = broker.streams.append(to_run(&broker, 1, "1", Sequence(0))).await;
    (outcome, began.elapsed(), newest(&broker).await)
}

#[tokio::test(start_paused = true)]
async fn a_lost_append_is_not_stored_and_not_answered() {
    let (outcome, took, stored) = appended(Fate::Lost).await;
    assert!(matches!(outcome, Err(AppendError::Unknown)), "{outcome:?}");
    assert_eq!((took, stored), (API_LIMIT, None));
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_append_is_stored() {
    let (outcome, took, stored) = appended(Fate::Unanswered).await;
    assert!(matches!(outcome, Err(AppendError::Unknown)), "{outcome:?}");
    assert_eq!((took, stored.map(|stored| stored.sequence)), (API_LIMIT, Some(Sequence(1))));
}

#[tokio::test(start_paused = true)]
async fn a_late_append_is_stored_late_and_answered_then() {
    let (outcome, took, stored) = appended(Fate::Late(SECOND)).await;
    assert_eq!((outcome.unwrap(), took), (Sequence(1), SECOND));
    assert_eq!(stored.unwrap().time, Timestamp::from_unix_seconds(super::NOON + 1));
}

#[tokio::test(start_paused = true)]
async fn an_append_answered_late_is_stored_at_once() {
    let (outcome, took, stored) = appended(Fate::AnsweredLate(SECOND)).await;
    assert_eq!((outcome.unwrap(), took), (Sequence(1), SECOND));
    assert_eq!(stored.unwrap().time, Timestamp::from_unix_seconds(super::NOON));
}

#[tokio::test(start_paused = true)]
async fn an_append_that_arrives_twice_is_stored_once() {
    let (outcome, _, stored) = appended(Fate::Twice).await;
    assert_eq!((outcome.unwrap(), stored.unwrap().sequence), (Sequence(1), Sequence(1)));
}

#[tokio::test(start_paused = true)]
async fn an_append_later_than_anybody_waits_is_stored_all_the_same() {
    let server = server_where(What::Append, Fate::Late(API_LIMIT * 2));
    let broker = server.client("a").broker();
    let outcome = broker.streams.append(to_run(&broker, 1, "1", Sequence(0))).await;
    assert!(matches!(outcome, Err(AppendError::Unknown)), "{outcome:?}");
    // And one whose sender does not wait at all.
    let given_up = broker.streams.append(to_run(&broker, 2, "2", Sequence(0))).now_or_never();
    assert!(given_up.is_none());
    assert_eq!(server.written(), []);
    tokio::time::sleep(API_LIMIT * 2).await;
    let texts: Vec<_> = server.written().into_iter().map(|written| written.message.payload).collect();
    assert_eq!(texts, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_not_answered_fails_in_time_and_is_never_empty() {
    let server = server();
    let broker = server.client("a").broker();
    for bits in 1..=4 {
        broker.streams.append(to_run(&broker, bits, "1", Sequence(0))).await.unwrap();
    }
    let (stream, all) = (broker.subjects.runs_stream(), broker.subjects.runs());
    server.set_weather(|crossing| if crossing.what == What::Read { Fate::Lost } else { Fate::Fine });
    let last = broker.streams.last(&stream, "kf.run.x").await;
    assert!(matches!(last, Err(ReadError::Deadline)), "{last:?}");
    let read = broker.streams.read(&stream, &all, Select::NewestPerSubject).await.map(drop);
    assert!(matches!(read, Err(ReadError::Deadline)), "{read:?}");
    server.set_weather(|crossing| if crossing.what == What::Read { Fate::Unanswered } else { Fate::Fine });
    let mut read = broker.streams.read(&stream, &all, Select::NewestPerSubject).await.unwrap();
    assert!(read.try_next().await.unwrap().is_some() && read.try_next().await.unwrap().is_some());
    assert!(matches!(read.try_next().await, Err(ReadError::Deadline)), "it broke off half-way");
}

#[tokio::test(start_paused = true)]
async fn a_read_answered_late_shows_what_was_there_when_it_was_made() {
    let server = server();
    let broker = server.client("a").broker();
    let first = broker.streams.append(to_run(&broker, 1, "1", Sequence(0))).await.unwrap();
    let mut expected = first;
    // Each time, the next text is written while the read is on its way.
    for (fate, text, seen) in [(Fate::AnsweredLate(SECOND), "2", "1"), (Fate::Late(SECOND), "3", "3")] {
        server.set_weather(move |crossing| if crossing.what == What::Read { fate } else { Fate::Fine });
        let (newest, stored) = tokio::join!(newest(&broker), broker.streams.append(to_run(&broker, 1, text, expected)));
        expected = stored.unwrap();
        assert_eq!(newest.unwrap().payload, seen, "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_may_miss_a_message_or_hear_it_twice_and_is_not_told() {
    let server = server();
    let broker = server.client("a").broker();
    let mut live = broker.streams.follow(&broker.subjects.live_run(&ConfigId::from_random(1))).await.unwrap();
    let mut fates = [Fate::Lost, Fate::Twice, Fate::Fine].into_iter();
    server.set_weather(move |crossing| if crossing.what == What::Live { fates.next().unwrap() } else { Fate::Fine });
    for (expected, text) in [(0, "1"), (1, "2"), (2, "3")] {
        broker.streams.append(to_run(&broker, 1, text, Sequence(expected))).await.unwrap();
    }
    for expected in [2, 2, 3] {
        let Some(Live::Message(stored)) = live.next().await else { panic!("a gap, or the end") };
        assert_eq!(stored.sequence, Sequence(expected));
    }
    assert!(live.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_falls_too_far_behind_is_told_of_a_gap() {
    let server = server();
    let broker = server.client("a").broker();
    let mut live = broker.streams.follow(&broker.subjects.live_run(&ConfigId::from_random(1))).await.unwrap();
    let free = || Append { expected: None, ..to_run(&broker, 1, "1", Sequence(0)) };
    for _ in 0..=SUBSCRIPTION_CAPACITY {
        broker.streams.append(free()).await.unwrap();
    }
    let heard: Vec<_> = live.by_ref().take(SUBSCRIPTION_CAPACITY).collect().await;
    assert!(!heard.contains(&Live::Gap));
    let next = broker.streams.append(free()).await.unwrap();
    assert_eq!(live.next().await, Some(Live::Gap));
    let Some(Live::Message(stored)) = live.next().await else { panic!("a gap, or the end") };
    assert_eq!(stored.sequence, next);
}

#[tokio::test(start_paused = true)]
async fn a_late_message_holds_back_what_comes_after_it() {
    let server = server();
    let broker = server.client("a").broker();
    let mut messages = broker.bus.subscribe("kf.test", None).await.unwrap();
    let mut delays = [SECOND, Duration::ZERO].into_iter();
    server.set_weather(
        move |crossing| {
            if crossing.what == What::Delivery { Fate::Late(delays.next().unwrap()) } else { Fate::Fine }
        },
    );
    let began = Instant::now();
    for text in ["1", "2"] {
        broker.bus.publish("kf.test", outgoing(text)).await.unwrap();
    }
    for text in ["1", "2"] {
        assert_eq!(messages.next().await.unwrap().payload, text);
    }
    assert_eq!(began.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_message_may_reach_one_and_not_another() {
    let server = server();
    let (a, b) = (server.client("a").broker(), server.client("b").broker());
    let mut heard = [a.bus.subscribe("kf.test", None).await.unwrap(), b.bus.subscribe("kf.test", None).await.unwrap()];
    server.set_weather(|crossing| if crossing.client == "b" { Fate::Lost } else { Fate::Fine });
    a.bus.publish("kf.test", outgoing("1")).await.unwrap();
    assert!(heard[0].next().now_or_never().is_some());
    assert!(heard[1].next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_question_may_arrive_twice_and_its_answer_not_at_all() {
    let server = server();
    let broker = server.client("a").broker();
    let mut questions = broker.bus.subscribe("kf.test", None).await.unwrap();
    for (what, fate, times) in [
        (What::Request, Fate::Twice, 2),
        (What::Request, Fate::Unanswered, 1),
        (What::Reply, Fate::Lost, 1),
        (What::Request, Fate::Lost, 0),
    ] {
        server.set_weather(move |crossing| if crossing.what == what { fate } else { Fate::Fine });
        let asking = broker.bus.request("kf.test", outgoing("?"), SECOND);
        let answering = async {
            for _ in 0..times {
                let question = questions.next().await.unwrap();
                broker.bus.respond(&question, outgoing("!")).await.unwrap();
            }
        };
        let (answer, ()) = tokio::join!(asking, answering);
        if fate == Fate::Twice {
            assert_eq!(answer.unwrap().payload, "!");
        } else {
            assert!(matches!(answer, Err(BusError::Deadline { .. })), "{fate:?}: {answer:?}");
        }
        assert!(questions.next().now_or_never().is_none(), "asked more than {times} times");
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_process_answers_nobody_and_what_it_had_sent_arrives() {
    let server = server_where(What::Append, Fate::Late(SECOND));
    let (client, other) = (server.client("a"), server.client("b").broker());
    let broker = client.broker();
    let mut questions = broker.bus.subscribe("kf.test", None).await.unwrap();
    let sent = broker.streams.append(to_run(&broker, 1, "sent", Sequence(0))).now_or_never();
    assert!(sent.is_none());
    client.remove();
    let nobody = other.bus.request("kf.test", outgoing("?"), SECOND).await;
    assert!(matches!(nobody, Err(BusError::NoResponders { .. })), "{nobody:?}");
    assert!(questions.next().await.is_none(), "its subscriptions are gone");
    client.reconnect();
    assert!(!broker.bus.is_connected(), "a dead process does not come back");
    let after = broker.streams.append(to_run(&broker, 2, "after", Sequence(0))).await;
    assert!(matches!(after, Err(AppendError::Unknown)), "{after:?}");
    let texts: Vec<_> = server.written().into_iter().map(|written| written.message.payload).collect();
    assert_eq!(texts, ["sent"]);
}

#[tokio::test(start_paused = true)]
async fn an_append_cut_short_goes_out_on_reconnect_while_it_is_waited_for() {
    let server = server();
    let client = server.client("a");
    let broker = client.broker();
    client.cut();
    let append = to_run(&broker, 1, "1", Sequence(0));
    let mending = async {
        tokio::time::sleep(SECOND).await;
        client.reconnect();
    };
    let (outcome, ()) = tokio::join!(broker.streams.append(append), mending);
    assert_eq!(outcome.unwrap(), Sequence(1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_a_conflict_where_another_wrote_since() {
    let server = server();
    let (a, b) = (server.client("a").broker(), server.client("b").broker());
    server.set_weather(|crossing| match (crossing.client, crossing.what) {
        ("a", What::Append) => Fate::Lost,
        _ => Fate::Fine,
    });
    let lease = |bits, owner: &str| {
        let body = SlotLease { slot: Slot(3), owner: owner.parse().unwrap(), epoch: None, renewals: 0 };
        Envelope::new(MessageId::from_random(bits), CorrelationId::from_random(9), Timestamp::default(), body)
    };
    let (mine, theirs) = (lease(1, "a"), lease(2, "b"));
    let (leases, others) = (a.leases(), b.leases());
    let (mine, theirs) = tokio::join!(leases.take(&mine, Sequence(0)), others.take(&theirs, Sequence(0)));
    assert!(matches!(mine, Err(LogError::Conflict)), "{mine:?}");
    theirs.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_expires_where_history_is_kept_is_followed_as_a_marker_and_sourced() {
    let server = server();
    let broker = server.client("a").broker();
    let mut live = broker.streams.follow("kf.live.>").await.unwrap();
    let id = ConfigId::from_random(1);
    let stream = broker.subjects.bucket_stream(&broker.subjects.configs_bucket());
    let forgotten = Append {
        subject: broker.subjects.config(&id),
        stream: stream.clone(),
        ttl: Some(SECOND),
        ..to_run(&broker, 1, "", Sequence(0))
    };
    broker.streams.append(forgotten.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let heard: Vec<_> = live.by_ref().take(2).collect().await;
    let deleted = |live: &Live| matches!(live, Live::Message(stored) if stored.deleted);
    assert_eq!(heard.iter().map(deleted).collect::<Vec<_>>(), [false, true]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(broker.streams.last(&stream, &forgotten.subject).await.unwrap(), None, "markers go without a marker");
    let audit = broker.subjects.audit_stream();
    let audit = broker.streams.read(&audit, &forgotten.subject, Select::From(Sequence(1))).await.unwrap();
    let audit: Vec<_> = audit.try_collect().await.unwrap();
    assert_eq!(audit.iter().map(|stored| stored.deleted).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test(start_paused = true)]
async fn an_older_value_comes_back_when_a_newer_one_expires() {
    let server = server();
    let broker = server.client("a").broker();
    let stream = broker.subjects.bucket_stream(&broker.subjects.configs_bucket());
    let subject = broker.subjects.config(&ConfigId::from_random(1));
    let like = |text, expected| Append {
        stream: stream.clone(),
        subject: subject.clone(),
        ..to_run(&broker, 1, text, expected)
    };
    let first = broker.streams.append(like("old", Sequence(0))).await.unwrap();
    broker.streams.append(Append { ttl: Some(SECOND), ..like("new", first) }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    let left = broker.streams.last(&stream, &subject).await.unwrap().unwrap();
    assert_eq!((left.sequence, &left.payload[..]), (first, &b"old"[..]));
}
