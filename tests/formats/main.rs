//! Stored formats, held against files that earlier builds wrote. A golden file is never changed: a new format version
//! gets a new one, and the old ones stay readable.

mod share_group;
mod share_partition;
mod wal_object;
