//! The same seed stores the same messages, byte for byte.

use std::time::Duration;

use futures::{StreamExt, future::join_all};
use proto_msgs::Sequence;

use super::{outgoing, server, to_run};
use crate::memory::{Fate, MemoryServer, Written};

/// A small generator of numbers that look random.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        // Splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn fate(&mut self) -> Fate {
        let by = Duration::from_millis(self.below(4_000));
        match self.below(12) {
            0 => Fate::Lost,
            1 => Fate::Unanswered,
            2 => Fate::Twice,
            3 => Fate::Late(by),
            4 => Fate::AnsweredLate(by),
            _ => Fate::Fine,
        }
    }
}

/// Reads what is there and counts up, again and again; asks the group, which answers.
async fn member(server: MemoryServer, number: u64, seed: u64) {
    let client = server.client(&format!("member-{number}"));
    let broker = client.broker();
    let mut chance = Seeded(seed.wrapping_add(number));
    let mut live = broker.streams.follow("kf.live.>").await.ok();
    let mut questions = broker.bus.subscribe("kf.test", Some("group")).await.unwrap();
    for round in 0..40 {
        let like = to_run(&broker, 1 + u128::from(chance.below(3)), "", Sequence(0));
        let newest = broker.streams.last(&like.stream, &like.subject).await;
        let expected = newest.ok().flatten().map_or(Sequence(0), |stored| stored.sequence);
        let text = format!("{number} in {round}");
        let mut append = to_run(&broker, 1, &text, expected);
        append.subject = like.subject;
        let stored = broker.streams.append(append).await;
        tracing::trace!(?stored, "one round");
        match chance.below(8) {
            0 => client.cut(),
            1 | 2 => client.reconnect(),
            _ => {}
        }
        let pause = tokio::time::sleep(Duration::from_millis(chance.below(500)));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                () = &mut pause => break,
                Some(question) = questions.next() => broker.bus.respond(&question, outgoing("!")).await.unwrap(),
                Some(_) = async { match live.as_mut() { Some(live) => live.next().await, None => None } } => {}
                else => break,
            }
        }
        let _ = broker.bus.request("kf.test", outgoing("?"), Duration::from_millis(50)).await;
    }
}

async fn scenario(seed: u64) -> Vec<Written> {
    let server = server();
    let mut chance = Seeded(seed);
    server.set_weather(move |_| chance.fate());
    join_all((0..5).map(|number| member(server.clone(), number, seed))).await;
    server.written()
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_log_byte_for_byte() {
    for seed in 0..10 {
        let first = scenario(seed).await;
        assert!(first.len() > 50, "only {} messages were stored", first.len());
        let stamp = |log: &[Written]| log.iter().map(|one| format!("{one:?}\n")).collect::<String>();
        assert_eq!(stamp(&first), stamp(&scenario(seed).await), "seed {seed}");
        assert_ne!(stamp(&first), stamp(&scenario(seed + 100).await), "another seed is another story");
    }
}
