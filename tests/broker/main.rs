//! A whole agent in this process, over a folder, driven by librdkafka: what `cargo test` proves with a real client.

mod groups;
mod kit;
mod life;
mod positions;
mod records;
mod small_fetches;
