//! This machine as another user: every look and touch travels over a pipe to a child of the agent that `sudo` started
//! as that user. Plans, and the overlay of a preview, stay with the one agent, so that a host has a single view of what is
//! pending, whoever its tasks run as.
//!
//! The pipe never leaves the host. Secrets cross it exposed, in structs that go nowhere else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Algorithm;
use crate::edit::{Blob, Owner, Text};
use crate::escalation::{self, PROMPT};
use crate::host::{Command, Error, Host, Input, Look, Output, Stat};
use crate::local::{Cancel, Local};
use crate::secret::Secret;
use crate::sql::{PgConn, Rows, SqlArg, SslMode};
use crate::system::{Pieces, Stream, System};
use crate::wire::{self, Become, Frame, PREAMBLE};

/// A question or an order; the fields are the arguments of the method of the same name.
#[derive(Serialize, Deserialize)]
enum Call {
    Stat(PathBuf),
    Straight(PathBuf),
    Read(PathBuf),
    Access(PathBuf),
    Digest(PathBuf, Algorithm),
    List(PathBuf),
    Query(PlainCommand),
    Sql(PlainConn, String, Vec<PlainArg>),
    Write(PathBuf, Vec<u8>, Option<u32>, PlainOwner),
    /// Its content follows in blob frames, an empty one last.
    WritePieces(PathBuf, Blob, Option<u32>, PlainOwner),
    SetMode(PathBuf, u32),
    SetOwner(PathBuf, PlainOwner),
    MakeDir(PathBuf, u32),
    Link(PathBuf, PathBuf),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    Connects(String, u16),
    Run(PlainCommand),
    Pause(Duration),
    Limit(Option<Duration>),
    ExecuteSql(PlainConn, String, Vec<PlainArg>, bool),
}

/// What comes back: lines while a program runs, then the answer as the method's own type.
#[derive(Serialize, Deserialize)]
enum Back {
    Line(Stream, String),
    Answer(Result<serde_json::Value, Error>),
}

#[derive(Serialize, Deserialize)]
struct PlainText {
    text: String,
    secret: bool,
}

impl From<&Input> for PlainText {
    fn from(input: &Input) -> Self {
        Self { text: input.expose().into(), secret: matches!(input, Input::Secret(_)) }
    }
}

impl From<PlainText> for Input {
    fn from(plain: PlainText) -> Self {
        if plain.secret { Self::Secret(Secret::new(plain.text)) } else { Self::Plain(plain.text) }
    }
}

#[derive(Serialize, Deserialize)]
struct PlainCommand {
    program: String,
    args: Vec<String>,
    stdin: Option<PlainText>,
    env: BTreeMap<String, PlainText>,
    cwd: Option<PathBuf>,
    answers: bool,
}

impl From<&Command> for PlainCommand {
    fn from(command: &Command) -> Self {
        Self {
            program: command.program.clone(),
            args: command.args.clone(),
            stdin: command.stdin.as_ref().map(Into::into),
            env: command.env.iter().map(|(name, value)| (name.clone(), value.into())).collect(),
            cwd: command.cwd.clone(),
            answers: command.answers,
        }
    }
}

impl From<PlainCommand> for Command {
    fn from(plain: PlainCommand) -> Self {
        Self {
            program: plain.program,
            args: plain.args,
            stdin: plain.stdin.map(Into::into),
            env: plain.env.into_iter().map(|(name, value)| (name, value.into())).collect(),
            cwd: plain.cwd,
            answers: plain.answers,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct PlainConn {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    role: Option<String>,
    database: String,
    sslmode: SslMode,
    root_cert: Option<String>,
    client_cert: Option<String>,
    client_key: Option<String>,
}

impl From<&PgConn> for PlainConn {
    fn from(at: &PgConn) -> Self {
        Self {
            host: at.host.clone(),
            port: at.port,
            user: at.user.clone(),
            password: at.password.as_ref().map(|password| password.expose().into()),
            role: at.role.clone(),
            database: at.database.clone(),
            sslmode: at.sslmode,
            root_cert: at.root_cert.clone(),
            client_cert: at.client_cert.clone(),
            client_key: at.client_key.clone(),
        }
    }
}

impl From<PlainConn> for PgConn {
    fn from(plain: PlainConn) -> Self {
        Self {
            host: plain.host,
            port: plain.port,
            user: plain.user,
            password: plain.password.map(Secret::new),
            role: plain.role,
            database: plain.database,
            sslmode: plain.sslmode,
            root_cert: plain.root_cert,
            client_cert: plain.client_cert,
            client_key: plain.client_key,
        }
    }
}

#[derive(Serialize, Deserialize)]
enum PlainArg {
    Null,
    Text(PlainText),
}

fn plain_args(args: &[SqlArg]) -> Vec<PlainArg> {
    let plain = |arg: &SqlArg| match arg {
        SqlArg::Null => PlainArg::Null,
        SqlArg::Text(text) => PlainArg::Text(PlainText { text: text.clone(), secret: false }),
        SqlArg::Secret(secret) => PlainArg::Text(PlainText { text: secret.expose().into(), secret: true }),
    };
    args.iter().map(plain).collect()
}

fn sql_args(args: Vec<PlainArg>) -> Vec<SqlArg> {
    let arg = |plain: PlainArg| match plain {
        PlainArg::Null => SqlArg::Null,
        PlainArg::Text(PlainText { text, secret: true }) => SqlArg::Secret(Secret::new(text)),
        PlainArg::Text(PlainText { text, secret: false }) => SqlArg::Text(text),
    };
    args.into_iter().map(arg).collect()
}

#[derive(Serialize, Deserialize)]
struct PlainOwner {
    user: Option<String>,
    group: Option<String>,
}

impl From<&Owner> for PlainOwner {
    fn from(owner: &Owner) -> Self {
        Self { user: owner.user.clone(), group: owner.group.clone() }
    }
}

impl From<PlainOwner> for Owner {
    fn from(plain: PlainOwner) -> Self {
        Self { user: plain.user, group: plain.group }
    }
}

/// Another user's view of this machine.
pub struct Proxy {
    pipe: RefCell<Pipe>,
    user: String,
}

struct Pipe {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Proxy {
    /// Starts the agent `program` as another user, with a password if there is one.
    pub fn start(program: &Path, become_: &Become) -> Result<Self, Error> {
        let fail = |reason: String| Error::Become { user: become_.user.clone(), reason };
        let words = escalation::words(become_, &program.to_string_lossy());
        let method = become_.method.program();
        let mut sudo = std::process::Command::new(&words[0]);
        sudo.args(&words[1..]).current_dir("/");
        sudo.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = sudo.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => fail(format!("there is no {} on the host", words[0])),
            _ => fail(error.to_string()),
        })?;
        let (Some(mut to), Some(from), Some(err)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(fail(format!("{method} has no pipes")));
        };
        if let Some(password) = &become_.password {
            to.write_all(format!("{password}\n").as_bytes()).map_err(|error| fail(error.to_string()))?;
        }
        let mut from = BufReader::new(from);
        let complaint = watch(err, method, become_.password.is_some());
        match started(&mut from, to, &complaint).and_then(greet) {
            Ok(to) => Ok(Self { pipe: RefCell::new(Pipe { child, to, from }), user: become_.user.clone() }),
            Err(reason) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(fail(reason))
            }
        }
    }

    fn call<T: for<'de> Deserialize<'de>>(&self, call: &Call) -> Look<T> {
        self.call_with(call, &mut |_, _| {})
    }

    fn call_with<T: for<'de> Deserialize<'de>>(&self, call: &Call, line: &mut dyn FnMut(Stream, &str)) -> Look<T> {
        let sent = wire::send(&mut self.pipe.borrow_mut().to, call);
        sent.map_err(|error| Error::Become { user: self.user.clone(), reason: error.to_string() })?;
        self.answer(line)
    }

    fn answer<T: for<'de> Deserialize<'de>>(&self, line: &mut dyn FnMut(Stream, &str)) -> Look<T> {
        let lost = |reason: String| Error::Become { user: self.user.clone(), reason };
        let pipe = &mut *self.pipe.borrow_mut();
        loop {
            match wire::receive(&mut pipe.from) {
                Ok(Some(Frame::Message(Back::Line(stream, text)))) => line(stream, &text),
                Ok(Some(Frame::Message(Back::Answer(answer)))) => {
                    return serde_json::from_value(answer?).map_err(|error| lost(error.to_string()));
                }
                Ok(Some(Frame::Blob { .. })) => return Err(lost("its agent sent what was not asked for".into())),
                Ok(None) => return Err(lost("its agent has ended".into())),
                Err(error) => return Err(lost(error.to_string())),
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its standard input ends with the pipe, and so does it.
        let _ = self.pipe.get_mut().child.kill();
    }
}

/// A sudo that did not ask leaves the password for the agent to read: what comes before this is skipped.
fn greet(mut to: ChildStdin) -> Result<ChildStdin, String> {
    to.write_all(PREAMBLE).map_err(|error| error.to_string())?;
    Ok(to)
}

/// Reads sudo's standard error; yields the reason why it does not start the agent.
fn watch(err: impl Read + Send + 'static, method: &'static str, password_given: bool) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let mut buffer = [0; 1024];
        let mut err = err;
        while let Ok(n @ 1..) = err.read(&mut buffer) {
            text.push_str(&String::from_utf8_lossy(&buffer[..n]));
            if text.matches(PROMPT).count() > 1 {
                let _ = sender.send("sudo refuses the password given".into());
                return;
            }
            text.truncate(text.floor_char_boundary(4096));
        }
        let text = text.replace(PROMPT, "").trim().trim_start_matches(&format!("{method}: ")).to_owned();
        let asks = text.contains("a password is required") || text.contains("Authorization required");
        let reason = match asks && !password_given {
            true => format!(
                "{method} asks for a password and none was given (set ansible_become_password, or --ask-become-pass)"
            ),
            false => text,
        };
        let _ = sender.send(reason);
    });
    receiver
}

/// Waits for the child's preamble, or for the reason why there is none. Gives back its standard input if it has started; else
/// closes it, so that a sudo that asks again ends (it is root's, and may not be ours to kill).
fn started<T>(from: &mut (impl BufRead + Send), to: T, complaint: &mpsc::Receiver<String>) -> Result<T, String> {
    thread::scope(|scope| {
        let (sender, found) = mpsc::channel();
        scope.spawn(move || {
            let _ = sender.send(skip_to_preamble(from));
        });
        loop {
            if let Ok(result) = found.recv_timeout(std::time::Duration::from_millis(20)) {
                return match result {
                    true => Ok(to),
                    false => Err(complaint.recv().unwrap_or_else(|_| "sudo has ended".into())),
                };
            }
            if let Ok(reason) = complaint.try_recv() {
                drop(to);
                return Err(reason);
            }
        }
    })
}

/// Skips what startup files print, 64 KiB at the most.
fn skip_to_preamble(from: &mut impl Read) -> bool {
    let mut seen = Vec::new();
    let mut byte = [0];
    while seen.len() < 64 << 10 && matches!(from.read(&mut byte), Ok(1)) {
        seen.push(byte[0]);
        if seen.ends_with(PREAMBLE) {
            return true;
        }
    }
    false
}

impl Host for Proxy {
    fn stat(&self, path: &Path) -> Look<Option<Stat>> {
        self.call(&Call::Stat(path.into()))
    }
    fn straight(&self, path: &Path) -> Look<Option<Stat>> {
        self.call(&Call::Straight(path.into()))
    }
    fn access(&self, path: &Path) -> Look<u8> {
        self.call(&Call::Access(path.into()))
    }
    fn read(&self, path: &Path) -> Look<Option<Vec<u8>>> {
        self.call(&Call::Read(path.into()))
    }
    fn digest(&self, path: &Path, algorithm: Algorithm) -> Look<Option<String>> {
        self.call(&Call::Digest(path.into(), algorithm))
    }
    fn list(&self, path: &Path) -> Look<Vec<PathBuf>> {
        self.call(&Call::List(path.into()))
    }
    fn query(&self, command: &Command) -> Look<Output> {
        self.call(&Call::Query(command.into()))
    }
    fn sql(&self, at: &PgConn, query: &str, args: &[SqlArg]) -> Look<Rows> {
        self.call(&Call::Sql(at.into(), query.into(), plain_args(args)))
    }
    fn connects(&self, host: &str, port: u16) -> Look<bool> {
        self.call(&Call::Connects(host.into(), port))
    }
    fn blob(&self, sha256: &str) -> Look<Vec<u8>> {
        Err(Error::Failed(format!("no content was announced as {sha256}")))
    }
}

impl System for Proxy {
    fn write(&mut self, path: &Path, content: &Text, mode: Option<u32>, owner: &Owner) -> Look<()> {
        self.call(&Call::Write(path.into(), content.bytes.clone(), mode, owner.into()))
    }
    fn write_pieces(
        &mut self,
        path: &Path,
        content: &Blob,
        pieces: &mut Pieces<'_>,
        mode: Option<u32>,
        owner: &Owner,
    ) -> Look<()> {
        let call = Call::WritePieces(path.into(), content.clone(), mode, owner.into());
        let pipe = self.pipe.get_mut();
        let mut send = |frame: Vec<u8>| {
            let sent = pipe.to.write_all(&frame).and_then(|()| pipe.to.flush());
            sent.map_err(|error| Error::Become { user: self.user.clone(), reason: error.to_string() })
        };
        send(wire::encode(&call))?;
        let mut broken = None;
        loop {
            // Where no more comes, the empty piece makes the other side find that the hash is another.
            let piece = pieces().unwrap_or_else(|error| {
                broken = Some(error);
                Vec::new()
            });
            send(wire::encode_blob(&content.sha256, &piece))?;
            if piece.is_empty() {
                break;
            }
        }
        let written = self.answer(&mut |_, _| {});
        broken.map_or(written, Err)
    }
    fn set_mode(&mut self, path: &Path, mode: u32) -> Look<()> {
        self.call(&Call::SetMode(path.into(), mode))
    }
    fn set_owner(&mut self, path: &Path, owner: &Owner) -> Look<()> {
        self.call(&Call::SetOwner(path.into(), owner.into()))
    }
    fn make_dir(&mut self, path: &Path, mode: u32) -> Look<()> {
        self.call(&Call::MakeDir(path.into(), mode))
    }
    fn link(&mut self, path: &Path, target: &Path) -> Look<()> {
        self.call(&Call::Link(path.into(), target.into()))
    }
    fn remove(&mut self, path: &Path) -> Look<()> {
        self.call(&Call::Remove(path.into()))
    }
    fn rename(&mut self, from: &Path, to: &Path) -> Look<()> {
        self.call(&Call::Rename(from.into(), to.into()))
    }
    fn run(&mut self, command: &Command, line: &mut dyn FnMut(Stream, &str)) -> Look<Output> {
        self.call_with(&Call::Run(command.into()), line)
    }
    fn pause(&mut self, time: Duration) -> Look<()> {
        self.call(&Call::Pause(time))
    }
    fn limit(&mut self, time: Option<Duration>) -> Look<()> {
        self.call(&Call::Limit(time))
    }
    fn execute_sql(&mut self, at: &PgConn, statement: &str, args: &[SqlArg], autocommit: bool) -> Look<Rows> {
        self.call(&Call::ExecuteSql(at.into(), statement.into(), plain_args(args), autocommit))
    }
}

/// The child's side: serves calls from standard input until it ends; whatever runs then is ended too.
pub fn serve(input: impl Read + Send + 'static, mut output: impl Write) -> Result<(), wire::WireError> {
    output.write_all(PREAMBLE)?;
    output.flush()?;
    let cancel = Cancel::default();
    let mut system = Local::cancelled_by(cancel.clone());
    let (sender, calls) = mpsc::sync_channel(wire::BLOBS_AHEAD);
    thread::spawn(move || {
        let mut input = input;
        if !skip_to_preamble(&mut input) {
            return cancel.cancel();
        }
        while let Ok(Some(frame)) = wire::receive::<Call>(&mut input) {
            if sender.send(frame).is_err() {
                break;
            }
        }
        cancel.cancel();
    });
    while let Ok(frame) = calls.recv() {
        let answer = match frame {
            Frame::Message(Call::WritePieces(path, content, mode, owner)) => {
                let written = wire::pieces(
                    || calls.recv().map_err(|_| Error::Cancelled),
                    &content.sha256,
                    |_| lost(),
                    |pieces| system.write_pieces(&path, &content, pieces, mode, &owner.into()),
                );
                json(written)
            }
            Frame::Message(call) => answer(call, &mut system, &mut output),
            // What is left of content that was given up.
            Frame::Blob { .. } => continue,
        };
        wire::send(&mut output, &Back::Answer(answer))?;
    }
    Ok(())
}

/// A call in the middle of content.
fn lost() -> Error {
    Error::Failed("a call came instead of content".into())
}

fn json<T: Serialize>(look: Look<T>) -> Result<serde_json::Value, Error> {
    look.map(|answer| serde_json::to_value(answer).expect("answers have only text keys"))
}

fn answer(call: Call, system: &mut Local, output: &mut impl Write) -> Result<serde_json::Value, Error> {
    match call {
        Call::Stat(path) => json(system.stat(&path)),
        Call::Straight(path) => json(system.straight(&path)),
        Call::Read(path) => json(system.read(&path)),
        Call::Access(path) => json(system.access(&path)),
        Call::Digest(path, algorithm) => json(system.digest(&path, algorithm)),
        Call::List(path) => json(system.list(&path)),
        Call::Query(command) => json(system.query(&command.into())),
        Call::Sql(at, query, args) => json(system.sql(&at.into(), &query, &sql_args(args))),
        Call::Write(path, bytes, mode, owner) => json(system.write(&path, &Text::secret(bytes), mode, &owner.into())),
        Call::WritePieces(..) => Err(Error::Failed("content came without a place for it".into())),
        Call::SetMode(path, mode) => json(system.set_mode(&path, mode)),
        Call::SetOwner(path, owner) => json(system.set_owner(&path, &owner.into())),
        Call::MakeDir(path, mode) => json(system.make_dir(&path, mode)),
        Call::Link(path, target) => json(system.link(&path, &target)),
        Call::Remove(path) => json(system.remove(&path)),
        Call::Rename(from, to) => json(system.rename(&from, &to)),
        Call::Run(command) => json(system.run(&command.into(), &mut |stream, text| {
            // If the agent is gone, the next receive says so.
            let _ = wire::send(output, &Back::Line(stream, text.into()));
        })),
        Call::Connects(host, port) => json(system.connects(&host, port)),
        Call::Pause(time) => json(system.pause(time)),
        Call::Limit(time) => json(system.limit(time)),
        Call::ExecuteSql(at, statement, args, autocommit) => {
            json(system.execute_sql(&at.into(), &statement, &sql_args(args), autocommit))
        }
    }
}
