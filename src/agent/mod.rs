//! Floor 8: the composition root. The only place that knows everything and sees all settings.

pub mod background;
pub mod core;
pub mod environment;
pub mod membership;
pub mod run;
