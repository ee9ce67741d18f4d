//! An SSH server inside the test: it knows one user, and runs commands in a directory of its own or answers by a script.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::{Algorithm, Certificate, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, Limits, MethodKind, MethodSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{ChildStdin, Command};

/// What the server is like.
pub(crate) struct Nature {
    pub host_key: PrivateKey,
    pub certificate: Option<Certificate>,
    /// The methods that it offers.
    pub methods: Vec<MethodKind>,
    pub key: Option<PublicKey>,
    pub password: Option<&'static str>,
    /// How many connections it hangs up on before it says a word.
    pub drops: usize,
    /// How many may be logging in at the same time; it hangs up on others.
    pub startups: usize,
    pub max_attempts: usize,
    /// After how many bytes it exchanges keys again.
    pub rekey_after: usize,
    pub run: Run,
}

/// How it runs a command.
#[derive(Clone)]
pub(crate) enum Run {
    /// `sh -c`, in this directory as HOME, after this line (what an rc file would print).
    Shell { home: PathBuf, rc: &'static str },
    /// The n-th command gets the n-th answer.
    Script(Arc<Mutex<Vec<Answer>>>),
    /// Not at all.
    Refuse,
}

/// What a command says, and how it ends.
#[derive(Clone)]
pub(crate) struct Answer {
    pub stdout: Cow<'static, [u8]>,
    pub stderr: &'static str,
    pub exit: u32,
}

impl Nature {
    /// Takes the password `open sesame`; runs commands nowhere.
    pub(crate) fn new() -> Self {
        Self {
            host_key: key(),
            certificate: None,
            methods: vec![MethodKind::PublicKey, MethodKind::Password],
            key: None,
            password: Some("open sesame"),
            drops: 0,
            startups: usize::MAX,
            max_attempts: 6,
            rekey_after: 1 << 30,
            run: Run::Refuse,
        }
    }

    pub(crate) fn shell(home: &Path, rc: &'static str) -> Self {
        Self { run: Run::Shell { home: home.to_owned(), rc }, ..Self::new() }
    }

    pub(crate) fn script(answers: Vec<Answer>) -> Self {
        Self { run: Run::Script(Arc::new(Mutex::new(answers))), ..Self::new() }
    }
}

/// A running server.
pub(crate) struct Server {
    pub port: u16,
    pub host_key: PublicKey,
    /// How many connections there have been, those that were dropped included.
    pub connections: Arc<AtomicUsize>,
    /// The commands it was asked to run.
    pub commands: Arc<Mutex<Vec<String>>>,
}

pub(crate) fn key() -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
}

pub(crate) async fn serve(nature: Nature) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        port: listener.local_addr().unwrap().port(),
        host_key: nature.host_key.public_key().clone(),
        connections: Arc::default(),
        commands: Arc::default(),
    };
    let config = Arc::new(Config {
        keys: vec![nature.host_key.clone()],
        certificates: nature.certificate.clone().into_iter().collect(),
        methods: MethodSet::from(nature.methods.as_slice()),
        auth_rejection_time: Duration::ZERO,
        max_auth_attempts: nature.max_attempts,
        limits: Limits::new(nature.rekey_after, nature.rekey_after, Duration::from_secs(3600)),
        nodelay: true,
        ..Config::default()
    });
    let (connections, commands) = (Arc::clone(&server.connections), Arc::clone(&server.commands));
    let nature = Arc::new(nature);
    let pending = Arc::new(());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let before = connections.fetch_add(1, Ordering::SeqCst);
            if before < nature.drops || Arc::strong_count(&pending) > nature.startups {
                drop(stream);
                continue;
            }
            let peer = Peer {
                nature: Arc::clone(&nature),
                commands: Arc::clone(&commands),
                stdin: HashMap::new(),
                pending: Some(Arc::clone(&pending)),
            };
            let config = Arc::clone(&config);
            tokio::spawn(async move {
                if let Ok(session) = russh::server::run_stream(config, stream, peer).await {
                    let _ = session.await;
                }
            });
        }
    });
    server
}

struct Peer {
    nature: Arc<Nature>,
    commands: Arc<Mutex<Vec<String>>>,
    stdin: HashMap<ChannelId, ChildStdin>,
    /// Until the login is done.
    pending: Option<Arc<()>>,
}

fn judge(good: bool) -> Auth {
    if good { Auth::Accept } else { Auth::reject() }
}

impl Handler for Peer {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        self.pending = None;
        Ok(judge(user == "ada" && self.nature.password == Some(password)))
    }

    async fn auth_publickey(&mut self, user: &str, shown: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let known = self.nature.key.as_ref().map(PublicKey::key_data);
        Ok(judge(user == "ada" && known == Some(shown.public_key.key_data())))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        match response.map(|mut answers| answers.next()) {
            Some(Some(answer)) => {
                let expected = self.nature.password.map(str::as_bytes);
                Ok(judge(user == "ada" && expected == Some(&answer[..])))
            }
            _ => Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![(Cow::Borrowed("Password: "), false)].into(),
            }),
        }
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

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        match TcpStream::connect((host, u16::try_from(port).unwrap())).await {
            Ok(mut onward) => {
                reply.accept().await;
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut onward).await;
                });
            }
            Err(_) => reply.reject(russh::ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let command = String::from_utf8_lossy(command).into_owned();
        self.commands.lock().unwrap().push(command.clone());
        match self.nature.run.clone() {
            Run::Refuse => return session.channel_failure(channel),
            Run::Script(answers) => {
                session.channel_success(channel)?;
                let answer = answers.lock().unwrap().remove(0);
                tokio::spawn(recite(session.handle(), channel, answer));
            }
            Run::Shell { home, rc } => {
                session.channel_success(channel)?;
                let stdin = run(session.handle(), channel, &command, &home, rc);
                self.stdin.insert(channel, stdin);
            }
        }
        Ok(())
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _: &mut Session) -> Result<(), russh::Error> {
        if let Some(stdin) = self.stdin.get_mut(&channel) {
            let _ = stdin.write_all(data).await;
        }
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), russh::Error> {
        self.stdin.remove(&channel);
        Ok(())
    }
}

async fn recite(handle: Handle, channel: ChannelId, answer: Answer) {
    let _ = handle.data(channel, answer.stdout.into_owned()).await;
    let _ = handle.extended_data(channel, 1, answer.stderr.as_bytes()).await;
    let _ = handle.exit_status_request(channel, answer.exit).await;
    let _ = handle.eof(channel).await;
    let _ = handle.close(channel).await;
}

/// Runs a command as sshd does: through the user's shell, at home, with pipes.
fn run(handle: Handle, channel: ChannelId, command: &str, home: &Path, rc: &str) -> ChildStdin {
    let mut child = Command::new("sh")
        .args(["-c", &format!("{rc}\n{command}")])
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    tokio::spawn(async move {
        let out = async {
            let mut buffer = vec![0; 32 * 1024];
            while let Ok(read @ 1..) = stdout.read(&mut buffer).await {
                let _ = handle.data(channel, buffer[..read].to_vec()).await;
            }
        };
        let err = async {
            let mut buffer = vec![0; 32 * 1024];
            while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
                let _ = handle.extended_data(channel, 1, buffer[..read].to_vec()).await;
            }
        };
        tokio::join!(out, err);
        let status = child.wait().await.unwrap();
        let code = status.code().map_or(255, i32::unsigned_abs);
        let _ = handle.exit_status_request(channel, code).await;
        let _ = handle.eof(channel).await;
        let _ = handle.close(channel).await;
    });
    stdin
}
