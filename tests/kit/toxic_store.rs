//! An object store with seeded faults in virtual time: for the simulation and for tests of retries.

#![allow(dead_code, reason = "each test binary uses its own part of the kit")]

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use towpath::base::rng::Rng;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toxic {
    /// Fails; nothing is applied.
    ErrorBefore,
    /// Is applied, then fails.
    ErrorAfter,
    /// Takes this much longer.
    Delay(Duration),
    /// Never answers; nothing is applied.
    Stall,
    /// Is applied, then never answers.
    LoseAnswer,
    /// The body of a GET ends after half of its bytes.
    Truncate,
    /// One bit of the body of a GET is wrong.
    FlipBit,
}

/// How often requests go wrong, and how long they take.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Climate {
    /// Every request takes a time drawn evenly from here.
    pub(crate) latency: Range<Duration>,
    /// Share of requests that fail before they are applied.
    pub(crate) error_before: f64,
    /// Share of requests that fail after they were applied.
    pub(crate) error_after: f64,
    /// Share of requests that never answer, applied or not with equal chance.
    pub(crate) stall: f64,
    /// Share of GETs whose body ends early.
    pub(crate) truncate: f64,
    /// Share of GETs whose body has a wrong bit.
    pub(crate) flip_bit: f64,
}

impl Default for Climate {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO..Duration::ZERO,
            error_before: 0.0,
            error_after: 0.0,
            stall: 0.0,
            truncate: 0.0,
            flip_bit: 0.0,
        }
    }
}

/// What the store was asked and what it did wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// PUTs that arrived.
    pub(crate) puts: u64,
    /// GETs and HEADs that arrived.
    pub(crate) gets: u64,
    /// Listings that arrived.
    pub(crate) lists: u64,
    /// Deletions that arrived.
    pub(crate) deletes: u64,
    /// Requests that went wrong, other than by taking long.
    pub(crate) faults: u64,
}

/// Wraps a store.
#[derive(Debug)]
pub(crate) struct ToxicStore {
    store: Arc<dyn ObjectStore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    climate: Climate,
    next: VecDeque<Toxic>,
    tally: Tally,
}

impl ToxicStore {
    /// Wraps `store`; harmless until told otherwise.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, rng: Rng) -> Arc<Self> {
        let state = State { rng, climate: Climate::default(), next: VecDeque::new(), tally: Tally::default() };
        Arc::new(Self { store, state: Arc::new(Mutex::new(state)) })
    }

    /// Changes how often requests go wrong.
    pub(crate) fn set_climate(&self, climate: Climate) {
        self.lock().climate = climate;
    }

    /// The next requests go wrong like this, one after the other, whatever the climate.
    pub(crate) fn inject(&self, toxics: impl IntoIterator<Item = Toxic>) {
        self.lock().next.extend(toxics);
    }

    /// What happened so far.
    pub(crate) fn tally(&self) -> Tally {
        self.lock().tally
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    /// Draws what happens to a request, and waits its latency out.
    async fn meet(&self, count: impl FnOnce(&mut Tally)) -> Option<Toxic> {
        let (toxic, latency) = self.lock().draw(count);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        toxic
    }

    async fn around<T>(
        &self,
        count: impl FnOnce(&mut Tally),
        request: impl Future<Output = Result<T>>,
    ) -> Result<(T, Option<Toxic>)> {
        let toxic = self.meet(count).await;
        match toxic {
            Some(Toxic::ErrorBefore) => return Err(failure("failed before")),
            Some(Toxic::Stall) => return std::future::pending().await,
            _ => {}
        }
        let outcome = request.await?;
        match toxic {
            Some(Toxic::ErrorAfter) => Err(failure("failed after")),
            Some(Toxic::LoseAnswer) => std::future::pending().await,
            toxic => Ok((outcome, toxic)),
        }
    }
}

impl State {
    fn draw(&mut self, count: impl FnOnce(&mut Tally)) -> (Option<Toxic>, Duration) {
        count(&mut self.tally);
        let climate = &self.climate;
        let mut latency =
            climate.latency.start + self.rng.jitter(climate.latency.end.saturating_sub(climate.latency.start));
        let drawn = [
            (climate.error_before, Toxic::ErrorBefore),
            (climate.error_after, Toxic::ErrorAfter),
            (climate.stall / 2.0, Toxic::Stall),
            (climate.stall / 2.0, Toxic::LoseAnswer),
            (climate.truncate, Toxic::Truncate),
            (climate.flip_bit, Toxic::FlipBit),
        ];
        // Always as many draws, so that one climate's seed does not shift another's.
        let drawn: Vec<_> = drawn.into_iter().filter(|(share, _)| self.rng.chance(*share)).collect();
        let toxic = self.next.pop_front().or_else(|| drawn.first().map(|(_, toxic)| *toxic));
        match toxic {
            Some(Toxic::Delay(more)) => latency += more,
            Some(_) => self.tally.faults += 1,
            None => {}
        }
        (toxic, latency)
    }
}

fn failure(what: &'static str) -> Error {
    Error::Generic { store: "toxic", source: what.into() }
}

impl fmt::Display for ToxicStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "toxic {}", self.store)
    }
}

#[async_trait]
impl ObjectStore for ToxicStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let request = self.store.put_opts(location, payload, opts);
        self.around(|tally| tally.puts += 1, request).await.map(|(result, _)| result)
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let request = self.store.put_multipart_opts(location, opts);
        self.around(|tally| tally.puts += 1, request).await.map(|(upload, _)| upload)
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (answer, toxic) = self.around(|tally| tally.gets += 1, self.store.get_opts(location, options)).await?;
        if !matches!(toxic, Some(Toxic::Truncate | Toxic::FlipBit)) {
            return Ok(answer);
        }
        let (meta, range, attributes) = (answer.meta.clone(), answer.range.clone(), answer.attributes.clone());
        let mut body = answer.bytes().await?.to_vec();
        if toxic == Some(Toxic::Truncate) {
            body.truncate(body.len() / 2);
        } else if !body.is_empty() {
            let bit = self.lock().rng.below(body.len() as u64 * 8);
            body[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
        let payload = GetResultPayload::Stream(futures::stream::iter([Ok(Bytes::from(body))]).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (toxic, latency) = self.lock().draw(|tally| tally.deletes += 1);
        let deletions = self.store.delete_stream(locations);
        let late = async move {
            tokio::time::sleep(latency).await;
            match toxic {
                Some(Toxic::ErrorBefore) => futures::stream::iter([Err(failure("failed before"))]).boxed(),
                Some(Toxic::Stall) => futures::stream::pending().boxed(),
                Some(Toxic::ErrorAfter) => {
                    let _: Result<Vec<_>> = deletions.try_collect().await;
                    futures::stream::iter([Err(failure("failed after"))]).boxed()
                }
                Some(Toxic::LoseAnswer) => {
                    let _: Result<Vec<_>> = deletions.try_collect().await;
                    futures::stream::pending().boxed()
                }
                _ => deletions,
            }
        };
        futures::stream::once(late).flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.late_listing(self.store.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.late_listing(self.store.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let request = self.store.list_with_delimiter(prefix);
        self.around(|tally| tally.lists += 1, request).await.map(|(listing, _)| listing)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let request = self.store.copy_opts(from, to, options);
        self.around(|tally| tally.puts += 1, request).await.map(|((), _)| ())
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let request = self.store.rename_opts(from, to, options);
        self.around(|tally| tally.puts += 1, request).await.map(|((), _)| ())
    }
}

impl ToxicStore {
    fn late_listing(&self, listing: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (toxic, latency) = self.lock().draw(|tally| tally.lists += 1);
        let late = async move {
            tokio::time::sleep(latency).await;
            match toxic {
                Some(Toxic::ErrorBefore) => futures::stream::iter([Err(failure("failed before"))]).boxed(),
                // A page arrives, the next does not.
                Some(Toxic::ErrorAfter) => listing.chain(futures::stream::iter([Err(failure("failed after"))])).boxed(),
                Some(Toxic::Stall | Toxic::LoseAnswer) => futures::stream::pending().boxed(),
                _ => listing,
            }
        };
        futures::stream::once(late).flatten().boxed()
    }
}
