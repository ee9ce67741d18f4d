//! Hosts that are not there: an SSH server that says what an agent on a host without anything to do would say. So it is the
//! controller that is measured, not the hosts, and there can be ten thousand of them.
//!
//! `trueup-canned-hosts DIR PORT N` writes `DIR/ssh_config`, a key, N lines of known hosts and an inventory, says `ready`,
//! and serves on 127.0.0.1 until its input ends.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use trueup_modules::wire::{self, Answer, Frame, Outcome, PREAMBLE, Reply, Request};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, port, hosts] = args.as_slice() else { return Err("expected: DIR PORT N".into()) };
    let (dir, port, hosts) = (PathBuf::from(dir), port.parse()?, hosts.parse()?);
    let host_key = key()?;
    prepare(&dir, port, hosts, &host_key)?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let config = Arc::new(Config {
        keys: vec![host_key],
        auth_rejection_time: Duration::ZERO,
        nodelay: true,
        ..Config::default()
    });
    writeln!(std::io::stdout(), "ready")?;
    let mut input = tokio::io::stdin();
    let mut end = [0];
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = russh::server::run_stream(config, stream, Host::default()).await {
                        let _ = session.await;
                    }
                });
            }
            _ = input.read(&mut end) => return Ok(()),
        }
    }
}

fn key() -> Result<PrivateKey, Box<dyn Error>> {
    Ok(PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)?)
}

/// What a controller needs to get at them.
fn prepare(dir: &Path, port: u16, hosts: usize, host_key: &PrivateKey) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(dir)?;
    let own = key()?;
    own.write_openssh_file(dir.join("id"), LineEnding::LF)?;
    let public = host_key.public_key().to_openssh()?;
    // A controller of so many hosts knows as many keys; those of the others are in the way.
    let mut known = format!("[127.0.0.1]:{port} {public}\n");
    let mut inventory = String::from("[many]\n");
    for n in 0..hosts {
        writeln!(known, "other{n:05} {public}")?;
        writeln!(inventory, "h{n:05}")?;
    }
    writeln!(inventory, "[many:vars]\nport=8080")?;
    std::fs::write(dir.join("known_hosts"), known)?;
    std::fs::write(dir.join("hosts.ini"), inventory)?;
    let config = format!(
        "Host h*\n  HostName 127.0.0.1\n  Port {port}\n  User ada\n  IdentityFile {dir}/id\n  IdentitiesOnly yes\n  \
         UserKnownHostsFile {dir}/known_hosts\n",
        dir = dir.display()
    );
    std::fs::write(dir.join("ssh_config"), config)?;
    Ok(())
}

/// One connection: the agent's side of the wire, on each of its channels.
#[derive(Default)]
struct Host {
    heard: HashMap<ChannelId, Vec<u8>>,
}

impl Handler for Host {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(&mut self, channel: ChannelId, _: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        session.channel_success(channel)?;
        let machine = format!("machine {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut greeting = PREAMBLE.to_vec();
        greeting.extend(wire::encode(&Reply::Hello { version: env!("CARGO_PKG_VERSION").into(), machine }));
        session.data(channel, greeting)
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        let heard = self.heard.entry(channel).or_default();
        heard.extend_from_slice(data);
        while let Some(body) = frame(heard) {
            if let Ok(Frame::Message(Request::Batch(batch))) = wire::decode(&body) {
                let well = |id| Reply::Task { batch: batch.id, id, outcome: Box::new(Outcome::Ok(Answer::default())) };
                let mut answer: Vec<u8> = batch.tasks.iter().flat_map(|task| wire::encode(&well(task.id))).collect();
                answer.extend(wire::encode(&Reply::Done { batch: batch.id }));
                session.data(channel, answer)?;
            }
        }
        Ok(())
    }
}

/// The first whole frame, without its length.
fn frame(heard: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = wire::frame_length(heard.get(..4)?.try_into().ok()?).ok()?;
    let body = heard.get(4..4 + length)?.to_vec();
    heard.drain(..4 + length);
    Some(body)
}
