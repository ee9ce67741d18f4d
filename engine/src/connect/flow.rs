//! How far ahead of a command its stdin is sent.
//!
//! What a command has not read yet is kept by its server. OpenSSH's takes as much as a channel's window lets through, 2 MiB, and
//! adds to one block of memory that it copies each time it grows: to send 2 MiB at once costs 50 ms, whatever the network. So no
//! more is sent ahead than a round trip makes up for, as long as the server tells what was read. One that does not is sent as much
//! as it takes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// What may be ahead where a round trip takes no time, in bytes. OpenSSH tells of what was read from 96 KiB on. To it comes what
/// the connection's task has not put into packets yet, some 300 KiB, which is taken for read.
const LEAST: u64 = 128 << 10;

/// What a connection carries, in bytes a microsecond: no network that is told from a faster one by what is ahead is faster.
const SPEED: u64 = 400;

/// After so long a server is one that does not tell: several tell only when half of a window is used up.
const PATIENCE: Duration = Duration::from_millis(50);

/// The channels of a connection, by their numbers.
#[derive(Clone, Default)]
pub(super) struct Flows(Arc<Mutex<HashMap<u32, Arc<Flow>>>>);

/// What goes to a command, and what it has read.
#[derive(Default)]
pub(super) struct Flow {
    /// The channel's window while nothing was sent; 0 if that is not known yet.
    window: AtomicU32,
    sent: AtomicU64,
    read: watch::Sender<u64>,
}

impl Flows {
    pub(super) fn of(&self, channel: u32) -> Arc<Flow> {
        Arc::clone(self.lock().entry(channel).or_default())
    }

    /// A channel was opened. OpenSSH opens it with no window, and widens it once there is a command.
    pub(super) fn opened(&self, channel: u32, window: u32) {
        self.of(channel).window.store(window, Ordering::Relaxed);
    }

    /// The server has told of what was read: so much may be sent now.
    pub(super) fn told(&self, channel: u32, window: u32) {
        let Some(flow) = self.lock().get(&channel).map(Arc::clone) else { return };
        if flow.window.load(Ordering::Relaxed) == 0 {
            flow.window.store(window, Ordering::Relaxed);
            return;
        }
        let before = flow.sent.load(Ordering::Relaxed) + u64::from(window);
        flow.read.send_replace(before.saturating_sub(flow.window.load(Ordering::Relaxed).into()));
    }

    pub(super) fn ended(&self, channel: u32) {
        self.lock().remove(&channel);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Flow>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow {
    /// How much may be sent ahead where a round trip takes so long; nothing if the window is the limit.
    pub(super) fn limit(&self, trip: Duration) -> Option<u64> {
        let trip = u64::try_from(trip.as_micros()).unwrap_or(u64::MAX);
        let limit = LEAST.saturating_add(trip.saturating_mul(SPEED));
        Some(limit).filter(|limit| *limit < self.window.load(Ordering::Relaxed).into())
    }

    /// So much is sent now.
    pub(super) fn send(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Waits until less than `limit` bytes are ahead. False if the server does not tell.
    pub(super) async fn room(&self, limit: u64) -> bool {
        let sent = self.sent.load(Ordering::Relaxed);
        let mut read = self.read.subscribe();
        timeout(PATIENCE, read.wait_for(|read| sent.saturating_sub(*read) < limit)).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn channel() -> (Flows, u32) {
        let (flows, id) = (Flows::default(), 7);
        flows.of(id);
        flows.opened(id, 0);
        flows.told(id, 2 << 20);
        (flows, id)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_makes_room() {
        let (flows, id) = channel();
        let flow = flows.of(id);
        flow.send(LEAST as usize);
        let mut room = std::pin::pin!(flow.room(LEAST));
        assert!(timeout(PATIENCE / 2, &mut room).await.is_err(), "nothing was read yet");
        // 96 KiB were read.
        flows.told(id, (2 << 20) - (32 << 10));
        assert!(room.await);
        assert!(!flow.room(32 << 10).await, "there are just as many ahead");
        assert!(flow.room((32 << 10) + 1).await);
    }

    #[test]
    fn a_long_way_has_only_the_window_for_its_limit() {
        let (flows, id) = channel();
        for (trip, limit) in [(Duration::ZERO, Some(LEAST)), (MS, Some(LEAST + 400_000)), (5 * MS, None)] {
            assert_eq!(flows.of(id).limit(trip), limit, "{trip:?}");
        }
        assert_eq!(Flow::default().limit(Duration::ZERO), None, "a window that is not known");
    }
}
