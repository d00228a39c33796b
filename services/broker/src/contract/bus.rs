//! Claims about messages between members.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::{StreamExt, stream::BoxStream};
use proto_msgs::Encoding;

use super::{Host, outgoing, seen, soon, until};
use crate::{
    Broker,
    error::BusError,
    ports::{Incoming, Outgoing},
};

const SUBJECT: &str = "kf.test.ask";
/// So long that "at once" is something else.
const LONG: Duration = Duration::from_secs(60);

pub(super) async fn subscribed(broker: &Broker, subject: &str, group: Option<&str>) -> BoxStream<'static, Incoming> {
    let messages = broker.bus.subscribe(subject, group).await.expect("subscribing works");
    broker.bus.flush().await.expect("the server is there");
    seen(broker).await;
    messages
}

async fn next(messages: &mut BoxStream<'static, Incoming>) -> Incoming {
    soon("a message", messages.next()).await.expect("a subscription does not end")
}

/// Answers for ever, and counts.
async fn answer(broker: &Broker, mut questions: BoxStream<'static, Incoming>, asked: &AtomicUsize) {
    while let Some(question) = questions.next().await {
        asked.fetch_add(1, Ordering::SeqCst);
        broker.bus.respond(&question, outgoing("!")).await.expect("answering works");
    }
}

pub async fn a_message_reaches_every_subscriber_in_order(host: &dyn Host) {
    let (publisher, subscriber) = (host.client().await, host.client().await);
    let mut exact = subscribed(&subscriber, "kf.test.a.b", None).await;
    let mut wild = subscribed(&subscriber, "kf.test.*.b", None).await;
    let mut own = subscribed(&publisher, "kf.test.>", None).await;
    publisher.bus.publish("kf.test.a.c", outgoing("not for all")).await.expect("publishing works");
    for text in ["1", "2", "3"] {
        publisher.bus.publish("kf.test.a.b", outgoing(text)).await.expect("publishing works");
    }
    assert_eq!(&next(&mut own).await.payload[..], b"not for all");
    for messages in [&mut exact, &mut wild, &mut own] {
        for text in ["1", "2", "3"] {
            let message = next(messages).await;
            assert_eq!((message.subject.as_str(), &message.payload[..]), ("kf.test.a.b", text.as_bytes()));
            assert_eq!(message.reply, None, "nobody waits for an answer");
            subscriber.bus.respond(&message, outgoing("!")).await.expect("answering nobody is no error");
        }
    }
}

pub async fn a_question_goes_to_one_of_a_group(host: &dyn Host) {
    const QUESTIONS: usize = 20;
    let (asker, members) = (host.client().await, [host.client().await, host.client().await]);
    let asked = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let first = subscribed(&members[0], SUBJECT, Some("group")).await;
    let second = subscribed(&members[1], SUBJECT, Some("group")).await;
    let asking = async {
        for _ in 0..QUESTIONS {
            let answer = asker.bus.request(SUBJECT, outgoing("?"), LONG).await.expect("one of them answers");
            assert_eq!(&answer.payload[..], b"!");
        }
    };
    tokio::select! {
        biased;
        () = asking => {}
        () = answer(&members[0], first, &asked[0]) => panic!("the first member's subscription ended"),
        () = answer(&members[1], second, &asked[1]) => panic!("the second member's subscription ended"),
    }
    let asked = asked.map(AtomicUsize::into_inner);
    assert_eq!(asked.iter().sum::<usize>(), QUESTIONS, "each was asked once: {asked:?}");
    assert!(asked.iter().all(|times| *times > 0), "each member takes part: {asked:?}");
}

pub async fn nobody_is_told_at_once(host: &dyn Host) {
    let broker = host.client().await;
    let nobody = soon("the answer", broker.bus.request(SUBJECT, outgoing("?"), LONG)).await;
    assert!(matches!(nobody, Err(BusError::NoResponders { .. })), "{nobody:?}");
    broker.bus.publish(SUBJECT, outgoing("!")).await.expect("nobody need listen");
}

pub async fn a_question_nobody_answers_ends_at_its_deadline(host: &dyn Host) {
    let broker = host.client().await;
    let mut questions = subscribed(&broker, SUBJECT, None).await;
    let outcome = soon("the deadline", broker.bus.request(SUBJECT, outgoing("?"), Duration::from_millis(100))).await;
    assert!(matches!(outcome, Err(BusError::Deadline { .. })), "{outcome:?}");
    // The answer comes too late for anybody, which is no error.
    let late = next(&mut questions).await;
    broker.bus.respond(&late, outgoing("!")).await.expect("answering works");
}

pub async fn a_question_says_how_it_is_written(host: &dyn Host) {
    let broker = host.client().await;
    let mut questions = subscribed(&broker, SUBJECT, None).await;
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let asking = broker.bus.request(SUBJECT, Outgoing { encoding, ..outgoing("?") }, LONG);
        let answering = async {
            let question = next(&mut questions).await;
            let written = Outgoing { encoding: question.encoding, ..outgoing("!") };
            broker.bus.respond(&question, written).await.expect("answering works");
            question
        };
        let (answer, question) = tokio::join!(asking, answering);
        let answer = answer.expect("it was answered");
        assert_eq!((question.encoding, answer.encoding), (encoding, encoding));
        assert_eq!((question.subject.as_str(), &question.payload[..]), (SUBJECT, &b"?"[..]));
    }
}

pub async fn who_stopped_listening_is_not_asked(host: &dyn Host) {
    let (asker, member) = (host.client().await, host.client().await);
    drop(subscribed(&member, SUBJECT, Some("group")).await);
    until("the server to know", || async {
        let outcome = asker.bus.request(SUBJECT, outgoing("?"), Duration::from_millis(100)).await;
        matches!(outcome, Err(BusError::NoResponders { .. })).then_some(())
    })
    .await;
}
