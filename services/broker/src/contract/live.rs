//! Claims about hearing of what is stored.

use futures::{StreamExt, stream::BoxStream};
use proto_msgs::{Encoding, Sequence};

use super::{Host, config_id, newest, record_id, soon, stored, text, to_record, to_run};
use crate::{
    error::ReadError,
    ports::{Live, Stored},
};

/// The next thing a follower hears.
pub(super) async fn heard(live: &mut BoxStream<'static, Live>) -> Live {
    soon("something to be heard", live.next()).await.expect("a feed does not end")
}

/// The next message a follower hears, gaps left out.
pub(super) async fn heard_message(live: &mut BoxStream<'static, Live>) -> Stored {
    loop {
        if let Live::Message(stored) = heard(live).await {
            return stored;
        }
    }
}

/// The next message of a tail.
pub(super) async fn tailed(tail: &mut BoxStream<'static, Result<Stored, ReadError>>) -> Stored {
    soon("the tail to go on", tail.next()).await.expect("a tail does not end").expect("a tail goes on")
}

pub async fn a_follower_hears_what_is_stored_as_it_was_written(host: &dyn Host) {
    let broker = host.client().await;
    let before = stored(&broker, to_run(&broker, 1, "before", Sequence(0))).await;
    let subject = broker.subjects.live_run(&config_id(1));
    let mut live = broker.streams.follow(&subject).await.expect("following begins");
    let after = stored(&broker, to_run(&broker, 1, "after", before)).await;
    let first = heard_message(&mut live).await;
    assert_eq!((&first.subject, first.sequence, text(&first)), (&subject, after, "after"));
    assert_eq!((first.encoding, first.deleted), (Encoding::Json, false));
}

/// Follow first, then read: whatever the read does not show yet is heard, whoever writes it.
pub async fn nothing_falls_between_following_and_reading(host: &dyn Host) {
    let (follower, writer) = (host.client().await, host.client().await);
    let like = to_run(&follower, 1, "", Sequence(0));
    let subject = follower.subjects.live_run(&config_id(1));
    let first = stored(&writer, to_run(&writer, 1, "1", Sequence(0))).await;
    let writing = async {
        let mut expected = first;
        loop {
            expected = stored(&writer, to_run(&writer, 1, "next", expected)).await;
            tokio::task::yield_now().await;
        }
    };
    let following = async {
        for _ in 0..20 {
            let mut live = follower.streams.follow(&subject).await.expect("following begins");
            let read = newest(&follower, &like).await.expect("something is there").sequence;
            let mut expected = read;
            while expected.0 < read.0 + 5 {
                let next = heard_message(&mut live).await.sequence;
                if next > read {
                    expected = Sequence(expected.0 + 1);
                    assert_eq!(next, expected, "{read} was read");
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = following => {}
        () = writing => {}
    }
}

pub async fn a_follower_hears_only_its_subject(host: &dyn Host) {
    let broker = host.client().await;
    let subject = broker.subjects.live_records_of(&config_id(1));
    let mut live = broker.streams.follow(&subject).await.expect("following begins");
    stored(&broker, to_record(&broker, 2, "another config", Sequence(0))).await;
    stored(&broker, to_run(&broker, 1, "another stream", Sequence(0))).await;
    stored(&broker, to_record(&broker, 1, "its own", Sequence(0))).await;
    let first = heard_message(&mut live).await;
    assert_eq!((first.subject.as_str(), text(&first)), (&*broker.subjects.live_record(&record_id(1, "a")), "its own"));
}

pub async fn a_follower_that_missed_nothing_hears_of_no_gap(host: &dyn Host) {
    let broker = host.client().await;
    let mut live = broker.streams.follow(&broker.subjects.live_run(&config_id(1))).await.expect("following begins");
    let mut expected = Sequence(0);
    for state in ["1", "2", "3"] {
        expected = stored(&broker, to_run(&broker, 1, state, expected)).await;
        let Live::Message(next) = heard(&mut live).await else { panic!("a gap before {state}") };
        assert_eq!((next.sequence, text(&next)), (expected, state));
    }
}

pub async fn a_plain_subscriber_hears_what_is_stored(host: &dyn Host) {
    let broker = host.client().await;
    let subject = broker.subjects.live_run(&config_id(1));
    let mut live = broker.bus.subscribe(&subject, None).await.expect("subscribing works");
    stored(&broker, to_run(&broker, 1, "1", Sequence(0))).await;
    let heard = soon("the message", live.next()).await.expect("a subscription does not end");
    assert_eq!((heard.subject, &heard.payload[..], heard.encoding), (subject, &b"1"[..], Encoding::Json));
}

pub async fn a_tail_goes_on_from_its_cursor(host: &dyn Host) {
    let broker = host.client().await;
    let like = to_run(&broker, 1, "", Sequence(0));
    let mut sequences = vec![Sequence(0)];
    for state in ["1", "2", "3"] {
        let expected = sequences[sequences.len() - 1];
        sequences.push(stored(&broker, to_run(&broker, 1, state, expected)).await);
        stored(&broker, to_run(&broker, 1 + u128::from(expected.0) + 10, "another run", Sequence(0))).await;
    }
    let mut tail = broker.streams.tail(&like.stream, &like.subject, sequences[2]).await.expect("the tail begins");
    for (sequence, state) in [(sequences[2], "2"), (sequences[3], "3")] {
        let next = tailed(&mut tail).await;
        assert_eq!((next.sequence, &next.subject, text(&next)), (sequence, &like.subject, state));
    }
    let fourth = stored(&broker, to_run(&broker, 1, "4", sequences[3])).await;
    let next = tailed(&mut tail).await;
    assert_eq!((next.sequence, text(&next)), (fourth, "4"));
    drop(tail);
    let mut again = broker.streams.tail(&like.stream, &like.subject, fourth).await.expect("the tail begins");
    assert_eq!(tailed(&mut again).await, next);
    let fifth = stored(&broker, to_run(&broker, 1, "5", fourth)).await;
    let next = tailed(&mut again).await;
    assert_eq!((next.sequence, text(&next)), (fifth, "5"));
}

pub async fn a_tail_begins_with_what_is_left(host: &dyn Host) {
    let broker = host.client().await;
    let (mut expected, like) = (Sequence(0), to_record(&broker, 1, "", Sequence(0)));
    for state in ["1", "2", "3", "4", "5", "6"] {
        expected = stored(&broker, to_record(&broker, 1, state, expected)).await;
    }
    let mut tail = broker.streams.tail(&like.stream, &like.subject, Sequence(1)).await.expect("the tail begins");
    for state in ["3", "4", "5", "6"] {
        assert_eq!(text(&tailed(&mut tail).await), state);
    }
}
