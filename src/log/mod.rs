//! Floor 4: the log. `append` turns produced batches into offsets, `fetch` turns offsets into bytes.

pub mod append;
pub mod feed;
pub mod fetch;
pub(crate) mod fresh;
pub mod offsets;
pub mod tail;

#[cfg(test)]
pub(crate) mod kit;
#[cfg(test)]
mod storm;
