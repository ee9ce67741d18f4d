//! The agents that this program carries: one static binary per architecture, compressed, known by its hash.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::calls;

include!(concat!(env!("OUT_DIR"), "/agents.rs"));

/// The agents at hand.
#[derive(Debug, Default)]
pub struct Agents {
    /// For hosts that are reached by SSH, by architecture.
    pub carried: Vec<Agent>,
    /// For this machine: the agent's program. Without one, this very program is run with `agent serve`.
    pub local: Option<PathBuf>,
}

impl Agents {
    /// Those that the build put into this program.
    pub fn embedded() -> Self {
        let carried = EMBEDDED.iter().map(|&(arch, postgres, sha256, size, packed)| Agent {
            arch: arch.to_owned(),
            postgres,
            sha256: sha256.to_owned(),
            size,
            packed: Cow::Borrowed(packed),
            binary: OnceLock::new(),
        });
        Self { carried: carried.collect(), local: None }
    }

    /// Of each architecture the one that has everything.
    #[must_use]
    pub fn whole(self) -> Self {
        self.prefer(|agent| agent.postgres)
    }

    /// Of each architecture the smallest: enough for a run that has nothing to do with PostgreSQL.
    #[must_use]
    pub fn small(self) -> Self {
        self.prefer(|agent| !agent.postgres)
    }

    fn prefer(mut self, preferred: impl Fn(&Agent) -> bool) -> Self {
        let there: Vec<String> =
            self.carried.iter().filter(|agent| preferred(agent)).map(|agent| agent.arch.clone()).collect();
        self.carried.retain(|agent| preferred(agent) || !there.contains(&agent.arch));
        self
    }

    /// The agent for an architecture, as `uname -m` writes it.
    pub fn for_arch(&self, arch: &str) -> Option<&Agent> {
        self.carried.iter().find(|agent| agent.arch == arch)
    }
}

/// An agent for Linux on one architecture.
pub struct Agent {
    /// As `uname -m` writes it: `x86_64`, `aarch64`.
    pub arch: String,
    /// Whether it has the modules for PostgreSQL.
    pub postgres: bool,
    /// The SHA-256 of the binary, in hex.
    pub sha256: String,
    /// The binary's size in bytes.
    pub size: usize,
    /// Its calls translated ([`calls`]), then compressed by zstd.
    packed: Cow<'static, [u8]>,
    /// The binary, once it was needed; a run uploads it to many hosts.
    binary: OnceLock<io::Result<Vec<u8>>>,
}

impl Agent {
    /// Carries a binary.
    pub fn pack(arch: &str, binary: &[u8]) -> io::Result<Self> {
        let mut program = binary.to_vec();
        calls::pack(&mut program);
        Ok(Self {
            arch: arch.to_owned(),
            postgres: true,
            sha256: Sha256::digest(binary).iter().map(|byte| format!("{byte:02x}")).collect(),
            size: binary.len(),
            packed: Cow::Owned(zstd::encode_all(program.as_slice(), 1)?),
            binary: OnceLock::new(),
        })
    }

    /// The binary. Whoever asks while it is unpacked waits for that.
    pub fn binary(&self) -> io::Result<&[u8]> {
        let unpacked = self.binary.get_or_init(|| {
            let mut binary = zstd::bulk::decompress(&self.packed, self.size)?;
            calls::unpack(&mut binary);
            Ok(binary)
        });
        unpacked.as_deref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }

    /// What tells this agent from every other, short enough to be a part of a file's name. The directory belongs to
    /// the user, so that nobody can put another file there under this name.
    pub(super) fn short_hash(&self) -> &str {
        &self.sha256[..16]
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agent({} {}, {} bytes)", self.arch, self.short_hash(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_out() {
        let agent = Agent::pack("x86_64", b"abc").unwrap();
        assert_eq!(agent.binary().unwrap(), b"abc");
        assert_eq!(agent.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn small_agents_are_chosen_where_there_are_any() {
        let agent = |arch, postgres| Agent { postgres, ..Agent::pack(arch, b"abc").unwrap() };
        let all = || Agents {
            carried: vec![agent("x86_64", false), agent("x86_64", true), agent("aarch64", true)],
            local: None,
        };
        for (chosen, wanted) in [(all().small(), false), (all().whole(), true)] {
            let chosen: Vec<_> = chosen.carried.iter().map(|agent| (agent.arch.as_str(), agent.postgres)).collect();
            assert_eq!(chosen, [("x86_64", wanted), ("aarch64", true)]);
        }
    }

    #[test]
    fn embedded_agents_are_whole() {
        for agent in Agents::embedded().carried {
            let again = Agent::pack(&agent.arch, agent.binary().unwrap()).unwrap();
            assert_eq!(again.sha256, agent.sha256);
        }
    }
}
