//! Trying again where a server turns people away at the door.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use super::{ConnectError, Target};

/// The first pause; each is twice the one before, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);

/// Tries until it works or fails for another reason than a dropped connection, at most `target.retries` times more.
pub(super) async fn while_dropped<T, F>(target: &Target, mut attempt: impl FnMut() -> F) -> Result<T, ConnectError>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let mut pause = FIRST;
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(ConnectError::Closed { .. }) if tries <= target.retries => {
                tracing::debug!(
                    host = target.name,
                    tries,
                    "the connection was dropped before the key exchange was done"
                );
                tokio::time::sleep(jitter(pause)).await;
                pause = (pause * 2).min(LONGEST);
                tries += 1;
            }
            Err(ConnectError::Closed { at, .. }) => return Err(ConnectError::Closed { at, tries }),
            outcome => return outcome,
        }
    }
}

/// Between half of `pause` and one and a half of it, so that those who were turned away together come back apart.
fn jitter(pause: Duration) -> Duration {
    // The standard library's hashers are seeded at random; a pause needs no better source.
    let random = RandomState::new().build_hasher().finish() % 1024;
    pause / 2 + pause.mul_f64(f64::from(u16::try_from(random).unwrap_or(0)) / 1024.0)
}
