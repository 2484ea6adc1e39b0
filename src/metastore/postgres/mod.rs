//! The metastore in PostgreSQL (15 or newer), for any number of agents.
//!
//! ```text
//! store   open, close            pool     connections, time limits, retries     migrate   the schema, by number
//! catalog  batch_index  object_ledger  state_store   the roles: a call is one statement, one round trip
//! plan    a commit as columns    step     receipts and news as stored bytes     feed      news, and being woken
//! ```
//!
//! *Invariants.* Every statement reads and writes the primary. Locks are taken in one order: node, partitions by
//! topic id and number, documents by kind and name, objects. Deadlines are compared to the database's clock.
//! A commit whose answer was lost is `Unknown`; the object's key tells later what became of it.
//!
//! *Commit.* The agent sends what follows if every batch is accepted, and the database only checks that it does:
//! one round trip. When it does not (a producer's retry, a deleted topic), the agent locks, reads, decides with
//! [`sequencing`](crate::metastore::sequencing) as every backend does, and writes, in one transaction.
//!
//! *Feed.* See [`feed`](self): positions grow along every partition's offsets and no transaction that commits
//! late is skipped, without a lock that all commits would share.
//!
//! *Not here.* TLS to the database; connections through a pooler that shares sessions (statements are prepared
//! and one session listens).

mod batch_index;
mod bell;
mod catalog;
mod commit;
mod convert;
mod error;
mod feed;
mod handle;
mod migrate;
mod object_ledger;
mod plan;
mod pool;
mod state_store;
mod step;
pub mod store;
