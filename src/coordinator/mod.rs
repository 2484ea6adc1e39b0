//! Floor 5: coordinators. Pure decisions, with a thin shell that loads and stores documents.

pub mod group;
pub mod metastore_time;
pub mod placement;
pub mod producer_ids;
pub mod shards;
pub mod share;
pub mod upkeep;
