//! Further channels, and connections, for long content that goes a long way. See `agent/lanes.rs` of the modules.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::timeout;
use trueup_modules::wire::PREAMBLE;

use super::Start;
use crate::connect::{self, Connection, Session};

/// What a channel lets through in a round trip: OpenSSH's window, in bytes.
const WINDOW: u64 = 2 << 20;

/// What a connection could carry if it had to wait for nothing, in bytes a second: about what one core encrypts and one
/// decrypts.
const SPEED: u64 = 400 << 20;

/// The most lanes: sshd allows ten channels by default (`MaxSessions`), and the agent has one.
const MOST: u64 = 8;

/// Content that is shorter is gone before lanes are open.
const LONG: u64 = 8 << 20;

/// How many lanes go by one connection: the kernels let one carry some 4 MiB in a round trip (tcp(7), `tcp_wmem`).
const ABREAST: usize = 2;

/// How long all lanes may take to open; those that have not are done without.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many lanes some content should have, by how long a round trip takes and how long the content is; one is none.
pub(super) fn width(trip: Duration, size: u64) -> usize {
    let trip = u64::try_from(trip.as_micros()).unwrap_or(u64::MAX);
    let carried = trip.saturating_mul(SPEED) / 1_000_000;
    let width = (carried / WINDOW).min(size / WINDOW).min(MOST);
    if size < LONG { 1 } else { usize::try_from(width).unwrap_or(1) }
}

/// The lanes to an agent, by their numbers.
pub(super) enum Lanes {
    /// None were wanted so far.
    None,
    /// They are on their way. The set has one task.
    Opening(JoinSet<Vec<(usize, Session)>>),
    /// Those that came; the server may allow less than were wanted.
    Open(Vec<(usize, Session)>),
}

impl Lanes {
    /// Has so many lanes opened, unless some were wanted before.
    pub(super) fn want(&mut self, connection: &Arc<Connection>, start: &Start, width: usize, door: &str) {
        if matches!(self, Self::None) {
            let (connection, start, door) = (Arc::clone(connection), start.clone(), door.to_owned());
            let mut opening = JoinSet::new();
            opening.spawn(async move { open(&connection, &start, width, &door).await });
            *self = Self::Opening(opening);
        }
    }

    /// Those that are open by now, if they are several.
    pub(super) fn open(&mut self) -> Option<&mut [(usize, Session)]> {
        if let Self::Opening(opening) = self
            && let Some(opened) = opening.try_join_next()
        {
            *self = Self::Open(opened.unwrap_or_default());
        }
        match self {
            Self::Open(lanes) if lanes.len() > 1 => Some(lanes),
            _ => None,
        }
    }
}

/// Opens lanes to the agent that has that name, all at once, some of them by connections of their own.
async fn open(connection: &Arc<Connection>, start: &Start, width: usize, door: &str) -> Vec<(usize, Session)> {
    let mut opening = JoinSet::new();
    let roads: Vec<Arc<OnceCell<Arc<Connection>>>> = (0..width.div_ceil(ABREAST)).map(|_| Arc::default()).collect();
    let _ = roads.first().map(|own| own.set(Arc::clone(connection)));
    for (number, road) in (0..width).zip(roads.iter().cycle().cloned()) {
        let (own, start, what) = (Arc::clone(connection), start.clone(), format!("lane {door} {number}"));
        opening.spawn(async move {
            let connection = road.get_or_init(|| another(&own)).await;
            let tmp = start.remote_tmp.as_deref();
            let lane = connect::start_beside(connection, &start.agents, PREAMBLE, tmp, &what).await;
            Some((number, lane.inspect_err(|error| tracing::debug!(%error, "no lane")).ok()?))
        });
    }
    let mut lanes = Vec::new();
    let all = async {
        while let Some(lane) = opening.join_next().await {
            lanes.extend(lane.ok().flatten());
        }
    };
    let _ = timeout(PATIENCE, all).await;
    lanes.sort_by_key(|(number, _)| *number);
    lanes
}

/// Another connection to the same host, or the same where there can be none.
async fn another(own: &Arc<Connection>) -> Arc<Connection> {
    match own.another().await {
        Some(Ok(connection)) => Arc::new(connection),
        Some(Err(error)) => {
            tracing::debug!(%error, "no connection for lanes");
            Arc::clone(own)
        }
        None => Arc::clone(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_by_distance_and_length() {
        for (millis, mib, wanted) in
            [(0, 200, 0), (1, 200, 0), (10, 200, 2), (25, 200, 5), (50, 200, 8), (500, 200, 8), (50, 7, 1), (50, 8, 4)]
        {
            assert_eq!(width(Duration::from_millis(millis), mib << 20), wanted, "{millis} ms, {mib} MiB");
        }
        assert_eq!(width(Duration::MAX, u64::MAX), 8);
    }
}
