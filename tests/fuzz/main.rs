//! The decoders of foreign bytes against a committed corpus and seeded mutations of it.
//!
//! The same functions run under libFuzzer: `cargo +nightly fuzz run --fuzz-dir tests/fuzz request`. What it finds goes
//! into `corpus/<target>/` and is tried by every `cargo test` from then on. `TOWPATH_FUZZ_RUNS` sets how many
//! mutations are tried here (2 000 per target), `TOWPATH_WRITE_CORPUS=1` writes the first corpus anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[allow(dead_code, reason = "shared with tests/wire, which uses the rest")]
#[path = "../wire/codec.rs"]
mod codec;
#[allow(dead_code, reason = "shared with tests/wire, which uses the rest")]
#[path = "../wire/random.rs"]
mod random;
mod seeds;
#[allow(unreachable_pub, reason = "the fuzz crate shares the file")]
mod targets;

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Any input may cost this much …
const ALLOCATED_BASE: usize = 4 << 20;
/// … and this much per byte.
const ALLOCATED_PER_BYTE: usize = 64;

/// The counts are the process's: tests run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

fn run(name: &str, target: fn(&[u8]), seeds: fn() -> Vec<(String, Vec<u8>)>) {
    let _alone = alone();
    if std::env::var_os("TOWPATH_WRITE_CORPUS").is_some() {
        fs::create_dir_all(corpus(name)).unwrap();
        for (file, bytes) in seeds() {
            fs::write(corpus(name).join(file), bytes).unwrap();
        }
    }
    let mut files: Vec<_> = fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!inputs.is_empty(), "{name} has no corpus");
    for input in &inputs {
        try_one(name, target, input);
    }
    let runs: u64 = std::env::var("TOWPATH_FUZZ_RUNS").map_or(2000, |runs| runs.parse().unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(runs);
    for _ in 0..runs {
        try_one(name, target, &mutated(&inputs, &mut rng));
    }
}

fn try_one(name: &str, target: fn(&[u8]), input: &[u8]) {
    let region = Region::new(ALLOCATOR);
    let outcome = catch_unwind(|| target(input));
    let allocated = region.change().bytes_allocated;
    assert!(outcome.is_ok(), "{name} panics on {input:02x?}");
    let limit = ALLOCATED_BASE + ALLOCATED_PER_BYTE * input.len();
    assert!(allocated <= limit, "{name} allocates {allocated} bytes for {input:02x?}");
}

/// An input with some bytes changed, dropped, doubled or taken from another one.
fn mutated(inputs: &[Vec<u8>], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let pick = |rng: &mut ChaCha8Rng| inputs[rng.random_range(0..inputs.len())].clone();
    let mut bytes = pick(rng);
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] = rng.random(),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            2 if at + 4 <= bytes.len() => bytes[at..at + 4].copy_from_slice(&i32::MAX.to_be_bytes()),
            3 if at + 4 <= bytes.len() => bytes[at..at + 4].copy_from_slice(&(-1_i32).to_be_bytes()),
            4 => bytes.truncate(at),
            5 => bytes.insert(at, rng.random()),
            6 => bytes.extend_from_within(at..),
            _ => {
                let other = pick(rng);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[rng.random_range(0..=other.len())..]);
            }
        }
        bytes.truncate(1 << 16);
    }
    bytes
}

#[test]
fn requests() {
    run("request", targets::request, seeds::requests);
}

#[test]
fn frames() {
    run("frames", targets::frames, seeds::frames);
}

#[test]
fn record_batches() {
    run("record_batch", targets::record_batch, seeds::record_batches);
}

#[test]
fn wal_headers() {
    run("wal_header", targets::wal_header, seeds::wal_headers);
}

#[test]
fn wal_footers() {
    run("wal_footer", targets::wal_footer, seeds::wal_footers);
}

/// The seeds of requests are whole and readable: they double as golden frames of every API's oldest and newest version.
#[test]
fn the_corpus_of_requests_is_readable() {
    let _alone = alone();
    let mut read = 0;
    for (file, _) in seeds::requests() {
        let frame = fs::read(corpus("request").join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        codec::read_frame(frame.into()).unwrap_or_else(|error| panic!("{file}: {error}"));
        read += 1;
    }
    assert!(read >= codec::CODECS.len(), "{read}");
}
