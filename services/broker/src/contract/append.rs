//! Claims about what is stored, and what is not.

use futures::future::join_all;
use proto_msgs::{ConfigId, Sequence};

use super::{Host, append, newest, read, record_id, stored, text, texts, to_config, to_record, to_run, until};
use crate::{
    error::AppendError,
    ports::{Append, Select},
};

pub async fn an_append_holds_only_where_the_newest_is_the_expected_one(host: &dyn Host) {
    let broker = host.client().await;
    let first = stored(&broker, to_run(&broker, 1, "1", Sequence(0))).await;
    let again = broker.streams.append(to_run(&broker, 1, "x", Sequence(0))).await;
    assert!(matches!(again, Err(AppendError::Conflict)), "nothing was expected, and something was there: {again:?}");
    // Another subject of the stream does not stand in the way.
    stored(&broker, to_run(&broker, 2, "1", Sequence(0))).await;
    let second = stored(&broker, to_run(&broker, 1, "2", first)).await;
    for wrong in [first, Sequence(second.0 + 1)] {
        let refused = broker.streams.append(to_run(&broker, 1, "x", wrong)).await;
        assert!(matches!(refused, Err(AppendError::Conflict)), "{wrong} was expected: {refused:?}");
    }
    let last = newest(&broker, &to_run(&broker, 1, "", second)).await.expect("it was stored");
    assert_eq!((last.sequence, text(&last)), (second, "2"));
}

pub async fn an_append_that_expects_the_end_holds_only_where_nothing_came_since(host: &dyn Host) {
    let broker = host.client().await;
    let stream = broker.subjects.runs_stream();
    let end = async || broker.streams.end(&stream).await.expect("the end is readable");
    let to = |bits, expected, end| Append { expected_end: Some(end), ..to_run(&broker, bits, "x", expected) };
    assert_eq!(end().await, Sequence(0));
    let first = stored(&broker, to(1, Sequence(0), Sequence(0))).await;
    assert_eq!(end().await, first);
    let late = broker.streams.append(to(2, Sequence(0), Sequence(0))).await;
    assert!(matches!(late, Err(AppendError::Conflict)), "something else came: {late:?}");
    let beaten = broker.streams.append(to(1, Sequence(0), first)).await;
    assert!(matches!(beaten, Err(AppendError::Conflict)), "its own subject has another: {beaten:?}");
    let second = stored(&broker, to(1, first, first)).await;
    assert_eq!(end().await, second);
}

pub async fn of_many_writers_at_once_one_wins(host: &dyn Host) {
    let clients = [host.client().await, host.client().await];
    let expected = stored(&clients[0], to_run(&clients[0], 1, "1", Sequence(0))).await;
    let writing = (0..16).map(|writer| {
        let broker = &clients[writer % 2];
        broker.streams.append(to_run(broker, 1, "2", expected))
    });
    let outcomes = join_all(writing).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "{won:?}");
    assert!(lost.iter().all(|outcome| matches!(outcome, Err(AppendError::Conflict))), "{lost:?}");
}

pub async fn one_sequence_counts_the_whole_stream(host: &dyn Host) {
    let broker = host.client().await;
    let first = stored(&broker, to_run(&broker, 1, "1", Sequence(0))).await;
    let other = stored(&broker, to_run(&broker, 2, "1", Sequence(0))).await;
    let second = stored(&broker, to_run(&broker, 1, "2", first)).await;
    assert_eq!([first, other, second], [1, 2, 3].map(Sequence));
}

pub async fn what_has_nowhere_to_go_is_certainly_not_stored(host: &dyn Host) {
    let broker = host.client().await;
    let nowhere = append(broker.subjects.runs_stream(), "nowhere.at.all".to_owned(), "x", Sequence(0));
    let outcome = broker.streams.append(nowhere).await;
    assert!(matches!(outcome, Err(AppendError::Unavailable)), "{outcome:?}");
}

pub async fn what_cannot_be_sent_is_refused(host: &dyn Host) {
    let broker = host.client().await;
    let spaced = append(broker.subjects.runs_stream(), "kf.run.a b".to_owned(), "x", Sequence(0));
    let large = to_run(&broker, 1, &"x".repeat(1_100_000), Sequence(0));
    for bad in [spaced, large] {
        let outcome = broker.streams.append(bad).await;
        assert!(matches!(outcome, Err(AppendError::Rejected(_))), "{outcome:?}");
    }
    assert_eq!(newest(&broker, &to_run(&broker, 1, "", Sequence(0))).await, None);
}

pub async fn a_stream_without_time_limits_and_rollups_refuses_them(host: &dyn Host) {
    let broker = host.client().await;
    let plain = to_run(&broker, 1, "x", Sequence(0));
    for bad in [Append { ttl: Some(super::SOON), ..plain.clone() }, Append { rollup: true, ..plain.clone() }] {
        let outcome = broker.streams.append(bad).await;
        assert!(matches!(outcome, Err(AppendError::Rejected(_))), "{outcome:?}");
    }
    assert_eq!(newest(&broker, &plain).await, None);
}

pub async fn a_record_keeps_its_newest_states_and_the_audit_stream_every_one(host: &dyn Host) {
    let broker = host.client().await;
    let (subject, mut expected, mut written) = (broker.subjects.record(&record_id(1, "a")), Sequence(0), Vec::new());
    for state in ["1", "2", "3", "4", "5", "6", "7", "8", "9"] {
        expected = stored(&broker, to_record(&broker, 1, state, expected)).await;
        written.push(state);
        // The server sources a moment later: what the limit drops before is missing.
        until("the audit stream to have it", || async {
            let audit = read(&broker, &broker.subjects.audit_stream(), &subject, Select::From(Sequence(1))).await;
            (texts(&audit) == written).then_some(())
        })
        .await;
    }
    let stream = broker.subjects.record_stream_of(&record_id(1, "a").config);
    let kept = read(&broker, &stream, &subject, Select::From(Sequence(1))).await;
    assert_eq!(texts(&kept), ["6", "7", "8", "9"]);
    assert_eq!(kept.last().map(|last| last.sequence), Some(expected));
}

pub async fn a_config_keeps_its_newest_versions(host: &dyn Host) {
    let broker = host.client().await;
    let mut expected = Sequence(0);
    for version in 0..70 {
        expected = stored(&broker, to_config(&broker, 1, &version.to_string(), expected)).await;
    }
    let like = to_config(&broker, 1, "", expected);
    let kept = read(&broker, &like.stream, &like.subject, Select::From(Sequence(1))).await;
    assert_eq!((kept.len(), text(&kept[0]), text(&kept[63])), (64, "6", "69"));
}

pub async fn a_rollup_takes_what_was_before_and_nothing_else(host: &dyn Host) {
    let broker = host.client().await;
    let other = append(
        broker.subjects.record_stream_of(&ConfigId::from_random(1)),
        broker.subjects.record(&record_id(1, "b")),
        "other",
        Sequence(0),
    );
    let first = stored(&broker, to_record(&broker, 1, "1", Sequence(0))).await;
    stored(&broker, other.clone()).await;
    let second = stored(&broker, to_record(&broker, 1, "2", first)).await;
    let refused = Append { rollup: true, ..to_record(&broker, 1, "x", first) };
    let refused = broker.streams.append(refused).await;
    assert!(matches!(refused, Err(AppendError::Conflict)), "{refused:?}");
    let last = stored(&broker, Append { rollup: true, ..to_record(&broker, 1, "3", second) }).await;
    let all = broker.subjects.records_of(&super::config_id(1));
    let kept = read(&broker, &other.stream, &all, Select::From(Sequence(1))).await;
    assert_eq!(texts(&kept), ["other", "3"]);
    stored(&broker, to_record(&broker, 1, "4", last)).await;
}

pub async fn the_audit_stream_takes_what_nobody_expects(host: &dyn Host) {
    let broker = host.client().await;
    let subject = broker.subjects.audit().replace('>', "action");
    for action in ["1", "2"] {
        let free = append(broker.subjects.audit_stream(), subject.clone(), action, Sequence(0));
        stored(&broker, Append { expected: None, ..free }).await;
    }
    let kept = read(&broker, &broker.subjects.audit_stream(), &subject, Select::From(Sequence(1))).await;
    assert_eq!(texts(&kept), ["1", "2"]);
}
