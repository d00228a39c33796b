//! How a call goes: its fate, its deadline, its gate; and what the caller hears of it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use domain::timing::CALL_MAY_TAKE;
use proto_msgs::Timestamp;
use tokio::sync::oneshot;

use super::{
    Done, MemoryAzure, Slot,
    fate::{End, MemoryCall},
    refusal::Refusal,
    state::State,
    store::{Moment, Store},
};
use crate::{Answer, VaultError, VaultErrorKind, WriteGate};

/// What a vault did, and under which id and when.
type Outcome<T> = (Result<T, Refusal>, String, Timestamp);

impl MemoryAzure {
    /// A call that reads: it looks when it arrives, and a caller that is gone by then looks at nothing.
    pub(super) async fn ask<T>(
        &self,
        call: &MemoryCall,
        look: impl FnOnce(&mut State, Timestamp) -> Result<T, Refusal>,
    ) -> Result<Answer<T>, VaultError> {
        let fate = (self.fates)(call);
        let asked = async {
            pause(fate.token).await;
            reachable(call, fate.end)?;
            self.count(call);
            let refusal = refused(fate.end).await;
            pause(fate.travel).await;
            let outcome = match refusal {
                Some(refusal) => self.outcome(|_, _| Err(refusal)),
                None => self.outcome(look),
            };
            pause(fate.answer).await;
            hear(call, outcome, fate.end)
        };
        tokio::time::timeout(CALL_MAY_TAKE, asked).await.unwrap_or_else(|_| Err(deadline(call, false)))
    }

    /// A call that writes: once it was sent, it arrives.
    pub(super) async fn tell<T: Send + 'static>(
        &self,
        uri: &str,
        call: MemoryCall,
        gate: &WriteGate,
        effect: impl FnOnce(&mut Store, Moment) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Answer<T>, VaultError> {
        let (fate, was_sent) = ((self.fates)(&call), AtomicBool::new(false));
        let told = async {
            pause(fate.token).await;
            if !gate.is_open() {
                let refusal =
                    Refusal::new(VaultErrorKind::GateClosed, "the time in which this attempt may write is over");
                return Err(refusal.error(&call, None));
            }
            reachable(&call, fate.end)?;
            was_sent.store(true, Ordering::Relaxed);
            self.count(&call);
            if let Some(refusal) = refused(fate.end).await {
                pause(fate.travel).await;
                pause(fate.answer).await;
                return hear(&call, self.outcome(|_, _| Err(refusal)), fate.end);
            }
            let outcome = self.deliver(uri, &call, fate.travel, effect).await;
            pause(fate.answer).await;
            hear(&call, outcome, fate.end)
        };
        let told = tokio::time::timeout(CALL_MAY_TAKE, told).await;
        told.unwrap_or_else(|_| Err(deadline(&call, was_sent.load(Ordering::Relaxed))))
    }

    /// Sends a write and waits for it to arrive. It arrives even if nobody waits any more.
    async fn deliver<T: Send + 'static>(
        &self,
        uri: &str,
        call: &MemoryCall,
        travel: Duration,
        effect: impl FnOnce(&mut Store, Moment) -> Result<T, Refusal> + Send + 'static,
    ) -> Outcome<T> {
        let (sender, mut receiver) = oneshot::channel();
        let (address, sent, caller) = (uri.to_owned(), call.clone(), self.caller.clone());
        let ticket = {
            let (mut state, now) = self.lock();
            let left = now;
            let arrival = move |state: &mut State, now: Timestamp| {
                let moment = state.moment(now);
                let before = witnessed(state, &address, &sent, moment);
                let done = state.enter(&address, &sent).and_then(|store| effect(store, moment));
                if let (Some(by), Some(kind), Some(item), true) = (caller, sent.kind, &sent.item, done.is_ok()) {
                    let after = witnessed(state, &address, &sent, moment);
                    let (vault, operation, item) = (sent.vault.clone(), sent.operation, item.clone());
                    state.done.push(Done { by, sent: left, at: now, vault, operation, kind, item, before, after });
                }
                // Whoever waited may have given up.
                let _ = sender.send((done, state.request_id(), now));
            };
            state.send(now.plus(travel), Box::new(arrival))
        };
        pause(travel).await;
        let (mut state, now) = self.lock();
        state.land(ticket, now);
        receiver.try_recv().unwrap_or_else(|_| {
            let refusal = Refusal::new(VaultErrorKind::Transient, "the vault has gone away");
            (Err(refusal), state.request_id(), now)
        })
    }

    fn outcome<T>(&self, look: impl FnOnce(&mut State, Timestamp) -> Result<T, Refusal>) -> Outcome<T> {
        let (mut state, now) = self.lock();
        let looked = look(&mut state, now);
        (looked, state.request_id(), now)
    }

    fn count(&self, call: &MemoryCall) {
        let (mut state, _) = self.lock();
        let store = state.stores.values_mut().find(|store| store.identity.name.eq_ignore_ascii_case(&call.vault));
        if let Some(store) = store {
            *store.calls.entry(call.operation).or_default() += 1;
        }
    }
}

/// What is under the name that a write of a named caller is about.
fn witnessed(state: &State, uri: &str, call: &MemoryCall, at: Moment) -> Option<Slot> {
    let store = state.stores.get(&uri.to_ascii_lowercase())?;
    store.peek(call.kind?, call.item.as_ref()?, at.now)
}

fn reachable(call: &MemoryCall, end: End) -> Result<(), VaultError> {
    if end == End::Unreachable { Err(Refusal::unreachable(&call.vault).error(call, None)) } else { Ok(()) }
}

/// What a call meets instead of its vault, if it does. One that never arrives waits for ever.
async fn refused(end: End) -> Option<Refusal> {
    match end {
        End::Answered | End::Lost | End::Unreachable => None,
        End::Refused { kind, retry_after } => Some(Refusal { retry_after, ..Refusal::new(kind, "refused on purpose") }),
        End::Never => std::future::pending().await,
    }
}

/// What the caller hears. A refusal that is lost is heard all the same: it had no effect to hide.
fn hear<T>(call: &MemoryCall, (outcome, request_id, now): Outcome<T>, end: End) -> Result<Answer<T>, VaultError> {
    match outcome {
        Err(refusal) => Err(refusal.error(call, Some(request_id))),
        Ok(_) if end == End::Lost => {
            let refusal = Refusal::new(VaultErrorKind::Transient, "the connection was lost before the answer");
            Err(refusal.error(call, None))
        }
        Ok(value) => {
            let date = Timestamp::from_unix_seconds(now.unix_seconds());
            Ok(Answer { value, date, request_id: Some(request_id) })
        }
    }
}

fn deadline(call: &MemoryCall, was_sent: bool) -> VaultError {
    let error = Refusal::new(VaultErrorKind::Transient, "no answer within the deadline").error(call, None);
    VaultError { may_have_written: error.may_have_written && was_sent, ..error }
}

async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
