//! Lanes: more channels of the connection, for long content that comes a long way.
//!
//! In one round trip a channel carries what its window lets through, which is 2 MiB with OpenSSH, however much the link could.
//! So the controller starts this program on further channels. Each is a lane: it hands on what comes to the agent, over a
//! socket, and the agent takes the content's pieces from one lane after the other, in their order.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;

use crate::host::{Error, Look};
use crate::wire::{self, Frame, PREAMBLE, Request};

/// How much a lane hands on at once, in bytes.
const PIECE: usize = 128 << 10;

/// The lanes of an agent.
#[derive(Default)]
pub(super) struct Lanes {
    /// Where they come in, and under which name.
    door: Option<(String, UnixListener)>,
    open: BTreeMap<usize, UnixStream>,
}

impl Lanes {
    /// The name by which lanes find this agent, from now on; empty if there can be none.
    pub(super) fn door(&mut self) -> String {
        if self.door.is_none() {
            let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
            let name = format!("trueup-{}-{nanos}", std::process::id());
            let listener = SocketAddr::from_abstract_name(&name).and_then(|at| UnixListener::bind_addr(&at));
            self.door = listener.ok().map(|listener| (name, listener));
        }
        self.door.as_ref().map(|(name, _)| name.clone()).unwrap_or_default()
    }

    /// Lets those lanes in that are at the door: the controller has heard from them all.
    pub(super) fn gather(&mut self, wanted: &[usize]) -> Look<()> {
        while !wanted.iter().all(|number| self.open.contains_key(number)) {
            let (number, lane) = self.enter().map_err(lost)?;
            self.open.extend(number.map(|number| (number, lane)));
        }
        Ok(())
    }

    /// The next who is at the door; without a number if it is a stranger.
    fn enter(&self) -> io::Result<(Option<usize>, UnixStream)> {
        let (_, door) = self.door.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let (mut lane, _) = door.accept()?;
        let mut number = [0];
        let known = is_own(&lane);
        if known {
            lane.read_exact(&mut number)?;
        }
        Ok((known.then(|| number[0].into()), lane))
    }

    /// The next frame from a lane. Where one breaks, none is of use any more, and their other ends are to know.
    pub(super) fn receive(&mut self, number: usize) -> Look<Frame<Request>> {
        let lane = self.open.get_mut(&number).ok_or_else(|| lost(io::ErrorKind::NotConnected.into()))?;
        let reason = match wire::receive(lane) {
            Ok(Some(frame)) => return Ok(frame),
            Ok(None) => io::ErrorKind::UnexpectedEof.to_string(),
            Err(error) => error.to_string(),
        };
        self.open.clear();
        Err(lost(io::Error::other(reason)))
    }
}

fn lost(error: io::Error) -> Error {
    Error::Failed(format!("content was lost on its way: {error}"))
}

/// Whether this process and the one at the other end of a socket are the same user's.
fn is_own(stream: &UnixStream) -> bool {
    socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

/// What a lane's program does: finds the agent under that name, says that it is there, and hands on what it is given.
pub(super) fn serve(name: &str, number: u8) -> io::Result<()> {
    let mut agent = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    if !is_own(&agent) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    agent.write_all(&[number])?;
    let mut output = io::stdout();
    output.write_all(PREAMBLE)?;
    output.flush()?;
    let (input, mut piece) = (io::stdin(), vec![0; PIECE]);
    while is_wanted(&agent, &input)? {
        match rustix::io::read(&input, &mut piece)? {
            0 => break,
            n => agent.write_all(&piece[..n])?,
        }
    }
    Ok(())
}

/// Waits until there is something to hand on. False if the agent is gone: where the network is, too, its server may keep the
/// input open for hours.
fn is_wanted(agent: &UnixStream, input: &io::Stdin) -> io::Result<bool> {
    let (ours, theirs) = (PollFd::new(input, PollFlags::IN), PollFd::new(agent, PollFlags::IN));
    let mut ends = [ours, theirs];
    while let Err(error) = poll(&mut ends, None) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    // It never says anything.
    Ok(ends[1].revents().is_empty())
}
