//! Claims about reading what is stored.

use futures::{StreamExt, TryStreamExt, stream};
use proto_msgs::{Encoding, Sequence};

use super::{Host, append, config_id, newest, read, record_id, soon, stored, text, texts, to_run};
use crate::{
    error::ReadError,
    ports::{Append, Select},
};

/// More than the client fetches at once.
const MANY: u64 = 6_000;

pub async fn a_message_comes_back_as_it_was_written(host: &dyn Host) {
    let broker = host.client().await;
    for (bits, encoding) in [(1, Encoding::Json), (2, Encoding::MessagePack)] {
        let written = Append { encoding, ..to_run(&broker, bits, "payload", Sequence(0)) };
        let sequence = stored(&broker, written.clone()).await;
        let last = newest(&broker, &written).await.expect("it was stored");
        assert_eq!((&last.subject, last.sequence), (&written.subject, sequence));
        assert_eq!((&last.payload, last.encoding, last.deleted), (&written.payload, encoding, false));
        let listed = read(&broker, &written.stream, &written.subject, Select::NewestPerSubject).await;
        assert_eq!(listed, [last], "one message, whichever way it is read");
    }
    let blank = stored(&broker, to_run(&broker, 3, "", Sequence(0))).await;
    let blank = newest(&broker, &to_run(&broker, 3, "", blank)).await.expect("an empty one is one too");
    assert!(blank.payload.is_empty() && !blank.deleted, "{blank:?}");
}

pub async fn a_read_gives_the_newest_or_everything_in_order_and_ends(host: &dyn Host) {
    let broker = host.client().await;
    let mut first = Vec::new();
    for bits in [3, 1, 2] {
        first.push((bits, stored(&broker, to_run(&broker, bits, &format!("old {bits}"), Sequence(0))).await));
    }
    for (bits, old) in first.iter().rev() {
        stored(&broker, to_run(&broker, *bits, &format!("new {bits}"), *old)).await;
    }
    let (stream, all) = (broker.subjects.runs_stream(), broker.subjects.runs());
    let newest = read(&broker, &stream, &all, Select::NewestPerSubject).await;
    assert_eq!(texts(&newest), ["new 2", "new 1", "new 3"]);
    let every = read(&broker, &stream, &all, Select::From(Sequence(0))).await;
    assert_eq!(texts(&every), ["old 3", "old 1", "old 2", "new 2", "new 1", "new 3"]);
    assert!(every.is_sorted_by_key(|stored| stored.sequence), "{every:?}");
    let late = read(&broker, &stream, &all, Select::From(Sequence(5))).await;
    assert_eq!(texts(&late), ["new 1", "new 3"]);
    let one = read(&broker, &stream, &broker.subjects.run(&config_id(1)), Select::From(Sequence(1))).await;
    assert_eq!(texts(&one), ["old 1", "new 1"]);
    let nobody = to_run(&broker, 9, "", Sequence(0));
    assert_eq!(read(&broker, &stream, &nobody.subject, Select::NewestPerSubject).await, []);
    assert_eq!(read(&broker, &stream, &all, Select::From(Sequence(7))).await, []);
    assert_eq!(super::newest(&broker, &nobody).await, None);
}

pub async fn the_newest_of_many_subjects_is_one(host: &dyn Host) {
    let broker = host.client().await;
    let (stream, all) = (broker.subjects.runs_stream(), broker.subjects.runs());
    let last = async || broker.streams.last(&stream, &all).await.expect("the newest is readable");
    assert_eq!(last().await, None);
    let first = stored(&broker, to_run(&broker, 2, "1", Sequence(0))).await;
    stored(&broker, to_run(&broker, 1, "2", Sequence(0))).await;
    stored(&broker, to_run(&broker, 2, "3", first)).await;
    assert_eq!(last().await.as_ref().map(text), Some("3"));
}

pub async fn a_read_ends_though_messages_keep_arriving(host: &dyn Host) {
    let broker = host.client().await;
    let writer = host.client().await;
    for bits in 1..=20 {
        stored(&broker, to_run(&broker, bits, "first", Sequence(0))).await;
    }
    let (stream, all) = (broker.subjects.runs_stream(), broker.subjects.runs());
    let reading = async {
        let mut reading = broker.streams.read(&stream, &all, Select::NewestPerSubject).await.expect("the read begins");
        let mut seen = Vec::new();
        while let Some(next) = reading.next().await {
            seen.push(next.expect("the read is whole"));
            tokio::task::yield_now().await;
        }
        seen
    };
    let writing = async {
        for bits in 100.. {
            stored(&writer, to_run(&writer, bits, "later", Sequence(0))).await;
            tokio::task::yield_now().await;
        }
    };
    let seen = soon("the read to end", async {
        tokio::select! {
            biased;
            seen = reading => seen,
            () = writing => Vec::new(),
        }
    })
    .await;
    let first = seen.iter().filter(|stored| text(stored) == "first").count();
    assert_eq!(first, 20, "what was there when it began");
}

pub async fn a_long_read_is_whole(host: &dyn Host) {
    let broker = host.client().await;
    let stream = broker.subjects.record_stream_of(&config_id(1));
    let message = |number: u64| {
        let subject = broker.subjects.record(&record_id(1, &format!("n-{number}")));
        append(stream.clone(), subject, &number.to_string(), Sequence(0))
    };
    let mut writing = stream::iter(0..MANY).map(|number| broker.streams.append(message(number))).buffer_unordered(256);
    while let Some(outcome) = writing.next().await {
        outcome.expect("the append holds");
    }
    drop(writing);
    let filter = broker.subjects.records_of(&config_id(1));
    for select in [Select::NewestPerSubject, Select::From(Sequence(1))] {
        let all = read(&broker, &stream, &filter, select).await;
        let numbers: Vec<_> = all.iter().map(|stored| stored.sequence.0).collect();
        assert!(numbers.iter().copied().eq(1..=MANY), "{} of {MANY} with {select:?}", all.len());
    }
}

pub async fn a_stream_that_is_not_there_is_an_error_and_not_empty(host: &dyn Host) {
    let broker = host.client().await;
    let subject = broker.subjects.run(&config_id(1));
    let last = broker.streams.last("NOWHERE", &subject).await;
    assert!(matches!(last, Err(ReadError::Unavailable(_))), "{last:?}");
    let read = broker.streams.read("NOWHERE", &subject, Select::NewestPerSubject).await;
    let read = match read {
        Ok(reading) => reading.try_collect::<Vec<_>>().await,
        Err(error) => Err(error),
    };
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    let tail = broker.streams.tail("NOWHERE", &subject, Sequence(1)).await;
    assert!(matches!(tail, Err(ReadError::Unavailable(_))), "a tail of nothing");
}
