//! Reaching a server, verifying it, logging in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::MethodKind;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use trueup::connect::{ConnectError, Connection, Doors, HostKeys, Identity, Target, Way, open};
use trueup_modules::secret::Secret;

use crate::server::{Nature, Run, Server, key, serve};

/// A target that takes any host key: for tests that are about something else.
pub(crate) fn target(server: &Server) -> Target {
    Target {
        port: server.port,
        host_keys: HostKeys::Off,
        connect_timeout: Duration::from_secs(20),
        password: Some(Secret::new("open sesame")),
        ..Target::new("127.0.0.1", "ada")
    }
}

pub(crate) async fn reach(target: Target) -> Result<Connection, ConnectError> {
    open(&Way::Ssh(Arc::new(target)), &Doors::new(50)).await
}

fn write_key(dir: &Path, name: &str, key: &PrivateKey) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    path
}

fn asked_for(path: PathBuf) -> Identity {
    Identity { path, asked_for: true }
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

#[tokio::test]
async fn every_method_logs_in() {
    let dir = tempfile::tempdir().unwrap();
    let good = key();
    let file = write_key(dir.path(), "id", &good);
    let locked = good.encrypt(&mut russh::keys::key::safe_rng(), "abracadabra").unwrap();
    let locked = write_key(dir.path(), "locked", &locked);
    let text = Secret::new(good.to_openssh(LineEnding::LF).unwrap().to_string());

    type Change = Box<dyn Fn(Target) -> Target>;
    let cases: Vec<(&str, MethodKind, Change)> = vec![
        ("password", MethodKind::Password, Box::new(|t| t)),
        ("password by prompts", MethodKind::KeyboardInteractive, Box::new(|t| t)),
        (
            "key file",
            MethodKind::PublicKey,
            Box::new(move |t| Target { identity_files: vec![asked_for(file.clone())], ..t }),
        ),
        (
            "locked key file",
            MethodKind::PublicKey,
            Box::new(move |t| Target {
                identity_files: vec![asked_for(locked.clone())],
                passphrase: Some(Secret::new("abracadabra")),
                ..t
            }),
        ),
        ("key text", MethodKind::PublicKey, Box::new(move |t| Target { private_key: Some(text.clone()), ..t })),
    ];
    for (name, method, change) in cases {
        let nature = Nature { methods: vec![method], key: Some(good.public_key().clone()), ..Nature::new() };
        let server = serve(nature).await;
        let connection = reach(change(target(&server))).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(connection.negotiated(), "curve25519-sha256, aes256-gcm@openssh.com, ssh-ed25519", "{name}");
    }
}

#[tokio::test]
async fn a_refusal_lists_what_was_tried() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = key();
    let locked = wrong.encrypt(&mut russh::keys::key::safe_rng(), "abracadabra").unwrap();
    let identity_files = vec![
        asked_for(write_key(dir.path(), "wrong", &wrong)),
        asked_for(write_key(dir.path(), "locked", &locked)),
        asked_for(dir.path().join("missing")),
        Identity { path: dir.path().join("id_ed25519"), asked_for: false },
    ];
    let nature = Nature { methods: vec![MethodKind::PublicKey, MethodKind::Password], ..Nature::new() };
    let server = serve(nature).await;
    let target = Target { password: Some(Secret::new("hunter2")), identity_files, ..target(&server) };
    let error = reach(target).await.err().unwrap();
    let text = error.to_string().replace(&dir.path().display().to_string(), "DIR");
    let text = text.replace(&server.port.to_string(), "PORT").replace(&fingerprint(wrong.public_key()), "SHA256:…");
    insta::assert_snapshot!(text, @"log in to 127.0.0.1:PORT as ada: key DIR/wrong (SHA256:…) refused, key DIR/locked needs a passphrase, key DIR/missing cannot be read: No such file or directory (os error 2), password refused; the server accepts publickey");
    insta::assert_debug_snapshot!(error.hints(), @r#"
    [
        "give ansible_ssh_passphrase, or add the key to an ssh-agent",
    ]
    "#);
}

#[tokio::test]
async fn nothing_to_try_says_what_the_server_accepts() {
    let server = serve(Nature::new()).await;
    let error = reach(Target { password: None, ..target(&server) }).await.err().unwrap();
    let text = error.to_string().replace(&server.port.to_string(), "PORT");
    insta::assert_snapshot!(text, @"log in to 127.0.0.1:PORT as ada: nothing to try: no key, no ssh-agent, no password; the server accepts publickey, password");
}

#[tokio::test]
async fn too_many_keys_make_the_server_hang_up() {
    let dir = tempfile::tempdir().unwrap();
    let identity_files = (0..4).map(|n| asked_for(write_key(dir.path(), &n.to_string(), &key()))).collect();
    let server = serve(Nature { max_attempts: 2, ..Nature::new() }).await;
    let error = reach(Target { identity_files, ..target(&server) }).await.err().unwrap();
    assert!(error.to_string().contains("the server hung up"), "{error}");
}

#[tokio::test]
async fn an_unknown_host_key_is_refused_with_its_fingerprint() {
    let server = serve(Nature::new()).await;
    let error = reach(Target { host_keys: HostKeys::Strict, ..target(&server) }).await.err().unwrap();
    let text = error.to_string().replace(&server.port.to_string(), "PORT");
    let text = text.replace(&fingerprint(&server.host_key), "SHA256:…");
    insta::assert_snapshot!(text, @"verify the host key of 127.0.0.1:PORT: it is not known; the server shows ssh-ed25519 SHA256:…");
    insta::assert_debug_snapshot!(error.hints(), @r#"
    [
        "compare the fingerprint with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then run again with --accept-new-host-keys",
    ]
    "#);
}

#[tokio::test]
async fn a_new_host_key_is_remembered_and_then_holds() {
    let dir = tempfile::tempdir().unwrap();
    let known_hosts = vec![dir.path().join("ssh/known_hosts")];
    let server = serve(Nature::new()).await;
    let accepting = Target { host_keys: HostKeys::AcceptNew, known_hosts, ..target(&server) };
    reach(accepting.clone()).await.unwrap();
    let strict = Target { host_keys: HostKeys::Strict, ..accepting };
    reach(strict).await.unwrap();
}

#[tokio::test]
async fn a_changed_host_key_is_refused_even_when_new_ones_are_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    let server = serve(Nature::new()).await;
    let old = key();
    let line = old.public_key().to_openssh().unwrap();
    fs::write(&path, format!("# mine\n[127.0.0.1]:{} {line}\n", server.port)).unwrap();
    for host_keys in [HostKeys::Strict, HostKeys::AcceptNew] {
        let target = Target { host_keys, known_hosts: vec![path.clone()], ..target(&server) };
        let error = reach(target).await.err().unwrap();
        let plain = |text: String| {
            text.replace(&dir.path().display().to_string(), "DIR")
                .replace(&server.port.to_string(), "PORT")
                .replace(&fingerprint(&server.host_key), "SHA256:new")
                .replace(&fingerprint(old.public_key()), "SHA256:old")
        };
        insta::allow_duplicates! {
            insta::assert_snapshot!(plain(error.to_string()), @"verify the host key of 127.0.0.1:PORT: it has CHANGED: DIR/known_hosts:2 has ssh-ed25519 SHA256:old, the server shows ssh-ed25519 SHA256:new. Somebody may be listening in, or the host was set up anew");
            insta::assert_snapshot!(plain(error.hints().join("\n")), @"if the host was set up anew: ssh-keygen -f 'DIR/known_hosts' -R '[127.0.0.1]:PORT', then run again with --accept-new-host-keys");
        }
    }
}

#[tokio::test]
async fn a_host_certificate_of_a_trusted_authority_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, host_key) = (key(), key());
    let mut builder = Builder::new_with_random_nonce(
        &mut russh::keys::key::safe_rng(),
        host_key.public_key().clone(),
        0,
        u64::from(u32::MAX),
    )
    .unwrap();
    builder.cert_type(CertType::Host).unwrap();
    builder.valid_principal("127.0.0.1").unwrap();
    let certificate = Some(builder.sign(&authority).unwrap());
    let server = serve(Nature { host_key, certificate, ..Nature::new() }).await;
    for (trusted, expected) in [(&authority, true), (&key(), false)] {
        let path = dir.path().join("known_hosts");
        let line = trusted.public_key().to_openssh().unwrap();
        fs::write(&path, format!("@cert-authority [127.0.0.1]:{} {line}\n", server.port)).unwrap();
        let strict = Target { host_keys: HostKeys::Strict, known_hosts: vec![path], ..target(&server) };
        let outcome = reach(strict).await.map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(outcome.is_ok(), expected, "{outcome:?}");
    }
}

#[tokio::test]
async fn dropped_connections_are_tried_again() {
    let server = serve(Nature { drops: 2, ..Nature::new() }).await;
    reach(target(&server)).await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 3);

    let server = serve(Nature { drops: usize::MAX, ..Nature::new() }).await;
    let error = reach(Target { retries: 1, ..target(&server) }).await.err().unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
    assert!(error.to_string().ends_with("before the key exchange was done (2 tries)"), "{error}");
}

#[tokio::test]
async fn many_come_in_through_a_door_that_lets_in_few() {
    let server = serve(Nature { startups: 3, ..Nature::new() }).await;
    let (doors, mut logins) = (Doors::new(50), tokio::task::JoinSet::new());
    for _ in 0..40 {
        // One that is alone would be given up at once.
        let (way, doors) = (Way::Ssh(Arc::new(Target { retries: 0, ..target(&server) })), doors.clone());
        logins.spawn(async move { open(&way, &doors).await.map(|_| ()) });
    }
    for login in logins.join_all().await {
        login.unwrap();
    }
    let turned_away = server.connections.load(Ordering::SeqCst) - 40;
    assert!((1..80).contains(&turned_away), "{turned_away}");
}

#[tokio::test]
async fn through_jump_hosts() {
    let last = serve(Nature::new()).await;
    let second = serve(Nature::new()).await;
    let first = serve(Nature::new()).await;
    let jumps = vec![target(&first), target(&second)];
    let connection = reach(Target { jumps: jumps.clone(), ..target(&last) }).await.unwrap();
    assert!(connection.negotiated().ends_with("through 2 jump host(s)"), "{}", connection.negotiated());
    for server in [&first, &second, &last] {
        assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    }

    let wrong = Target { password: Some(Secret::new("hunter2")), ..target(&second) };
    let error = reach(Target { jumps: vec![target(&first), wrong], ..target(&last) }).await.err().unwrap();
    let text = error.to_string().replace(&second.port.to_string(), "PORT");
    insta::assert_snapshot!(text, @"go through 127.0.0.1:PORT: log in to 127.0.0.1:PORT as ada: password refused; the server accepts publickey");
}

#[tokio::test]
async fn through_a_command() {
    let server = serve(Nature::new()).await;
    let through = |command: String| {
        reach(Target { proxy_command: Some(command), retries: 0, host: "nowhere.invalid".into(), ..target(&server) })
    };
    let relay = format!("exec 3<>/dev/tcp/127.0.0.1/{}; cat <&3 & cat >&3", server.port);
    through(format!("bash -c '{relay}'")).await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);

    let table = [("echo no way through >&2", "no way through"), ("true", "it ended before the key exchange was done")];
    for (command, reason) in table {
        let error = through(command.into()).await.err().unwrap().to_string();
        let wanted = format!("connect to nowhere.invalid:{} through `{command}`: {reason}", server.port);
        assert_eq!(error, wanted);
    }
}

#[tokio::test]
async fn errors_of_the_network_are_told_apart() {
    let free = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let refused = reach(Target { port: free, ..Target::new("127.0.0.1", "ada") }).await.err().unwrap();
    assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");

    let unresolved = reach(Target::new("no.such.host.invalid", "ada")).await.err().unwrap();
    assert!(matches!(unresolved, ConnectError::Resolve { .. }), "{unresolved}");

    // Takes connections and never speaks.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = mute.local_addr().unwrap().port();
    let limit = Duration::from_millis(50);
    let silent = Target { port, connect_timeout: limit, ..Target::new("127.0.0.1", "ada") };
    let silent = reach(silent).await.err().unwrap();
    assert_eq!(silent.to_string(), format!("exchange keys with 127.0.0.1:{port}: no answer within 0.05 s"));
}

#[tokio::test]
async fn a_command_is_three_streams_and_an_exit() {
    let home = tempfile::tempdir().unwrap();
    let server = serve(Nature::shell(home.path(), "")).await;
    let connection = reach(target(&server)).await.unwrap();
    let run = async |command: &str, input: &[u8]| {
        connection.exec(command).await.unwrap().output(input, 1 << 20).await.unwrap()
    };
    let output = run("cat; echo oops >&2; exit 3", b"hello").await;
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"hello"[..], &b"oops\n"[..]));
    assert_eq!(output.exit.to_string(), "exit status 3");

    // More than any buffer on the way, and the command ends as soon as it has written it.
    let output =
        run("head -c 20000000 /dev/zero | tee size >/dev/null; wc -c <size; cat size | head -c 1000000", b"").await;
    assert_eq!(output.stdout.len(), 1_000_009);

    // Nobody reads stderr, and stdout still comes.
    let mut session = connection.exec("head -c 3000000 /dev/zero >&2; echo done").await.unwrap();
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut session.stdout, &mut text).await.unwrap();
    assert_eq!(text, "done\n");
}

#[tokio::test]
async fn a_server_may_refuse_commands() {
    let server = serve(Nature { run: Run::Refuse, ..Nature::new() }).await;
    let connection = reach(target(&server)).await.unwrap();
    let error = connection.exec("true").await.unwrap().output(b"", 100).await.err().unwrap();
    assert!(error.to_string().ends_with("the server does not allow commands"), "{error}");
}

#[tokio::test]
async fn keys_are_exchanged_again_in_the_middle_of_a_transfer() {
    let home = tempfile::tempdir().unwrap();
    let server = serve(Nature { rekey_after: 1 << 20, ..Nature::shell(home.path(), "") }).await;
    let connection = reach(target(&server)).await.unwrap();
    let content: Vec<u8> = (0..8_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let up = connection.exec("cat >file; wc -c <file").await.unwrap().output(&content, 100).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&up.stdout).trim(), "8000000");
    let down = connection.exec("cat file").await.unwrap().output(b"", 1 << 30).await.unwrap();
    assert!(down.stdout == content);
}

#[tokio::test]
async fn a_lost_connection_ends_the_streams() {
    let home = tempfile::tempdir().unwrap();
    let server = serve(Nature::shell(home.path(), "")).await;
    let cable = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = cable.local_addr().unwrap().port();
    let (cut, mut is_cut) = tokio::sync::oneshot::channel::<()>();
    let far = server.port;
    tokio::spawn(async move {
        let (mut near, _) = cable.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(("127.0.0.1", far)).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            _ = &mut is_cut => {}
        }
    });
    let connection = reach(Target { port, ..target(&server) }).await.unwrap();
    let mut session = connection.exec("echo started; exec cat").await.unwrap();
    let mut started = [0; 8];
    tokio::io::AsyncReadExt::read_exact(&mut session.stdout, &mut started).await.unwrap();
    cut.send(()).unwrap();
    let error = session.output(b"", 100).await.err().unwrap();
    assert_eq!(error.to_string(), format!("hear from 127.0.0.1:{port}: the connection was lost"));
    let error = connection.exec("true").await.err().unwrap();
    assert!(matches!(error, ConnectError::Lost { .. }), "{error}");
}

#[tokio::test]
async fn a_connection_can_be_had_once_more() {
    let server = serve(Nature::new()).await;
    let first = reach(target(&server)).await.unwrap();
    let second = first.another().await.expect("no key is to be touched").unwrap();
    assert_eq!(second.at(), first.at());
    assert_eq!(server.connections.load(Ordering::Relaxed), 2);
}
