//! The shell around group decisions: load, decide, persist, answer.

/// Serves groups whose home is this agent. Cloning shares it.
#[derive(Clone, Debug)]
pub struct GroupService {}
