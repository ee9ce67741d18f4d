//! `exec true` on every host of a list by Trueup's own SSH client, all at once: the floor under what a run can cost.
//!
//! `trueup-bare-exec SSH_CONFIG HOSTS`, the hosts one a line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::task::JoinSet;
use trueup::connect::{self, Doors, Exit, SshConfig, Surroundings, Target, Wanted, Way};

/// As many as `trueup` works on by default.
const FORKS: usize = 50;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [config, hosts] = args.as_slice() else { return ExitCode::from(2) };
    let around = Surroundings::of_process();
    let Ok(config) = SshConfig::load(Some(config), &around) else { return ExitCode::from(2) };
    let Ok(hosts) = std::fs::read_to_string(hosts) else { return ExitCode::from(2) };
    let doors = Doors::new(FORKS);
    let mut running = JoinSet::new();
    for name in hosts.lines().map(str::to_owned) {
        let Ok(target) = Target::resolve(&Wanted { name, ..Wanted::default() }, &config, &around) else {
            return ExitCode::from(2);
        };
        running.spawn(one(target, doors.clone()));
    }
    let ended = running.join_all().await;
    if ended.into_iter().all(|well| well) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn one(target: Target, doors: Doors) -> bool {
    let Ok(connection) = connect::open(&Way::Ssh(Arc::new(target)), &doors).await else { return false };
    let Ok(session) = connection.exec("true").await else { return false };
    session.output(b"", 0).await.is_ok_and(|output| output.exit == Exit::Status(0))
}
