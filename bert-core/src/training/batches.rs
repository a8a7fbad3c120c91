//! Batches from the data source to the trainer, and the thread that prefetches them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The data of one optimizer step, on the host.
///
/// The losses of its parts add up to the loss of the step: each part's is divided by what the whole update has (all its
/// predictions, all its rows), so that accumulating gradients over parts of different sizes equals one large batch.
#[derive(Clone, Debug)]
pub struct Update<D> {
    /// Parts small enough for a device, run one after the other or side by side.
    pub micro_batches: Vec<D>,
    /// Position of the data after this update: handed back to its source when a run is resumed.
    pub cursor: Value,
    /// Tokens that are not padding.
    pub tokens: usize,
    /// Tokens with padding.
    pub padded_tokens: usize,
}

/// An iterator that runs on a thread of its own and stays a few items ahead.
pub struct Prefetch<T> {
    receiver: Option<Receiver<T>>,
    thread: Option<JoinHandle<()>>,
    waited: Duration,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Runs `items` up to `ahead` items in front of who takes them.
    pub fn new(items: impl Iterator<Item = T> + Send + 'static, ahead: usize) -> Self {
        let (sender, receiver) = sync_channel(ahead);
        let thread = std::thread::Builder::new()
            .name("data".to_owned())
            .spawn(move || feed(items, &sender))
            .expect("the system has a thread left");
        Self {
            receiver: Some(receiver),
            thread: Some(thread),
            waited: Duration::ZERO,
        }
    }

    /// Time spent waiting for items since the last call.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }
}

fn feed<T>(items: impl Iterator<Item = T>, sender: &SyncSender<T>) {
    for item in items {
        if sender.send(item).is_err() {
            return; // nobody wants more
        }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let start = Instant::now();
        let item = self.receiver.as_ref()?.recv().ok();
        self.waited += start.elapsed();
        if item.is_none()
            && let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
        item
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.receiver = None; // the thread's next send fails and ends it
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_and_an_endless_source_can_be_left() {
        let mut numbers = Prefetch::new(0_u64.., 2);
        assert_eq!(
            numbers.by_ref().take(50).collect::<Vec<_>>(),
            (0..50).collect::<Vec<_>>()
        );
        drop(numbers);
        let short: Vec<_> = Prefetch::new(0..3, 8).collect();
        assert_eq!(short, [0, 1, 2]);
    }

    #[test]
    fn waiting_for_a_slow_source_is_counted() {
        let slow = (0..2).inspect(|_| std::thread::sleep(Duration::from_millis(20)));
        let mut items = Prefetch::new(slow, 1);
        while items.next().is_some() {}
        assert!(items.take_waited() >= Duration::from_millis(20));
        assert_eq!(items.take_waited(), Duration::ZERO);
    }
}
