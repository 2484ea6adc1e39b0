//! The way into a group's lane.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::base::task::TaskKind;
use crate::coordinator::share::delivery::context::Context;
use crate::coordinator::share::delivery::lane::{Lane, QUEUE_MAX};
use crate::coordinator::share::delivery::work::{Acquisition, Done, Work};
use crate::model::error::{Condition, Failure};
use crate::model::group::GroupId;

/// Work on its way through a lane.
#[derive(Debug)]
pub(super) struct Submitted {
    done: oneshot::Receiver<Done>,
    acknowledged: usize,
    acquired: usize,
}

/// Hands work to the group's lane and waits until it is done. The place in the queue is taken at the first poll.
pub(super) async fn submit(context: &Arc<Context>, group_id: &GroupId, work: Work) -> Done {
    hand_in(context, group_id, work).await.done().await
}

/// Hands work to the group's lane.
pub(super) async fn hand_in(context: &Arc<Context>, group_id: &GroupId, mut work: Work) -> Submitted {
    let (reply, done) = oneshot::channel();
    let (acknowledged, acquired) = (work.acknowledgements.len(), work.acquire.partitions.len());
    work.reply = Some(reply);
    let lane = context.lanes.lane_of(group_id, || start(context, group_id));
    // A lane that has ended answers nothing: the agent stops.
    let _ = lane.send(work).await;
    Submitted { done, acknowledged, acquired }
}

impl Submitted {
    /// What became of it, once it is done.
    pub(super) async fn done(self) -> Done {
        let Self { done, acknowledged, acquired } = self;
        done.await.unwrap_or_else(|_| Done {
            acknowledged: vec![Err(stopping()); acknowledged],
            is_released: false,
            acquired: vec![Acquisition::Nothing; acquired],
        })
    }
}

fn stopping() -> Failure {
    Failure::new(Condition::CoordinatorNotAvailable, "this agent is stopping; retry at another one")
}

fn start(context: &Arc<Context>, group_id: &GroupId) -> mpsc::Sender<Work> {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    let lane = Lane::new(Arc::clone(context), group_id.clone(), queue);
    context.supervisor.spawn(TaskKind::CoordinatorShard, "share delivery", lane.run());
    sender
}
