//! Finding, uploading and starting the agent. The agents here are shell scripts, which any target can run.

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trueup::connect::{Agent, Agents, ConnectError, Doors, Session, Way, open, start_agent};

use crate::login::{reach, target};
use crate::server::{Answer, Nature, Server, serve};

const PREAMBLE: &[u8] = b"\0HELLO1\0";

/// An agent that greets and then says back what it is told.
const ECHO: &str = "#!/bin/sh\nprintf '\\0HELLO1\\0'\nexec cat\n";

/// What every agent here is told before it greets.
const FIRST: &[u8] = b"first, ";

fn agents(text: &str) -> Agents {
    Agents { carried: vec![Agent::pack(std::env::consts::ARCH, text.as_bytes()).unwrap()], local: None }
}

/// The agent's directory below `tmp`, where the server runs its commands as we do.
fn agent_dir(tmp: &Path) -> PathBuf {
    tmp.join(format!("trueup-{}", rustix::process::getuid().as_raw()))
}

async fn start(server: &Server, agents: &Agents, tmp: Option<&Path>) -> Result<Session, ConnectError> {
    let connection = reach(target(server)).await.unwrap();
    start_agent(&connection, agents, PREAMBLE, tmp.map(|tmp| tmp.to_str().unwrap()), FIRST).await
}

async fn echo(mut session: Session) -> Vec<u8> {
    session.stdin.write_all(b"frame").await.unwrap();
    session.stdin.shutdown().await.unwrap();
    let mut heard = Vec::new();
    session.stdout.read_to_end(&mut heard).await.unwrap();
    heard
}

#[tokio::test]
async fn the_first_contact_costs_one_command_as_does_the_next() {
    let tmp = tempfile::tempdir().unwrap();
    let deep = tmp.path().join("not yet/there");
    let server = serve(Nature::shell(tmp.path(), "echo Welcome; printf 'no newline'")).await;
    let agents = agents(ECHO);
    let session = start(&server, &agents, Some(&deep)).await.unwrap();
    assert_eq!(echo(session).await, b"first, frame");
    assert_eq!(server.commands.lock().unwrap().len(), 1);

    let session = start(&server, &agents, Some(&deep)).await.unwrap();
    assert_eq!(echo(session).await, b"first, frame");
    assert_eq!(server.commands.lock().unwrap().len(), 2);

    let dir = agent_dir(&deep);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files, [dir.join(format!("agent-{}", &agents.carried[0].sha256[..16]))]);
    assert_eq!((mode(&dir), mode(&files[0])), (0o755, 0o755));
}

#[tokio::test]
async fn home_is_a_directory_too_and_the_agent_may_be_large() {
    let home = tempfile::tempdir().unwrap();
    let server = serve(Nature::shell(home.path(), "")).await;
    let padding = "# padding, so that it takes many packets\n".repeat(100_000);
    let session = start(&server, &agents(&format!("{ECHO}{padding}")), Some(Path::new("~/tmp"))).await.unwrap();
    assert_eq!(echo(session).await, b"first, frame");
    assert!(agent_dir(&home.path().join("tmp")).is_dir());
}

#[tokio::test]
async fn at_the_first_contact_the_agent_has_the_same_surroundings_as_later() {
    let tmp = tempfile::tempdir().unwrap();
    let server = serve(Nature::shell(tmp.path(), "umask 027")).await;
    let agents = agents("#!/bin/sh\nprintf '\\0HELLO1\\0'\numask\nenv | grep -v ^_= | sort\npwd\nexec cat\n");
    let first = echo(start(&server, &agents, Some(tmp.path())).await.unwrap()).await;
    assert!(first.starts_with(b"0027\n"), "{}", String::from_utf8_lossy(&first));
    let later = echo(start(&server, &agents, Some(tmp.path())).await.unwrap()).await;
    assert_eq!(String::from_utf8_lossy(&first), String::from_utf8_lossy(&later));
}

#[tokio::test]
async fn programs_may_be_older_or_read_further_than_they_should() {
    // Busybox's fills a buffer, and others do not know `-c`.
    let greedy = "#!/bin/sh\n[ $2 -gt 0 ] || exit 0\nexec dd bs=65536 count=1 2>/dev/null\n";
    let old = "#!/bin/sh\necho head: illegal option -- c >&2\nexit 1\n";
    for head in [greedy, old] {
        let tmp = tempfile::tempdir().unwrap();
        let bin = tmp.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("head"), head).unwrap();
        fs::set_permissions(bin.join("head"), fs::Permissions::from_mode(0o755)).unwrap();
        let server = serve(Nature::shell(tmp.path(), "PATH=$HOME/bin:$PATH; export PATH")).await;
        let session = start(&server, &agents(ECHO), Some(tmp.path())).await.unwrap();
        assert_eq!(echo(session).await, b"first, frame", "{head}");
    }
}

#[tokio::test]
async fn two_first_contacts_at_once() {
    let tmp = tempfile::tempdir().unwrap();
    let server = serve(Nature::shell(tmp.path(), "")).await;
    let agents = agents(ECHO);
    let (one, two) = tokio::join!(start(&server, &agents, Some(tmp.path())), start(&server, &agents, Some(tmp.path())));
    assert_eq!(echo(one.unwrap()).await, b"first, frame");
    assert_eq!(echo(two.unwrap()).await, b"first, frame");
}

#[tokio::test]
async fn directories_that_others_could_write_to_are_refused() {
    type Prepare = fn(&Path);
    let cases: [(&str, Prepare); 4] = [
        ("it is a symbolic link", |dir| symlink("/", dir).unwrap()),
        ("others may write to it", |dir| make_dir(dir, 0o777)),
        ("others may write to it", |dir| make_dir(dir, 0o775)),
        ("it is not a directory", |dir| fs::write(dir, "").unwrap()),
    ];
    for (reason, prepare) in cases {
        let tmp = tempfile::tempdir().unwrap();
        let dir = agent_dir(tmp.path());
        prepare(&dir);
        // Somebody has put a program there, under the right name.
        let planted = dir.join(format!("agent-{}", &agents(ECHO).carried[0].sha256[..16]));
        if reason.starts_with("others") {
            fs::write(&planted, ECHO).unwrap();
            fs::set_permissions(&planted, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let server = serve(Nature::shell(tmp.path(), "")).await;
        let error = start(&server, &agents(ECHO), Some(tmp.path())).await.err().unwrap();
        let expected = format!(
            "start the agent on 127.0.0.1:{}: {} is not safe to run programs from: {reason}",
            server.port,
            dir.display()
        );
        assert_eq!(error.to_string(), expected);
    }
}

fn make_dir(path: &Path, mode: u32) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn an_agent_that_ends_at_once_is_quoted() {
    let tmp = tempfile::tempdir().unwrap();
    let server = serve(Nature::shell(tmp.path(), "")).await;
    let dying = agents("#!/bin/sh\necho out of luck >&2\necho and time >&2\nexit 7\n");
    let error = start(&server, &dying, Some(tmp.path())).await.err().unwrap();
    let text = error.to_string();
    assert!(text.ends_with("it ended at once: exit status 7: out of luck; and time"), "{text}");
}

#[tokio::test]
async fn an_interrupted_upload_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    // The server's shell cannot write files this large: as good as a full disk.
    let server = serve(Nature::shell(tmp.path(), "ulimit -f 1")).await;
    let large = agents(&format!("{ECHO}{}", "#\n".repeat(1_000_000)));
    let error = start(&server, &large, Some(tmp.path())).await.err().unwrap();
    let dir = agent_dir(tmp.path());
    assert!(error.to_string().contains(&format!("write the agent to {}", dir.display())), "{error}");
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
}

/// What a host says, by script: there is no other way to be a full disk or another machine here.
fn hosts_that_cannot() -> Vec<(&'static str, Vec<Answer>)> {
    let answer = |stdout: &'static str, stderr, exit| Answer { stdout: Cow::Borrowed(stdout.as_bytes()), stderr, exit };
    let wanted = |stdout: &str, stderr, exit| {
        let stdout = format!("TRUEUP-BOOT:wanted Linux x86_64\n{stdout}");
        Answer { stdout: Cow::Owned(stdout.into_bytes()), stderr, exit }
    };
    let noise = Answer { stdout: Cow::Owned(b"motd ".repeat(20_000)), stderr: "", exit: 0 };
    vec![
        ("another architecture", vec![answer("TRUEUP-BOOT:missing Linux riscv64\n", "", 3)]),
        ("another system", vec![answer("TRUEUP-BOOT:missing FreeBSD amd64\n", "", 3)]),
        ("an agent that is not carried", vec![answer("TRUEUP-BOOT:missing Linux aarch64\n", "", 3)]),
        (
            "a full disk",
            vec![wanted("TRUEUP-BOOT:failed /tmp/trueup-7\n", "head: write error: No space left on device\n", 3)],
        ),
        (
            "a disk that cannot be written to",
            vec![answer("TRUEUP-BOOT:failed /tmp/trueup-7\n", "mkdir: /tmp/trueup-7: Read-only file system\n", 3)],
        ),
        ("a damaged upload", vec![wanted("TRUEUP-BOOT:short\n", "", 3)]),
        ("noexec, found by test -x", vec![wanted("TRUEUP-BOOT:noexec /tmp/trueup-7\n", "", 3)]),
        (
            "noexec, found by exec",
            vec![answer(
                "TRUEUP-BOOT:started /tmp/trueup-7\n",
                "sh: 1: exec: /tmp/trueup-7/agent-0: Permission denied\n",
                126,
            )],
        ),
        ("another user's directory", vec![answer("TRUEUP-BOOT:refused /tmp/trueup-7 it belongs to user 9\n", "", 3)]),
        ("no shell", vec![answer("This account is currently not available.\n", "", 1); 2]),
        ("a talkative shell", vec![noise]),
    ]
}

#[tokio::test]
async fn hosts_that_cannot_run_it() {
    let mut told = String::new();
    for (case, answers) in hosts_that_cannot() {
        let server = serve(Nature::script(answers)).await;
        let agents = Agents { carried: vec![Agent::pack("x86_64", b"abc").unwrap()], local: None };
        let error = start(&server, &agents, None).await.err().unwrap();
        let text = error.to_string().replace(&format!("127.0.0.1:{}", server.port), "HOST");
        told += &format!("{case}:\n  {text}\n");
        for hint in error.hints() {
            told += &format!("  hint: {hint}\n");
        }
    }
    insta::assert_snapshot!(told, @r#"
    another architecture:
      start the agent on HOST: it runs Linux riscv64; Trueup supports Linux on x86_64 and aarch64
    another system:
      start the agent on HOST: it runs FreeBSD amd64; Trueup supports Linux on x86_64 and aarch64
    an agent that is not carried:
      start the agent on HOST: this build of Trueup carries no agent for Linux aarch64
      hint: build with both targets installed (rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl) and without TRUEUP_AGENT=none
    a full disk:
      start the agent on HOST: no space left in /tmp/trueup-7: head: write error: No space left on device
      hint: set ansible_remote_tmp to a directory of the host that has space, allows programs, and that others cannot write to
    a disk that cannot be written to:
      start the agent on HOST: write the agent to /tmp/trueup-7: mkdir: /tmp/trueup-7: Read-only file system
      hint: set ansible_remote_tmp to a directory of the host that has space, allows programs, and that others cannot write to
    a damaged upload:
      start the agent on HOST: the agent arrived damaged
    noexec, found by test -x:
      start the agent on HOST: programs in /tmp/trueup-7 cannot be executed (is it mounted noexec?)
      hint: set ansible_remote_tmp to a directory of the host that has space, allows programs, and that others cannot write to
    noexec, found by exec:
      start the agent on HOST: programs in /tmp/trueup-7 cannot be executed (is it mounted noexec?): sh: 1: exec: /tmp/trueup-7/agent-0: Permission denied
      hint: set ansible_remote_tmp to a directory of the host that has space, allows programs, and that others cannot write to
    another user's directory:
      start the agent on HOST: /tmp/trueup-7 is not safe to run programs from: it belongs to user 9
      hint: set ansible_remote_tmp to a directory of the host that has space, allows programs, and that others cannot write to
    no shell:
      start the agent on HOST: the login shell ran no commands: exit status 1: This account is currently not available.
      hint: the user needs a login shell: see getent passwd on the host
    a talkative shell:
      start the agent on HOST: the login shell printed more than 65536 bytes before anything useful; it begins with "motd motd motd motd motd motd motd motd motd motd motd motd "
      hint: rc files should print only to terminals: [ -t 1 ] || return
    "#);
}

#[tokio::test]
async fn a_login_shell_may_not_know_the_words_that_spare_a_shell() {
    let stdout = Cow::Borrowed(b"\0HELLO1\0".as_slice());
    let answers = vec![
        Answer { stdout: Cow::Borrowed(b""), stderr: "fish: Unsupported use of '&&'.", exit: 127 },
        Answer { stdout, stderr: "", exit: 0 },
    ];
    let server = serve(Nature::script(answers)).await;
    start(&server, &agents(ECHO), None).await.unwrap();
    let commands = server.commands.lock().unwrap();
    assert!(commands[0].contains("&& exec /var/tmp/trueup-0/agent-"), "{}", commands[0]);
    assert!(commands[0].ends_with(&commands[1]) && commands[1].starts_with("exec sh -c '"), "{}", commands[1]);
}

#[tokio::test]
async fn a_build_without_agents_says_so() {
    let server = serve(Nature::script(vec![Answer {
        stdout: Cow::Borrowed(b"TRUEUP-BOOT:missing Linux x86_64\n"),
        stderr: "",
        exit: 3,
    }]))
    .await;
    let error = start(&server, &Agents::default(), None).await.err().unwrap();
    assert!(error.to_string().ends_with("this build of Trueup carries no agent for Linux x86_64"), "{error}");
}

#[tokio::test]
async fn a_directory_that_shells_stumble_over() {
    let server = serve(Nature::new()).await;
    let error = start(&server, &agents(ECHO), Some(Path::new("/it's"))).await.err().unwrap();
    assert!(error.to_string().contains("has a quote"), "{error}");
    assert!(server.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn on_this_machine_it_is_a_child() {
    let tmp = tempfile::tempdir().unwrap();
    let program = tmp.path().join("agent");
    let local = |text: &str| {
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Agents { carried: Vec::new(), local: Some(program.clone()) }
    };
    let connection = open(&Way::Local(Default::default()), &Doors::new(1)).await.unwrap();
    let session = start_agent(&connection, &local(ECHO), PREAMBLE, None, FIRST).await.unwrap();
    assert_eq!(echo(session).await, b"first, frame");

    let error = start_agent(&connection, &local("#!/bin/sh\nkill -9 $$\n"), PREAMBLE, None, FIRST).await.err().unwrap();
    assert_eq!(error.to_string(), "start the agent on this machine: it ended at once: signal KILL");
}

/// With `TRUEUP_AGENT=none` there is none to start; the full test run embeds one.
#[tokio::test]
async fn the_embedded_agent_greets() {
    let tmp = tempfile::tempdir().unwrap();
    let agents = Agents::embedded();
    if agents.for_arch(std::env::consts::ARCH).is_none() {
        return;
    }
    let server = serve(Nature::shell(tmp.path(), "echo Welcome")).await;
    let connection = reach(target(&server)).await.unwrap();
    let preamble = trueup_modules::wire::PREAMBLE;
    let session = start_agent(&connection, &agents, preamble, tmp.path().to_str(), b"").await.unwrap();
    // It ends when its stdin does, without a complaint.
    let output = session.output(b"", 1 << 16).await.unwrap();
    assert_eq!((output.exit.to_string().as_str(), &output.stderr[..]), ("exit status 0", &b""[..]));
    assert!(!output.stdout.is_empty());
}
