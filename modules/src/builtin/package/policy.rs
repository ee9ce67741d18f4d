//! What keeps packages' scripts from starting services while they are installed.

use std::path::PathBuf;

use crate::edit::{Edit, Owner, Text};
use crate::host::{Error, Host, Kind};
use crate::plan::Plan;

use super::Packages;

/// What invoke-rc.d(8) asks before it starts anything.
const SCRIPT: &str = "/usr/sbin/policy-rc.d";

impl Packages {
    /// With `policy_rc_d`, the script that packages' scripts ask is there meanwhile, and nothing stays of it.
    pub(super) fn guarded(&self, plan: &mut Plan, edit: Edit, host: &dyn Host) -> Result<(), Error> {
        let Some(code) = self.policy_rc_d else {
            plan.edits.push(edit);
            return Ok(());
        };
        let path = PathBuf::from(SCRIPT);
        let before = host.read(&path)?.map(Text::plain);
        let mode = host.stat(&path)?.map(|stat| stat.mode);
        let ours = Text::plain(format!("#!/bin/sh\nexit {code}\n"));
        let write = |before: Option<Text>, after: Text, mode| Edit::Write {
            path: path.clone(),
            before,
            after,
            mode,
            owner: Owner::default(),
        };
        plan.edits.push(write(before.clone(), ours.clone(), Some(0o755)));
        plan.edits.push(edit);
        plan.edits.push(match before {
            Some(before) => write(Some(ours), before, mode),
            None => Edit::Remove { path, before: Kind::File },
        });
        plan.all_or_nothing = true;
        Ok(())
    }
}
