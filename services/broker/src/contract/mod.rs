//! What the roles rely on, as one suite that NATS and its twin both pass.
//!
//! A claim is a function that panics where it does not hold. It gets a [`Host`] on which nothing is stored yet, and waits
//! for states, never for time: so it takes as long as the server does, and no time under a paused clock.
//! [`for_each_claim`](crate::for_each_claim) lists them all. Deliberately absent: what only the twin can do to a message,
//! which its own tests look at.

pub mod append;
pub mod bus;
pub mod expiry;
pub mod line;
pub mod live;
pub mod read;
pub mod typed;

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use proto_msgs::{ConfigId, CorrelationId, Encoding, ItemType, RecordId, Sequence, Slot};

use crate::{
    Broker,
    ports::{Append, Outgoing, Select, Stored},
};

/// A server, and the ways to it.
#[async_trait]
pub trait Host: Sync {
    /// A client that shares nothing with others but the server.
    async fn client(&self) -> Broker;

    /// A client whose line can be cut.
    async fn client_on_a_line(&self) -> (Broker, Box<dyn Line>);
}

/// The only way between one client and the server.
#[async_trait]
pub trait Line: Send + Sync {
    /// Nothing passes, and both ends are told.
    async fn cut(&self);

    /// What the server sends is lost without a sign; what the client sends arrives.
    async fn deafen(&self);

    /// Everything passes again, over a new connection.
    async fn mend(&self);
}

/// Hands every claim to a macro, as `module::claim, ...`: a test for each of them, which fails under its name.
#[macro_export]
macro_rules! for_each_claim {
    ($each:ident) => {
        $each! {
            append::an_append_holds_only_where_the_newest_is_the_expected_one,
            append::an_append_that_expects_the_end_holds_only_where_nothing_came_since,
            append::of_many_writers_at_once_one_wins,
            append::one_sequence_counts_the_whole_stream,
            append::what_has_nowhere_to_go_is_certainly_not_stored,
            append::what_cannot_be_sent_is_refused,
            append::a_stream_without_time_limits_and_rollups_refuses_them,
            append::a_record_keeps_its_newest_states_and_the_audit_stream_every_one,
            append::a_config_keeps_its_newest_versions,
            append::a_rollup_takes_what_was_before_and_nothing_else,
            append::the_audit_stream_takes_what_nobody_expects,
            bus::a_message_reaches_every_subscriber_in_order,
            bus::a_question_goes_to_one_of_a_group,
            bus::nobody_is_told_at_once,
            bus::a_question_nobody_answers_ends_at_its_deadline,
            bus::a_question_says_how_it_is_written,
            bus::who_stopped_listening_is_not_asked,
            expiry::what_expires_leaves_a_marker_that_is_expected_next,
            expiry::a_time_to_live_counts_again_where_one_ran_out,
            expiry::a_renewal_puts_the_end_off,
            expiry::a_short_life_is_lengthened_where_older_messages_stay,
            expiry::a_deletion_is_heard_as_an_empty_message,
            line::a_cut_client_is_told_in_time,
            line::what_was_sent_while_cut_arrives_late,
            line::after_a_cut_everything_is_heard_again,
            line::who_is_cut_off_answers_nobody,
            line::a_lost_answer_is_settled_by_the_writers_own_message,
            live::a_follower_hears_what_is_stored_as_it_was_written,
            live::nothing_falls_between_following_and_reading,
            live::a_follower_hears_only_its_subject,
            live::a_follower_that_missed_nothing_hears_of_no_gap,
            live::a_plain_subscriber_hears_what_is_stored,
            live::a_tail_goes_on_from_its_cursor,
            live::a_tail_begins_with_what_is_left,
            read::a_message_comes_back_as_it_was_written,
            read::a_read_gives_the_newest_or_everything_in_order_and_ends,
            read::the_newest_of_many_subjects_is_one,
            read::a_read_ends_though_messages_keep_arriving,
            read::a_long_read_is_whole,
            read::a_stream_that_is_not_there_is_an_error_and_not_empty,
            typed::a_slot_has_one_owner_and_is_free_again_when_given_back,
            typed::a_name_belongs_to_one_config,
            typed::a_name_that_its_config_gave_up_lapses,
            typed::a_token_is_found_until_it_is_revoked,
            typed::a_forgotten_config_is_gone,
            typed::of_configs_that_are_saved_at_one_moment_the_later_is_told_so,
            typed::the_emergency_stop_is_one_for_all_and_is_heard,
            typed::json_is_read_as_json,
            typed::what_cannot_be_read_is_an_error_that_names_its_subject,
            typed::the_start_of_a_run_is_its_lock,
            typed::a_history_is_whole_and_ends_with_the_newest,
            typed::a_removed_record_keeps_its_history,
            typed::events_go_on_from_their_cursor,
        }
    };
}

/// Longest that anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(20);
/// How often a state is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Fails where it takes longer than it may.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Looks until there is something.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    };
    soon(what, looking).await
}

/// The server has seen what this client sent: subscriptions count for everybody from now on.
async fn seen(broker: &Broker) {
    newest(broker, &to_run(broker, 0, "", Sequence(0))).await;
}

fn config_id(bits: u128) -> ConfigId {
    ConfigId::from_random(bits)
}

fn record_id(bits: u128, name: &str) -> RecordId {
    RecordId { config: config_id(bits), kind: ItemType::Secrets, name: name.parse().expect("a valid name") }
}

fn append(stream: String, subject: String, text: &str, expected: Sequence) -> Append {
    Append {
        stream,
        subject,
        payload: Bytes::copy_from_slice(text.as_bytes()),
        encoding: Encoding::Json,
        correlation: CorrelationId::from_random(7),
        expected: Some(expected),
        expected_end: None,
        ttl: None,
        rollup: false,
    }
}

/// For the runs of config `bits`.
fn to_run(broker: &Broker, bits: u128, text: &str, expected: Sequence) -> Append {
    append(broker.subjects.runs_stream(), broker.subjects.run(&config_id(bits)), text, expected)
}

/// For secret `a` of config `bits`.
fn to_record(broker: &Broker, bits: u128, text: &str, expected: Sequence) -> Append {
    let id = record_id(bits, "a");
    append(broker.subjects.record_stream_of(&id.config), broker.subjects.record(&id), text, expected)
}

/// For config `bits`.
fn to_config(broker: &Broker, bits: u128, text: &str, expected: Sequence) -> Append {
    let stream = broker.subjects.bucket_stream(&broker.subjects.configs_bucket());
    append(stream, broker.subjects.config(&config_id(bits)), text, expected)
}

/// For slot 3, with a time to live.
fn to_lease(broker: &Broker, text: &str, expected: Sequence, ttl: Duration) -> Append {
    let subject = broker.subjects.slot_lease(Slot(3));
    Append { ttl: Some(ttl), ..append(broker.subjects.leases_stream(), subject, text, expected) }
}

async fn stored(broker: &Broker, append: Append) -> Sequence {
    broker.streams.append(append).await.expect("the append holds")
}

async fn newest(broker: &Broker, like: &Append) -> Option<Stored> {
    broker.streams.last(&like.stream, &like.subject).await.expect("the newest is readable")
}

async fn read(broker: &Broker, stream: &str, filter: &str, select: Select) -> Vec<Stored> {
    let reading = broker.streams.read(stream, filter, select).await.expect("the read begins");
    soon("the read to end", reading.try_collect()).await.expect("the read is whole")
}

fn texts(all: &[Stored]) -> Vec<&str> {
    all.iter().map(text).collect()
}

fn text(stored: &Stored) -> &str {
    std::str::from_utf8(&stored.payload).expect("what was written is text")
}

fn outgoing(text: &'static str) -> Outgoing {
    Outgoing { payload: Bytes::from_static(text.as_bytes()), encoding: Encoding::Json, correlation: None }
}
