//! A memory of object ranges: byte-bounded, one load per range at a time, only bytes that pass their CRC.
//!
//! Entries are exact ranges, as the metastore's extents name them: an extent is what its CRC covers, so nothing
//! smaller can be judged, and every reader of a partition asks for the same ones. There are two memories, each least
//! recently used first: *tail* for what consumers will want soon, *cold* for what lagging ones read; so a consumer
//! that reads a month of history pushes out nobody's present.
//!
//! No threads and no timers: upkeep happens in the calls themselves. It is moka's `sync` cache, for its `future` one
//! wakes the calling task once more after upkeep, which it also does by the wall clock: runs of a simulation differed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::latest;
use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use crate::base::crc::crc32c_of;
use crate::base::metrics::Metrics;
use crate::config::objects::ObjectSettings;
use crate::model::object::{ByteRange, ObjectKey};
use crate::object::error::ObjectError;
use crate::object::meter::Purpose;
use crate::object::store::ObjectStorage;

/// What an entry costs besides its bytes, roughly: key, list of slices, the cache's own records.
const ENTRY_OVERHEAD_BYTES: u64 = 256;

/// Which share of the memory pays for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heat {
    /// Near a log's end: other consumers will want them soon.
    Tail,
    /// Far behind: a lagging consumer reads them, perhaps once.
    Cold,
}

/// A range that is wanted, with what it must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedRange {
    /// Which bytes of the object.
    pub bytes: ByteRange,
    /// Their CRC-32C.
    pub crc: u32,
}

/// A range's bytes: slices in order, which together are exactly the range.
pub type Slices = Arc<[Bytes]>;

type Outcome = Result<Slices, ObjectError>;
type Entry = (ObjectKey, ByteRange);
type Memory = Cache<Entry, Slices, Xxh3DefaultBuilder>;

/// The cache. Cloning shares it.
#[derive(Clone, Debug)]
pub struct RangeCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tail: Memory,
    cold: Memory,
    /// Loads under way. An entry is held by exactly one [`Flight`], which removes it however it ends.
    flights: Mutex<BTreeMap<Entry, latest::Receiver<Option<Outcome>>>>,
    hits: Counter,
    misses: Counter,
    corrupt: Counter,
    bytes: Gauge,
}

impl RangeCache {
    /// An empty cache of the sizes that `settings` name.
    #[must_use]
    pub fn new(settings: &ObjectSettings, metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str| metrics.register(name, help, Counter::default());
        Self(Arc::new(Inner {
            tail: memory(settings.cache_tail_bytes),
            cold: memory(settings.cache_cold_bytes),
            flights: Mutex::default(),
            hits: counter("cache_hits", "Ranges that were in memory"),
            misses: counter("cache_misses", "Ranges that had to be loaded"),
            corrupt: counter("cache_corrupt", "Ranges that failed their CRC when they were loaded"),
            bytes: metrics.register("cache_bytes", "Memory that cached ranges take", Gauge::default()),
        }))
    }

    /// Remembers bytes that this agent itself has just uploaded, as they are: nothing is joined or copied.
    /// `slices` together are exactly `range`; they keep the allocations alive of which they are part.
    pub fn insert(&self, key: &ObjectKey, range: ByteRange, slices: Vec<Bytes>) {
        self.insert_all(key, vec![(range, slices)]);
    }

    /// [`RangeCache::insert`] for many ranges of an object: the upkeep is done once for all of them.
    pub fn insert_all(&self, key: &ObjectKey, ranges: Vec<(ByteRange, Vec<Bytes>)>) {
        for (range, slices) in ranges {
            self.0.tail.insert((key.clone(), range), slices.into());
        }
        self.keep_up(&self.0.tail);
    }

    /// What is remembered of a range.
    pub fn get(&self, key: &ObjectKey, range: ByteRange) -> Option<Slices> {
        let entry = (key.clone(), range);
        self.0.tail.get(&entry).or_else(|| self.0.cold.get(&entry))
    }

    /// Ranges of one object, from memory or else from `storage`: one outcome per wanted range, in order. A range
    /// that someone else is loading is waited for. What fails its CRC is an error of that range alone, and is not
    /// remembered. Dropping the future leaves nothing behind that others would wait for.
    pub async fn load(
        &self,
        storage: &ObjectStorage,
        key: &ObjectKey,
        wanted: &[WantedRange],
        heat: Heat,
        purpose: Purpose,
    ) -> Vec<Result<Slices, ObjectError>> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; wanted.len()];
        // Repeated only when a load that we waited for was abandoned.
        while outcomes.iter().any(Option::is_none) {
            let (mut flights, mut waits) = (Vec::new(), Vec::new());
            for (index, range) in wanted.iter().enumerate() {
                if outcomes[index].is_some() {
                    continue;
                }
                match self.board(key, range.bytes) {
                    Boarding::Remembered(slices) => outcomes[index] = Some(Ok(slices)),
                    Boarding::Ours(flight) => flights.push((index, flight)),
                    Boarding::Theirs(flight) => waits.push((index, flight)),
                }
            }
            for (index, outcome) in self.fly(storage, key, wanted, flights, (heat, purpose)).await {
                outcomes[index] = Some(outcome);
            }
            for (index, mut flight) in waits {
                if let Ok(landed) = flight.wait_for(Option::is_some).await {
                    outcomes[index] = landed;
                }
            }
        }
        outcomes.into_iter().flatten().collect()
    }

    /// Finds a range in memory, or who loads it, or claims it.
    fn board(&self, key: &ObjectKey, range: ByteRange) -> Boarding {
        if let Some(slices) = self.get(key, range) {
            self.0.hits.inc();
            return Boarding::Remembered(slices);
        }
        let flight = match self.claim((key.clone(), range)) {
            Ok(flight) => flight,
            Err(theirs) => return Boarding::Theirs(theirs),
        };
        // Another load may have ended between the look and the claim.
        match self.get(key, range) {
            Some(slices) => {
                self.0.hits.inc();
                flight.land(Ok(slices.clone()));
                Boarding::Remembered(slices)
            }
            None => Boarding::Ours(flight),
        }
    }

    fn claim(&self, entry: Entry) -> Result<Flight, latest::Receiver<Option<Outcome>>> {
        let mut flights = self.flights();
        if let Some(theirs) = flights.get(&entry) {
            return Err(theirs.clone());
        }
        let (landing, flight) = latest::channel(None);
        flights.insert(entry.clone(), flight);
        Ok(Flight { cache: self.clone(), entry, landing })
    }

    /// Loads what we claimed, in as few requests as the storage can make of it.
    async fn fly(
        &self,
        storage: &ObjectStorage,
        key: &ObjectKey,
        wanted: &[WantedRange],
        flights: Vec<(usize, Flight)>,
        (heat, purpose): (Heat, Purpose),
    ) -> Vec<(usize, Outcome)> {
        self.0.misses.inc_by(flights.len() as u64);
        let ranges: Vec<WantedRange> = flights.iter().map(|&(index, _)| wanted[index]).collect();
        let loaded = load_checked(storage, key, &ranges, purpose).await;
        let mut outcomes = Vec::with_capacity(flights.len());
        for ((index, flight), outcome) in flights.into_iter().zip(loaded) {
            match &outcome {
                Ok(slices) => self.remember(flight.entry.clone(), slices.clone(), heat),
                Err(ObjectError::Corrupt { .. }) => {
                    self.0.corrupt.inc();
                }
                Err(_) => {}
            }
            flight.land(outcome.clone());
            outcomes.push((index, outcome));
        }
        outcomes
    }

    fn remember(&self, entry: Entry, slices: Slices, heat: Heat) {
        let memory = match heat {
            Heat::Tail => &self.0.tail,
            Heat::Cold => &self.0.cold,
        };
        memory.insert(entry, slices);
        self.keep_up(memory);
    }

    fn keep_up(&self, memory: &Memory) {
        // At once rather than some time later: the bound holds, and a simulation sees the same every time.
        memory.run_pending_tasks();
        let bytes = self.0.tail.weighted_size() + self.0.cold.weighted_size();
        self.0.bytes.set(i64::try_from(bytes.saturating_mul(WEIGHT_UNIT_BYTES)).unwrap_or(i64::MAX));
    }

    fn flights(&self) -> MutexGuard<'_, BTreeMap<Entry, latest::Receiver<Option<Outcome>>>> {
        // Insert and remove leave the map valid at every step.
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Boarding {
    Remembered(Slices),
    Ours(Flight),
    Theirs(latest::Receiver<Option<Outcome>>),
}

/// The claim on a range: whoever holds it loads. Dropped without landing, it wakes those who wait, and one of them
/// takes over.
struct Flight {
    cache: RangeCache,
    entry: Entry,
    landing: latest::Sender<Option<Outcome>>,
}

impl Flight {
    /// Hands the outcome to all who wait. The claim ends with it.
    fn land(self, outcome: Outcome) {
        self.landing.send_replace(Some(outcome));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.cache.flights().remove(&self.entry);
    }
}

/// Weights are 32 bits wide: they count in steps of this many bytes, so that no entry is too heavy to count.
const WEIGHT_UNIT_BYTES: u64 = 64;

fn memory(bytes_max: u64) -> Memory {
    Cache::builder()
        .max_capacity(bytes_max / WEIGHT_UNIT_BYTES)
        .weigher(|_: &Entry, slices: &Slices| {
            let bytes: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
            let overhead = ENTRY_OVERHEAD_BYTES + slices.len() as u64 * size_of::<Bytes>() as u64;
            u32::try_from((bytes + overhead).div_ceil(WEIGHT_UNIT_BYTES)).unwrap_or(u32::MAX)
        })
        // Frequency-based admission would turn away what was just produced, which nobody has asked for yet.
        .eviction_policy(EvictionPolicy::lru())
        .build_with_hasher(Xxh3DefaultBuilder::new())
}

/// Reads ranges and checks each against its CRC.
async fn load_checked(
    storage: &ObjectStorage,
    key: &ObjectKey,
    wanted: &[WantedRange],
    purpose: Purpose,
) -> Vec<Outcome> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let ranges: Vec<ByteRange> = wanted.iter().map(|range| range.bytes).collect();
    match storage.get_ranges(key, &ranges, purpose).await {
        Ok(parts) => wanted.iter().zip(parts).map(|(range, part)| checked(key, range, part)).collect(),
        // One range lies beyond the object's end: find out which, so that it fails alone.
        Err(ObjectError::Corrupt { .. }) if wanted.len() > 1 => {
            let mut outcomes = Vec::with_capacity(wanted.len());
            for range in wanted {
                let part = storage.get_ranges(key, &[range.bytes], purpose).await;
                let part = part.map(|parts| parts.into_iter().next().unwrap_or_default());
                outcomes.push(part.and_then(|part| checked(key, range, part)));
            }
            outcomes
        }
        Err(failure) => vec![Err(failure); wanted.len()],
    }
}

fn checked(key: &ObjectKey, wanted: &WantedRange, part: Bytes) -> Outcome {
    let slices: Slices = [part].into();
    let crc = crc32c_of(&slices);
    if crc == wanted.crc {
        return Ok(slices);
    }
    let (start, end, expected) = (wanted.bytes.position, wanted.bytes.end(), wanted.crc);
    let reason = format!("bytes {start}..{end} have CRC-32C {crc:08x}, {expected:08x} was written");
    Err(ObjectError::Corrupt { key: key.clone(), reason })
}

#[cfg(test)]
mod tests;
