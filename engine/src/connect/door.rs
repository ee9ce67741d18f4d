//! How many connect at the same time, and trying again where a server turns people away at the door.
//!
//! An sshd hangs up on some when more logins are pending than its `MaxStartups` allows (10 by default, from which on it is
//! random), which many meet who go through one jump host. So each server has a [`Door`]: as many may be on their way in as
//! went well before, half as many after somebody was turned away. To be turned away counts against nobody, as long as
//! somebody else was there.
//!
//! What is bounded over all servers is what costs this machine something: key exchanges and uploads. Waiting for a host that
//! does not answer costs nothing, and holds up nobody.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// How many may be on their way through a new door: what an sshd allows by default.
const AT_FIRST: usize = 10;
/// The first pause after somebody was turned away; each is twice the one before, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);
/// How many wait for an answer to the first packet at the same time: a burst of more looks like an attack.
const KNOCKS: usize = 1024;

/// The doors of all servers, and what is shared by all who go through one.
#[derive(Clone)]
pub struct Doors(Arc<Shared>);

struct Shared {
    limit: usize,
    knocks: Semaphore,
    exchanges: Semaphore,
    uploads: Semaphore,
    doors: Mutex<HashMap<String, Arc<Door>>>,
}

impl Doors {
    /// At most `limit` exchange keys, and as many upload an agent, at the same time.
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        let places = || Semaphore::new(limit);
        let (knocks, exchanges, uploads) = (Semaphore::new(KNOCKS), places(), places());
        Self(Arc::new(Shared { limit, knocks, exchanges, uploads, doors: Mutex::default() }))
    }

    /// The door of a server.
    pub(super) fn of(&self, server: String) -> Arc<Door> {
        let mut doors = self.0.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let door = doors.entry(server).or_insert_with(|| Arc::new(Door::new(self.0.limit)));
        Arc::clone(door)
    }

    /// A turn to send the first packet. No semaphore here is ever closed: there is always one.
    pub(super) async fn knock(&self) -> Option<SemaphorePermit<'_>> {
        self.0.knocks.acquire().await.ok()
    }

    /// A turn to exchange keys.
    pub(super) async fn exchange(&self) -> Option<SemaphorePermit<'_>> {
        self.0.exchanges.acquire().await.ok()
    }

    /// A turn to upload an agent.
    pub(super) async fn upload(&self) -> Option<SemaphorePermit<'_>> {
        self.0.uploads.acquire().await.ok()
    }
}

/// The door of one server.
pub(super) struct Door {
    limit: usize,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// How many are on their way in.
    inside: usize,
    /// How many may be.
    allowed: usize,
    /// How many have come in since that changed.
    came: usize,
    /// When somebody was last turned away. Who was on the way already learns nothing new by being turned away, too.
    turned: Option<Instant>,
    /// Nobody tries before.
    opens: Option<Instant>,
    /// How often one who was alone was turned away, with nobody having come in since.
    strikes: u32,
}

/// A place on the way through a door, until it is dropped.
pub(super) struct Place {
    door: Arc<Door>,
    since: Instant,
}

impl Door {
    fn new(limit: usize) -> Self {
        let allowed = AT_FIRST.min(limit);
        let state = State { inside: 0, allowed, came: 0, turned: None, opens: None, strikes: 0 };
        Self { limit, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Waits for a place.
    pub(super) async fn enter(self: &Arc<Self>) -> Place {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let opens = {
                let mut state = self.lock();
                let opens = state.opens.filter(|opens| *opens > now);
                if opens.is_none() && state.inside < state.allowed {
                    state.inside += 1;
                    return Place { door: Arc::clone(self), since: now };
                }
                opens
            };
            match opens {
                Some(opens) => tokio::time::sleep_until(opens).await,
                None => changed.await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The server has let its holder in. So many in a row let one more try at the same time.
    pub(super) fn came_in(self) {
        let mut state = self.door.lock();
        (state.strikes, state.opens) = (0, None);
        state.came += 1;
        let calm = state.turned.is_none();
        if calm || state.came >= state.allowed {
            (state.came, state.allowed) = (0, (state.allowed + 1).min(self.door.limit));
        }
    }

    /// The server has turned its holder away. `Some` number of tries if there is no point in another: one who was alone has been
    /// turned away more than `retries` times in a row.
    pub(super) fn turned_away(self, retries: u32) -> Option<u32> {
        let now = Instant::now();
        let mut state = self.door.lock();
        state.strikes += u32::from(state.inside == 1);
        if state.turned.is_none_or(|turned| turned <= self.since) {
            (state.came, state.allowed, state.turned) = (0, (state.allowed / 2).max(1), Some(now));
        }
        if state.strikes > retries {
            // Nor is there for those who come after: they try once, without waiting.
            state.opens = None;
            return Some(state.strikes);
        }
        let pause = FIRST.saturating_mul(1 << state.strikes.saturating_sub(1).min(16)).min(LONGEST);
        state.opens = Some(now + jitter(pause));
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.lock().inside -= 1;
        self.door.changed.notify_waiters();
    }
}

/// Between half of `pause` and one and a half of it, so that those who were turned away together come back apart.
fn jitter(pause: Duration) -> Duration {
    // The standard library's hashers are seeded at random; a pause needs no better source.
    let random = RandomState::new().build_hasher().finish() % 1024;
    pause / 2 + pause.mul_f64(f64::from(u16::try_from(random).unwrap_or(0)) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(door: &Door) -> usize {
        door.lock().allowed
    }

    #[tokio::test(start_paused = true)]
    async fn a_door_narrows_once_for_all_who_are_turned_away_together() {
        let door = Doors::new(50).of("h".into());
        let mut places = Vec::new();
        for _ in 0..AT_FIRST {
            places.push(door.enter().await);
        }
        tokio::time::advance(Duration::from_millis(1)).await;
        for place in places {
            assert_eq!(place.turned_away(0).filter(|_| door.lock().inside > 0), None);
        }
        assert_eq!(allowed(&door), AT_FIRST / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_widens_with_each_who_comes_in_until_somebody_is_turned_away() {
        let door = Doors::new(13).of("h".into());
        for expected in [11, 12, 13, 13] {
            door.enter().await.came_in();
            assert_eq!(allowed(&door), expected);
        }
        let (_other, place) = (door.enter().await, door.enter().await);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(place.turned_away(0), None, "it was not alone");
        for _ in 0..5 {
            assert_eq!(allowed(&door), 6);
            door.enter().await.came_in();
        }
        door.enter().await.came_in();
        assert_eq!(allowed(&door), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_is_alone_gives_up_and_those_behind_try_once() {
        let door = Doors::new(50).of("h".into());
        let begun = Instant::now();
        for tries in 1..=3 {
            assert_eq!(door.enter().await.turned_away(3), None, "{tries}");
        }
        assert_eq!(door.enter().await.turned_away(3), Some(4));
        let pauses = begun.elapsed();
        assert!((FIRST * 7 / 2..FIRST * 21 / 2 + Duration::from_millis(10)).contains(&pauses), "{pauses:?}");
        assert_eq!(door.enter().await.turned_away(3), Some(5));
        assert!(begun.elapsed() - pauses < Duration::from_millis(10));
        // Who comes in after all opens it for the others.
        door.enter().await.came_in();
        assert_eq!(door.enter().await.turned_away(3), None);
    }
}
