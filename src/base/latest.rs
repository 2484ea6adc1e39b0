//! The latest value of something, and who waits for the next one.
//!
//! Like `tokio::sync::watch`, but those who wait wake in the order in which they began to: tokio's draws the order
//! from a randomness that a simulation can not seed, and then the same seed would not give the same run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The value will not change any more: its sender is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value will not change any more")]
pub struct Ended;

#[derive(Debug)]
struct State<T> {
    value: T,
    version: u64,
    ended: bool,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change leaves the state valid, so a poisoned lock only says that a closure of a caller panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the value.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Sees the value, and waits for others. A clone has seen what the original has seen.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

/// A value and its first receiver, which has seen it.
pub fn channel<T: Clone>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T: Clone + Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Clone> Sender<T> {
    /// Begins with `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        let state = State { value, version: 0, ended: false };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }))
    }

    /// A receiver that has seen the present value.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { shared: Arc::clone(&self.0), seen: self.0.lock().version }
    }

    /// Sets the value and wakes all who wait.
    pub fn send_replace(&self, value: T) {
        self.send_modify(|slot| *slot = value);
    }

    /// Changes the value and wakes all who wait.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value; wakes all who wait if `change` says that it did.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) {
        let mut state = self.0.lock();
        if change(&mut state.value) {
            state.version += 1;
            drop(state);
            self.0.changed.notify_waiters();
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_waiters();
    }
}

impl<T: Clone> Receiver<T> {
    /// The present value, which counts as seen from now on.
    pub fn borrow_and_update(&mut self) -> T {
        let state = self.shared.lock();
        self.seen = state.version;
        state.value.clone()
    }

    /// Returns once there is a value that was not seen; it counts as seen then.
    ///
    /// # Errors
    /// When the sender is gone and the last value was seen.
    pub async fn changed(&mut self) -> Result<(), Ended> {
        loop {
            let notified = self.shared.changed.notified();
            tokio::pin!(notified);
            // Enrolled before the look, so that no change between the two is missed.
            notified.as_mut().enable();
            {
                let state = self.shared.lock();
                if state.version != self.seen {
                    self.seen = state.version;
                    return Ok(());
                }
                if state.ended {
                    return Err(Ended);
                }
            }
            notified.await;
        }
    }

    /// Returns the first value, seen or not, that `fits`.
    ///
    /// # Errors
    /// When the sender is gone and its last value does not fit.
    pub async fn wait_for(&mut self, mut fits: impl FnMut(&T) -> bool) -> Result<T, Ended> {
        loop {
            let value = self.borrow_and_update();
            if fits(&value) {
                return Ok(value);
            }
            self.changed().await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiters_wake_in_the_order_in_which_they_began() {
        let (sender, receiver) = channel(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..50)
            .map(|number| {
                let (mut receiver, order) = (receiver.clone(), Arc::clone(&order));
                async move {
                    receiver.changed().await.expect("the sender lives");
                    order.lock().expect("whole").push(number);
                }
            })
            .collect();
        let all = futures::future::join_all(waiters);
        tokio::join!(all, async { sender.send_replace(1) });
        assert_eq!(*order.lock().expect("whole"), (0..50).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_value_is_seen_once_and_the_end_is_told() {
        let (sender, mut receiver) = channel(0);
        sender.send_replace(7);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(receiver.borrow_and_update(), 7);
        sender.send_replace(8);
        drop(sender);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(receiver.changed().await, Err(Ended));
        assert_eq!(receiver.wait_for(|value| *value == 8).await, Ok(8));
        assert_eq!(receiver.wait_for(|value| *value == 9).await, Err(Ended));
    }
}
