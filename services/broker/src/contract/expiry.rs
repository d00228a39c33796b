//! Claims about messages that go by themselves.

use std::time::Duration;

use proto_msgs::{Sequence, Slot, Timestamp};

use super::{Host, live::heard_message, newest, read, stored, text, to_config, to_lease, to_record, until};
use crate::{
    Broker,
    error::AppendError,
    ports::{Append, Select, Stored},
};

/// The shortest there is.
const TTL: Duration = Duration::from_secs(1);
/// Times have whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(2);

/// The marker that takes the place of what expires.
async fn marker(broker: &Broker, like: &Append) -> Stored {
    until("the message to expire", || async { newest(broker, like).await.filter(|stored| stored.deleted) }).await
}

async fn time_of(broker: &Broker, like: &Append) -> Timestamp {
    newest(broker, like).await.expect("it was stored").time
}

pub async fn what_expires_leaves_a_marker_that_is_expected_next(host: &dyn Host) {
    let broker = host.client().await;
    let lease = to_lease(&broker, "1", Sequence(0), TTL);
    let first = stored(&broker, lease.clone()).await;
    let began = time_of(&broker, &lease).await;
    let marker = marker(&broker, &lease).await;
    assert!(marker.sequence > first && marker.payload.is_empty(), "{marker:?}");
    assert!(marker.time.since(began) + ROUNDING >= TTL, "it went early: {began:?}, {marker:?}");
    let kept = read(&broker, &lease.stream, &broker.subjects.leases(), Select::NewestPerSubject).await;
    assert_eq!(kept, std::slice::from_ref(&marker), "a reader is told, too");
    for wrong in [Sequence(0), first] {
        let refused = broker.streams.append(to_lease(&broker, "x", wrong, TTL)).await;
        assert!(matches!(refused, Err(AppendError::Conflict)), "{wrong} was expected: {refused:?}");
    }
    stored(&broker, to_lease(&broker, "2", marker.sequence, TTL)).await;
}

pub async fn a_time_to_live_counts_again_where_one_ran_out(host: &dyn Host) {
    let broker = host.client().await;
    let mut expected = Sequence(0);
    for _ in 0..2 {
        let lease = to_lease(&broker, "1", expected, TTL);
        stored(&broker, lease.clone()).await;
        expected = marker(&broker, &lease).await.sequence;
    }
    // And where it was given back.
    let lease = to_lease(&broker, "1", expected, TTL);
    let held = stored(&broker, lease.clone()).await;
    let released = Append { rollup: true, ..to_lease(&broker, "", held, TTL) };
    let released = stored(&broker, released).await;
    stored(&broker, to_lease(&broker, "2", released, TTL)).await;
    marker(&broker, &lease).await;
}

pub async fn a_renewal_puts_the_end_off(host: &dyn Host) {
    let broker = host.client().await;
    let (long, lease) = (TTL * 3, to_lease(&broker, "1", Sequence(0), TTL * 3));
    let first = stored(&broker, lease.clone()).await;
    let began = time_of(&broker, &lease).await;
    // Renewed when another one, taken later, has run out: there is no other clock here.
    let subject = broker.subjects.slot_lease(Slot(4));
    let other = Append { subject, ..to_lease(&broker, "", Sequence(0), TTL) };
    stored(&broker, other.clone()).await;
    marker(&broker, &other).await;
    stored(&broker, to_lease(&broker, "2", first, long)).await;
    let renewed = time_of(&broker, &lease).await;
    let marker = marker(&broker, &lease).await;
    assert!(renewed.since(began) + ROUNDING >= TTL, "renewed too early to show anything");
    assert!(marker.time.since(renewed) + ROUNDING >= long, "it went early: {renewed:?}, {marker:?}");
}

pub async fn a_short_life_is_lengthened_where_older_messages_stay(host: &dyn Host) {
    let broker = host.client().await;
    let record = Append { ttl: Some(TTL), ..to_record(&broker, 1, "stays", Sequence(0)) };
    stored(&broker, record.clone()).await;
    let lease = to_lease(&broker, "1", Sequence(0), TTL * 2);
    stored(&broker, lease.clone()).await;
    marker(&broker, &lease).await;
    let still = newest(&broker, &record).await.expect("nothing has taken its place");
    assert_eq!((text(&still), still.deleted), ("stays", false));
}

pub async fn a_deletion_is_heard_as_an_empty_message(host: &dyn Host) {
    let broker = host.client().await;
    let mut live = broker.streams.follow(&broker.subjects.live_configs()).await.expect("following begins");
    let first = stored(&broker, to_config(&broker, 1, "1", Sequence(0))).await;
    assert_eq!(text(&heard_message(&mut live).await), "1");
    let delete = Append { ttl: Some(TTL), rollup: true, ..to_config(&broker, 1, "", first) };
    let deleted = stored(&broker, delete.clone()).await;
    let blank = heard_message(&mut live).await;
    assert_eq!((blank.sequence, text(&blank)), (deleted, ""));
    assert_eq!(newest(&broker, &delete).await.map(|stored| stored.sequence), Some(deleted));
}
