//! Runs seeds, each in a runtime of its own, on two threads.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use broker::memory::Written;
use domain::mutant::{self, Mutant};
use tokio::task::LocalSet;

use crate::{
    report::report,
    story::{Told, play},
};

/// As many as CI has time for.
const SEEDS: u64 = 500;
/// Cores of a CI machine.
const THREADS: usize = 2;
/// Within so many, a broken rule must be noticed.
const MUTANT_SEEDS: u64 = 200;
/// Of each of these, the log is made twice.
const TWICE: u64 = 12;

fn run<T>(seed: u64, look: impl FnOnce(Told) -> T) -> T {
    run_mutant(seed, None, look)
}

fn run_mutant<T>(seed: u64, broken: Option<Mutant>, look: impl FnOnce(Told) -> T) -> T {
    mutant::set(broken);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime can be built");
    LocalSet::new().block_on(&runtime, async move { look(play(seed).await) })
}

/// What went wrong, for as long as nothing has: in the order of the seeds, whichever thread is faster.
fn failures(first: u64, count: u64, check: impl Fn(u64) -> Option<String> + Sync) -> Vec<(u64, String)> {
    let (next, found) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    if let Some(failure) = check(seed) {
                        found.lock().expect("nobody panics with it").push((seed, failure));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().expect("nobody panics with it");
    found.sort();
    found
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number of seeds"))
}

#[test]
fn whatever_happens_it_becomes_right_and_no_rule_is_broken() {
    let (first, count) = (setting("KEYFERRY_SIM_FIRST").unwrap_or(0), setting("KEYFERRY_SIM_SEEDS").unwrap_or(SEEDS));
    let failed =
        failures(first, count, |seed| run(seed, |told| (!told.violations.is_empty()).then(|| report(seed, &told))));
    if let Some((_, report)) = failed.first() {
        let line = |(seed, report): &(u64, String)| format!("{seed}: {}\n", report.lines().nth(1).unwrap_or_default());
        let lines: String = failed.iter().map(line).collect();
        panic!("{report}\n{} of {count} seeds failed:\n{lines}", failed.len());
    }
}

#[test]
fn the_same_seed_gives_the_same_log_byte_for_byte() {
    let log = |seed| run(seed, |told| told.world.server.written());
    let line = |written: &Written| format!("{written:?}");
    for seed in setting("KEYFERRY_SIM_FIRST").into_iter().flat_map(|seed| seed..seed + 1).chain(0..TWICE) {
        let (one, other) = (log(seed), log(seed));
        assert!(one.len() > 100, "only {} messages were stored", one.len());
        if let Some(place) = one.iter().zip(&other).position(|(one, other)| one != other) {
            panic!("seed {seed} parts at message {place}:\n{}\n{}", line(&one[place]), line(&other[place]));
        }
        assert_eq!(one.len(), other.len(), "seed {seed}");
    }
}

/// Every mutant, one after the other, on both threads.
#[test]
fn every_rule_that_is_broken_is_noticed() {
    let only = std::env::var("KEYFERRY_SIM_MUTANT").ok();
    let mutants: Vec<Mutant> = Mutant::ALL
        .iter()
        .copied()
        .filter(|mutant| only.as_ref().is_none_or(|only| format!("{mutant:?}") == *only))
        .collect();
    let unnoticed = failures(0, mutants.len() as u64, |number| {
        let broken = mutants[usize::try_from(number).expect("there are few mutants")];
        let noticed = (0..MUTANT_SEEDS).find_map(|seed| {
            run_mutant(seed, Some(broken), |told| {
                told.violations.first().map(|violation| (seed, violation.rule, violation.said.clone()))
            })
        });
        match noticed {
            Some((seed, rule, said)) => {
                println!("{broken:?}: noticed with seed {seed}: {rule}: {said}");
                None
            }
            None => Some(format!("{broken:?}")),
        }
    });
    assert!(unnoticed.is_empty(), "nobody noticed within {MUTANT_SEEDS} seeds: {unnoticed:?}");
}
