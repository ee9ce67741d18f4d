//! The machine that an agent serves, as each of its users.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::Error;
use crate::local::{self, Local};
use crate::proxy::Proxy;
use crate::system::System;
use crate::wire::Become;

/// What runs on this side of the wire: the machine, or another one for tests.
pub trait Machine {
    /// The host as that user; `None` is the user that the agent runs as.
    fn system(&mut self, become_: Option<&Become>) -> Result<&mut dyn System, Error>;
}

/// This machine, with a child for each other user that tasks run as.
pub struct Real {
    pub(super) local: Local,
    /// What `sudo` starts for other users.
    pub(super) program: PathBuf,
    pub(super) others: BTreeMap<String, Proxy>,
}

impl Machine for Real {
    fn system(&mut self, become_: Option<&Become>) -> Result<&mut dyn System, Error> {
        // As in Ansible, nobody has to become who he is: root needs no sudo, which a small host may not have.
        let Some(become_) = become_.filter(|become_| !local::is_user(&become_.user)) else {
            return Ok(&mut self.local);
        };
        if !self.others.contains_key(&become_.user) {
            let proxy = Proxy::start(&self.program, become_)?;
            self.others.insert(become_.user.clone(), proxy);
        }
        match self.others.get_mut(&become_.user) {
            Some(proxy) => Ok(proxy),
            None => Ok(&mut self.local),
        }
    }
}

/// What tells this machine's files from those of another: which kernel runs, and which directory is `/`.
pub(super) fn identity() -> String {
    use std::os::unix::fs::MetadataExt;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let root = std::fs::metadata("/").map(|meta| (meta.dev(), meta.ino())).unwrap_or_default();
    format!("{} {}:{}", boot.trim(), root.0, root.1)
}
