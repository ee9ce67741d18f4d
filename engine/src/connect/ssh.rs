//! An SSH connection: through jump hosts if need be, with the host's key verified, logged in.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use russh::client::{self, DisconnectReason, Handle, Handler, Session as Protocol};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate};
use russh::{ChannelId, Names, Preferred, cipher, kex};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::ConnectError;
use super::flow::Flows;
use super::known_hosts::{KnownHosts, Verdict};
use super::proxy_command::ProxyCommand;
use super::quickack::QuickAck;
use super::session::Session;
use super::{Doors, HostKeys, Target, auth, channel};

/// The most that a server may take over a login; a person may have to touch a key for it.
const LOGIN_LIMIT: Duration = Duration::from_secs(60);

/// How long a server is listened to before it is spoken to. Both sides begin without waiting for the other (RFC 4253, 4.2), so
/// one that is silent for so long has nothing to do with us yet, or is one of the few that wait.
const SILENCE: Duration = Duration::from_secs(2);

/// An authenticated connection. The jump hosts' connections carry it and end with it.
pub(super) struct Link {
    host: Host,
    before: Vec<Host>,
    at: String,
    /// The shortest round trip so far, in microseconds.
    trip: AtomicU64,
    /// Whether a person may have had to touch a key for it.
    pub(super) touched: bool,
}

/// One host on the way, or its end.
struct Host {
    handle: Handle<Gate>,
    seen: Seen,
    flows: Flows,
    at: String,
    /// How long it took to connect, which is a round trip of the kernels: they answer though the programs are busy.
    trip: Option<Duration>,
    touched: bool,
    _proxy: Option<ProxyCommand>,
}

impl Link {
    /// Starts a command on a channel of its own.
    pub(super) async fn exec(&self, command: &str) -> Result<Session, ConnectError> {
        let begun = Instant::now();
        let session = channel::exec(&self.host.handle, &self.host.flows, self.trip(), command, &self.at).await;
        // The server's word that there is a channel was waited for.
        self.trip.fetch_min(micros(begun.elapsed()), Ordering::Relaxed);
        session
    }

    /// About how long a round trip takes.
    pub(super) fn trip(&self) -> Duration {
        Duration::from_micros(self.trip.load(Ordering::Relaxed))
    }

    /// Host and port.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    /// What the two sides agreed on, and through how many hosts.
    pub(super) fn negotiated(&self) -> String {
        let names = self.host.seen.lock().names.clone().unwrap_or_default();
        match self.before.len() {
            0 => names,
            hosts => format!("{names}, through {hosts} jump host(s)"),
        }
    }
}

/// Opens the connection, host by host.
pub(super) async fn open(target: &Target, doors: &Doors) -> Result<Link, ConnectError> {
    let mut before: Vec<Host> = Vec::new();
    for jump in &target.jumps {
        let next = reach(jump, before.last(), doors).await;
        before.push(next.map_err(|source| ConnectError::Jump { via: jump.at(), source: Box::new(source) })?);
    }
    let host = reach(target, before.last(), doors).await?;
    let trip = host.trip.filter(|_| before.is_empty()).map_or(u64::MAX, micros);
    let touched = before.iter().any(|jump| jump.touched) || host.touched;
    Ok(Link { host, before, at: target.at(), trip: trip.into(), touched })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// One host: connected, verified, logged in.
async fn reach(target: &Target, through: Option<&Host>, doors: &Doors) -> Result<Host, ConnectError> {
    let door = doors.of(match through {
        Some(jump) => format!("{} through {}", target.at(), jump.at),
        None => target.at(),
    });
    let (mut host, place) = loop {
        let place = door.enter().await;
        match handshake(target, through, doors).await {
            Err(ConnectError::Closed { at, .. }) => {
                if let Some(tries) = place.turned_away(target.retries) {
                    return Err(ConnectError::Closed { at, tries });
                }
                tracing::debug!(host = target.name, "the connection was dropped before the key exchange was done");
            }
            outcome => break (outcome?, place),
        }
    };
    let seen = host.seen.clone();
    let parting = || seen.lock().parting.clone();
    let login = auth::log_in(&mut host.handle, target, parting);
    host.touched = timeout(LOGIN_LIMIT, login).await.map_err(|_| ConnectError::TimedOut {
        doing: "log in to",
        at: target.at(),
        after: LOGIN_LIMIT,
    })??;
    place.came_in();
    Ok(host)
}

/// The connection and the key exchange.
async fn handshake(target: &Target, through: Option<&Host>, doors: &Doors) -> Result<Host, ConnectError> {
    let known = KnownHosts::of(target)?;
    let config = Arc::new(config(&known, target));
    let (seen, flows) = (Seen::default(), Flows::default());
    let gate = Gate {
        known,
        host_keys: target.host_keys,
        learns: target.known_hosts.first().cloned(),
        at: target.at(),
        seen: seen.clone(),
        flows: flows.clone(),
    };
    let limit = target.connect_timeout;
    let (handle, proxy, trip) = match (through, &target.proxy_command) {
        (Some(jump), _) => {
            let stream = tunnel(&jump.handle, target).await?;
            let _turn = doors.exchange().await;
            (exchange(config, stream, gate, target, limit).await?, None, None)
        }
        (None, Some(command)) => {
            let _turn = doors.exchange().await;
            let (proxy, stream) = ProxyCommand::start(command, target)?;
            match exchange(config, stream, gate, target, limit).await {
                Ok(handle) => (handle, Some(proxy), None),
                Err(error) => return Err(proxy.explain(target, error).await),
            }
        }
        (None, None) => {
            let (stream, trip) = connect(target, doors).await?;
            let silence = SILENCE.min(limit / 2);
            // One that has not said anything holds up nobody: it may never do so.
            let (_turn, limit) = match timeout(silence, stream.0.readable()).await {
                Ok(_) => (doors.exchange().await, limit),
                Err(_) => (None, limit - silence),
            };
            (exchange(config, stream, gate, target, limit).await?, None, Some(trip))
        }
    };
    Ok(Host { handle, seen, flows, at: target.at(), trip, touched: false, _proxy: proxy })
}

async fn exchange<S>(
    config: Arc<client::Config>,
    stream: S,
    gate: Gate,
    target: &Target,
    limit: Duration,
) -> Result<Handle<Gate>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match timeout(limit, client::connect_stream(config, stream, gate)).await {
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(Refusal::Key(error))) => Err(error),
        Ok(Err(Refusal::Ssh(error))) if is_drop(&error) => Err(ConnectError::Closed { at: target.at(), tries: 1 }),
        Ok(Err(Refusal::Ssh(source))) => Err(ConnectError::KeyExchange { at: target.at(), source }),
        Err(_) => {
            let after = target.connect_timeout;
            Err(ConnectError::TimedOut { doing: "exchange keys with", at: target.at(), after })
        }
    }
}

/// A server with too many logins pending hangs up, at any point before the key exchange is done.
fn is_drop(error: &russh::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error {
        russh::Error::Disconnect | russh::Error::HUP => true,
        russh::Error::IO(error) => {
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        }
        _ => false,
    }
}

/// Tries the addresses of the name in turn. Also tells how long it took to be answered.
async fn connect(target: &Target, doors: &Doors) -> Result<(QuickAck, Duration), ConnectError> {
    let mut last = None;
    for address in resolve(target).await? {
        let _turn = doors.knock().await;
        let begun = Instant::now();
        match timeout(target.connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let trip = begun.elapsed();
                // Without this each small frame waits for the acknowledgement of the one before, 40 ms at worst.
                stream.set_nodelay(true).map_err(|source| ConnectError::Network { at: target.at(), source })?;
                give_up_on_silence(&stream, target);
                return Ok((QuickAck(stream), trip));
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                last = Some(ConnectError::Refused { at: target.at() });
            }
            Ok(Err(source)) => last = Some(ConnectError::Network { at: target.at(), source }),
            Err(_) => {
                let after = target.connect_timeout;
                last = Some(ConnectError::TimedOut { doing: "connect to", at: target.at(), after });
            }
        }
    }
    Err(last.unwrap_or_else(|| ConnectError::Resolve {
        host: target.host.clone(),
        source: io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
    }))
}

/// Has the kernel end the connection when what is sent stays unanswered for as long as a silent host is waited for. The
/// questions whether it is still there don't do that: they are not asked while there is something to send.
fn give_up_on_silence(stream: &TcpStream, target: &Target) {
    let questions = u32::try_from(target.alive_count).unwrap_or(u32::MAX).saturating_add(1);
    let limit = target.alive_interval.saturating_mul(questions).as_millis();
    // Where it can't be had, the kernel's own limit holds, which is some minutes.
    let _ = u32::try_from(limit).map(|limit| set_tcp_user_timeout(stream, limit));
}

async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, ConnectError> {
    let host = target.host.clone();
    match timeout(target.connect_timeout, tokio::net::lookup_host((target.host.as_str(), target.port))).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(source)) => Err(ConnectError::Resolve { host, source }),
        Err(_) => Err(ConnectError::TimedOut { doing: "resolve the name of", at: host, after: target.connect_timeout }),
    }
}

/// A stream to the target through a host that is already reached.
async fn tunnel(jump: &Handle<Gate>, target: &Target) -> Result<russh::ChannelStream<client::Msg>, ConnectError> {
    let opened = jump.channel_open_direct_tcpip(&target.host, u32::from(target.port), "127.0.0.1", 0);
    match timeout(target.connect_timeout, opened).await {
        Ok(Ok(channel)) => Ok(channel.into_stream()),
        Ok(Err(error)) => {
            let source = io::Error::other(format!("the jump host cannot: {error}"));
            Err(ConnectError::Network { at: target.at(), source })
        }
        Err(_) => {
            let after = target.connect_timeout;
            Err(ConnectError::TimedOut { doing: "connect through the jump host to", at: target.at(), after })
        }
    }
}

fn config(known: &KnownHosts, target: &Target) -> client::Config {
    let host_keys = known.algorithms(&host_key_algorithms());
    let certificates = if known.has_authority() { host_keys.clone() } else { Vec::new() };
    client::Config {
        nodelay: true,
        // With the default of 2 MiB a download over a round trip of 50 ms runs at 20 MB/s, with this at 150 MB/s.
        window_size: 16 * 1024 * 1024,
        keepalive_interval: Some(target.alive_interval).filter(|interval| !interval.is_zero()),
        keepalive_max: target.alive_count,
        preferred: Preferred {
            kex: Cow::Borrowed(KEY_EXCHANGES),
            cipher: Cow::Borrowed(CIPHERS),
            key: Cow::Owned(host_keys),
            host_key_certificates: Cow::Owned(certificates),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    }
}

/// X25519 costs about 1 ms of CPU, and a controller does hundreds; post-quantum is there for servers that insist.
const KEY_EXCHANGES: &[kex::Name] = &[
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::MLKEM768X25519_SHA256,
    kex::ECDH_SHA2_NISTP256,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// AES has instructions of its own on every machine that matters, and takes half the CPU of ChaCha20 there.
const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR, cipher::AES_128_CTR];

fn host_key_algorithms() -> [Algorithm; 6] {
    [
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ]
}

/// What the protocol's task tells us.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    /// The algorithms that were agreed on.
    names: Option<String>,
    /// What the server said when it hung up.
    parting: Option<String>,
}

impl Seen {
    fn lock(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides whether a server is the one that we want.
pub(super) struct Gate {
    known: KnownHosts,
    host_keys: HostKeys,
    /// The file that a new key is added to.
    learns: Option<PathBuf>,
    at: String,
    seen: Seen,
    flows: Flows,
}

/// Why the protocol's task ended.
#[derive(Debug)]
pub(super) enum Refusal {
    Ssh(russh::Error),
    Key(ConnectError),
}

impl From<russh::Error> for Refusal {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Gate {
    fn judge(&self, shown: &PublicKeyOrCertificate) -> Result<(), ConnectError> {
        let verdict = match shown.certificate() {
            Some(certificate) => self.known.check_certificate(certificate),
            None => self.known.check(&shown.public_key()),
        };
        let refuse = |source| ConnectError::HostKey { at: self.at.clone(), source: Box::new(source) };
        match (verdict, self.host_keys) {
            (Verdict::Known, _) => Ok(()),
            (Verdict::Unknown(_), HostKeys::AcceptNew) => match &self.learns {
                Some(path) => self.known.learn(path, &shown.public_key()),
                None => Ok(()),
            },
            (Verdict::Refused(error), HostKeys::Off) if error.is_revocation() => Err(refuse(error)),
            (_, HostKeys::Off) => Ok(()),
            (Verdict::Unknown(error) | Verdict::Refused(error), _) => Err(refuse(error)),
        }
    }
}

impl Handler for Gate {
    type Error = Refusal;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Refusal> {
        self.judge(shown).map(|()| true).map_err(Refusal::Key)
    }

    async fn kex_done(&mut self, _: Option<&[u8]>, names: &Names, _: &mut Protocol) -> Result<(), Refusal> {
        let agreed = format!("{}, {}, {}", names.kex.as_ref(), names.cipher.as_ref(), names.key);
        self.seen.lock().names = Some(agreed);
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        channel: ChannelId,
        _: u32,
        window: u32,
        _: &mut Protocol,
    ) -> Result<(), Refusal> {
        self.flows.opened(channel.into(), window);
        Ok(())
    }

    async fn window_adjusted(&mut self, channel: ChannelId, window: u32, _: &mut Protocol) -> Result<(), Refusal> {
        self.flows.told(channel.into(), window);
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Refusal>) -> Result<(), Refusal> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.seen.lock().parting = Some(info.message);
                Ok(())
            }
            DisconnectReason::Error(error) => Err(error),
        }
    }
}
