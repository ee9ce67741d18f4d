//! Programs on this machine.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Cancel;
use crate::host::{Command, Error, Look, OWN_PROGRAM, Output};
use crate::system::Stream;

/// Where programs are looked up; the agent's own `PATH` comes first.
const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How often a running program looks for a cancellation.
const TICK: Duration = Duration::from_millis(50);

/// What is kept of each stream: 16 MiB. The rest is read and dropped, so that the program does not block.
const MAX_OUTPUT: usize = 16 << 20;

/// Runs a program in a process group of its own. If it is cancelled, or killed by somebody else, the whole group is ended: a killed
/// `pg_basebackup` would otherwise leave its WAL receiver running.
pub(super) fn run(command: &Command, cancel: &Cancel, line: &mut dyn FnMut(Stream, &str)) -> Look<Output> {
    let began = now();
    let mut child = spawn(command)?;
    let (sender, chunks) = mpsc::channel();
    let readers = [
        child.stdout.take().map(|from| pump(from, Stream::Out, sender.clone())),
        child.stderr.take().map(|from| pump(from, Stream::Err, sender.clone())),
    ];
    drop(sender);
    let writer = feed(&mut child, command);
    let (mut out, mut err) = (Lines::default(), Lines::default());
    let mut exited: Option<Instant> = None;
    loop {
        if cancel.is_cancelled() {
            end_group(&mut child);
            return Err(Error::Cancelled);
        }
        match chunks.recv_timeout(TICK) {
            Ok((Stream::Out, bytes)) => out.push(&bytes, &mut |text| line(Stream::Out, text)),
            Ok((Stream::Err, bytes)) => err.push(&bytes, &mut |text| line(Stream::Err, text)),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                // What the program left behind, such as a daemon, may hold the pipes open for ever.
                let gone = matches!(child.try_wait(), Ok(Some(_)));
                if gone && exited.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(2) {
                    break;
                }
            }
        }
    }
    let finished = exited.is_none();
    if finished {
        readers.into_iter().flatten().chain(writer).for_each(|thread| drop(thread.join()));
    }
    let status = child.wait().map_err(|error| failed(command, &error))?;
    if status.signal().is_some() {
        end_group(&mut child);
    }
    let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(Output { status, stdout: out.finish(), stderr: err.finish(), time: Some([began, now()]) })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn spawn(command: &Command) -> Look<Child> {
    let path = match std::env::var("PATH") {
        Ok(own) if !own.is_empty() => format!("{own}:{USUAL}"),
        _ => USUAL.into(),
    };
    // Its own program is not looked up.
    let program = match command.program.as_str() {
        OWN_PROGRAM => std::env::current_exe().map_err(|error| failed(command, &error))?,
        named => named.into(),
    };
    let mut process = process::Command::new(program);
    process.args(&command.args).env("PATH", path).env("LC_ALL", "C.UTF-8");
    for (name, value) in &command.env {
        process.env(name, value.expose());
    }
    process.current_dir(command.cwd.as_deref().unwrap_or("/".as_ref()));
    process.stdin(if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    process.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    process.spawn().map_err(|error| failed(command, &error))
}

fn failed(command: &Command, error: &io::Error) -> Error {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "there is no such program".into(),
        _ => error.to_string(),
    };
    Error::Program { program: command.program.clone(), reason }
}

fn feed(child: &mut Child, command: &Command) -> Option<thread::JoinHandle<()>> {
    let (mut pipe, text) = (child.stdin.take()?, command.stdin.as_ref()?.expose().to_owned());
    // A program need not read what it is given; that is its own affair.
    Some(thread::spawn(move || drop(pipe.write_all(text.as_bytes()))))
}

fn pump(mut from: impl Read + Send + 'static, stream: Stream, to: Sender<(Stream, Vec<u8>)>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if to.send((stream, buffer[..n].to_vec())).is_err() {
                break;
            }
        }
    })
}

/// SIGTERM, and SIGKILL for whatever is left after five seconds.
fn end_group(child: &mut Child) {
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    let _ = kill_process_group(group, Signal::TERM);
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_secs(5) {
        // The group is gone when no process of it can be signalled.
        let _ = child.try_wait();
        if rustix::process::test_kill_process_group(group).is_err() {
            return;
        }
        thread::sleep(TICK);
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

/// Collects a stream and cuts it into lines, at `\n` and at the `\r` of progress displays.
#[derive(Default)]
struct Lines {
    kept: Vec<u8>,
    line: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], line: &mut dyn FnMut(&str)) {
        let room = MAX_OUTPUT.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        for byte in bytes {
            match byte {
                b'\n' | b'\r' if self.line.is_empty() => {}
                b'\n' | b'\r' => {
                    line(&String::from_utf8_lossy(&self.line));
                    self.line.clear();
                }
                _ if self.line.len() < 1 << 16 => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn finish(self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Input;

    fn sh(script: &str) -> Command {
        Command::new("sh", ["-c", script])
    }

    #[test]
    fn output_status_and_lines() {
        let mut lines = Vec::new();
        let command =
            Command { stdin: Some(Input::Plain("in".into())), ..sh("cat; printf ' a\\rb\\n'; echo no >&2; exit 3") };
        let output =
            run(&command, &Cancel::default(), &mut |stream, text| lines.push((stream, text.to_owned()))).unwrap();
        let [began, ended] = output.time.unwrap();
        assert!(0 < began && began < ended);
        assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (3, "in a\rb\n", "no\n"));
        lines.sort_by_key(|(stream, _)| *stream == Stream::Err);
        let texts: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["in a", "b", "no"]);
    }

    #[test]
    fn cancelling_ends_the_whole_group() {
        let cancel = Cancel::default();
        let from_line = cancel.clone();
        let mut child = None;
        let command = sh("sleep 1000 & echo $!; wait");
        let result = run(&command, &cancel, &mut |_, text| {
            child = text.parse::<i32>().ok().and_then(Pid::from_raw);
            from_line.cancel();
        });
        assert_eq!(result, Err(Error::Cancelled));
        let state =
            std::fs::read_to_string(format!("/proc/{}/stat", child.unwrap().as_raw_nonzero())).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "the grandchild is still there: {state}");
    }

    #[test]
    fn a_program_that_is_killed_takes_its_group_with_it() {
        let mut child = None;
        // The grandchild holds the pipes.
        let command = sh("sleep 1000 & echo $!; kill -9 $$");
        let output = run(&command, &Cancel::default(), &mut |_, text| child = text.parse::<i32>().ok());
        assert_eq!(output.unwrap().status, 137);
        let state = std::fs::read_to_string(format!("/proc/{}/stat", child.unwrap())).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "the grandchild is still there: {state}");
    }

    #[test]
    fn what_takes_too_long_is_ended_though_it_prints_all_the_time() {
        let cancel = Cancel::default();
        cancel.limit(Some(Duration::from_millis(100)));
        assert_eq!(run(&sh("while :; do echo x; done"), &cancel, &mut |_, _| {}), Err(Error::Cancelled));
        cancel.limit(None);
        assert!(run(&sh("true"), &cancel, &mut |_, _| {}).is_ok());
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&Command::new("no-such-program", [""; 0]), &Cancel::default(), &mut |_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), "cannot run no-such-program: there is no such program");
    }
}
