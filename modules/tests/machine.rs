//! The modules for files on this machine: what is planned here is what the system calls then do.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::{fs, thread};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use trueup_modules::agent::{self, Machine};
use trueup_modules::edit::{Blob, Diff, Owner};
use trueup_modules::host::{Error, Host};
use trueup_modules::local::Local;
use trueup_modules::system::System;
use trueup_modules::wire::{self, Batch, Become, Frame, Mode, Outcome, Reply, Request, Task};
use trueup_modules::{builtin, interpret};

/// Plans and applies; planning again must find nothing. Returns what changed.
fn apply(module: &str, params: Value) -> Result<Vec<Diff>, Error> {
    let planner = builtin::find(module)
        .expect("a module")
        .load(params)
        .map_err(|problem| Error::Param { name: problem.param, reason: problem.reason })?;
    let mut machine = Local::default();
    let plan = planner.plan(&machine)?;
    let applied = interpret::apply(&plan, &mut machine, &mut |_| {}).map_err(|failure| failure.error)?;
    assert_eq!(applied.diffs, plan.diffs());
    assert!(planner.plan(&machine)?.is_empty() || !planner.converges());
    Ok(applied.diffs)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

#[test]
fn a_file_is_written_edited_backed_up_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("conf");
    apply("copy", json!({"dest": path, "content": "a=1\nb=2", "mode": "0640"})).unwrap();
    apply("lineinfile", json!({"path": path, "regexp": "^a=", "line": "a=3", "backup": true})).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a=3\nb=2");
    assert_eq!(mode(&path), 0o640);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the file and its backup, no leftovers");
    apply("file", json!({"path": path, "state": "absent"})).unwrap();
    assert!(!path.exists());
}

#[test]
fn the_hash_of_what_was_put_in_place_holds_until_somebody_touches_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long");
    let content = vec![b'x'; 20 << 20];
    let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let blob = Blob { sha256: hash(&content), size: content.len() as u64, durable: true };
    let mut machine = Local::default();
    let mut pieces = content.chunks(1 << 20).map(<[u8]>::to_vec);
    let mut next = || Ok(pieces.next().unwrap_or_default());
    machine.write_pieces(&path, &blob, &mut next, None, &Owner::default()).unwrap();
    assert_eq!(machine.sha256(&path).unwrap().as_ref(), Some(&blob.sha256));
    assert_eq!(fs::read(&path).unwrap(), content);
    let other = vec![b'y'; content.len()];
    fs::write(&path, &other).unwrap();
    assert_eq!(machine.sha256(&path).unwrap(), Some(hash(&other)));
}

#[test]
fn a_secret_is_for_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let diffs = apply("copy", json!({"dest": path, "content": {"$secret": "canary"}})).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert!(!format!("{diffs:?}").contains("canary"));
}

#[test]
fn directories_and_links() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b");
    apply("file", json!({"path": deep, "state": "directory", "mode": "u=rwx,go="})).unwrap();
    assert_eq!((mode(&deep), mode(&dir.path().join("a"))), (0o700, 0o700));
    let link = dir.path().join("link");
    apply("file", json!({"path": link, "src": "a", "state": "link"})).unwrap();
    apply("file", json!({"path": link, "src": "a/b", "state": "link"})).unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("a/b"));
    apply("copy", json!({"dest": link.join("file"), "content": "x"})).unwrap();
    assert!(deep.join("file").is_file());
    let twin = dir.path().join("twin");
    apply("file", json!({"path": twin, "src": deep.join("file"), "state": "hard"})).unwrap();
    apply("file", json!({"path": deep, "state": "directory", "recurse": true, "mode": "u=rwX,go=rX"})).unwrap();
    assert_eq!((mode(&deep), mode(&twin)), (0o755, 0o644));
}

#[test]
fn no_link_is_followed_out_of_an_open_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (open, target) = (dir.path().join("open"), dir.path().join("target"));
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(&target, "precious").unwrap();
    symlink(&target, open.join("link")).unwrap();
    let error = apply("copy", json!({"dest": open.join("link"), "content": "x", "follow": true})).unwrap_err();
    assert!(error.to_string().ends_with("is a symbolic link that another user may have put there"), "{error}");
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn what_is_refused_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("conf");
    fs::write(&path, "good\n").unwrap();
    let with = |content: &str| json!({"dest": path, "content": content, "validate": "grep -q good '%s'"});
    apply("copy", with("bad\n")).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "good\n");
    apply("copy", with("as good\n")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "as good\n");
}

#[test]
fn a_command_reads_and_prints() {
    let planner = builtin::find("command").unwrap();
    let planner = planner.load(json!({"argv": ["cat", "-"], "stdin": "hello", "chdir": "/"})).unwrap();
    let mut machine = Local::default();
    let plan = planner.plan(&machine).unwrap();
    let applied = interpret::apply(&plan, &mut machine, &mut |_| {}).unwrap();
    assert_eq!(planner.report(&applied)["stdout"], "hello");
}

#[test]
fn a_port_is_waited_for() {
    let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = reserved.local_addr().unwrap().port();
    assert_eq!(apply("wait_for", json!({"port": port})), Ok(Vec::new()));
    drop(reserved);
    let error = apply("wait_for", json!({"port": port, "timeout": 0})).unwrap_err();
    assert_eq!(error.to_string(), format!("waited 0 s in vain for 127.0.0.1:{port} to accept connections"));
    let (opened, done) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let listener = TcpListener::bind(("127.0.0.1", port));
        // Open until the test is over.
        let _ = done.recv();
        drop(listener);
    });
    assert_eq!(apply("wait_for", json!({"port": port, "timeout": 60})), Ok(Vec::new()));
    drop::<std::sync::mpsc::Sender<()>>(opened);
}

/// This machine, for an agent inside the test.
struct Here(Local);

impl Machine for Here {
    fn system(&mut self, _: Option<&Become>) -> Result<&mut dyn System, Error> {
        Ok(&mut self.0)
    }
}

/// To be applied by an agent.
fn one_task(module: &str, params: Value) -> Request {
    let task = Task {
        id: 0,
        name: "One".into(),
        module: module.into(),
        params,
        become_: None,
        environment: Default::default(),
        check: false,
        timeout: None,
        job: None,
        secrets: Default::default(),
    };
    Request::Batch(Batch { id: 1, mode: Mode::Apply, due: vec![1], tasks: vec![task] })
}

/// The controller may be gone before the agent has begun what it was sent.
#[test]
fn whoever_hangs_up_ends_what_has_not_begun_yet() {
    let batch = one_task("command", json!({"argv": ["sleep", "987654"]}));
    let mut input = Vec::new();
    wire::send(&mut input, &batch).unwrap();
    let local = Local::default();
    let cancel = local.cancel.clone();
    let mut output = Vec::new();
    agent::serve(Here(local), "here".into(), &cancel, std::io::Cursor::new(input), &mut output).unwrap();
    assert!(String::from_utf8_lossy(&output).contains("Cancelled"), "{}", String::from_utf8_lossy(&output));
}

/// Has an agent put content in place whose begin comes on its own channel and the rest on lanes, and yields how that ended.
fn copied_by_lanes(dest: &Path, content: &[u8], begin: &[u8], pieces: &[(usize, &[u8])]) -> Outcome {
    let (mut controller, host) = UnixStream::pair().unwrap();
    let output = host.try_clone().unwrap();
    let serving = thread::spawn(move || {
        let local = Local::default();
        let cancel = local.cancel.clone();
        agent::serve(Here(local), "here".into(), &cancel, host, output)
    });
    let sha256: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let params = json!({"dest": dest, "src": "/far/away", "sha256": sha256, "size": content.len(), "name": "away"});
    wire::send(&mut controller, &one_task("copy", params)).unwrap();
    controller.read_exact(&mut [0; wire::PREAMBLE.len()]).unwrap();
    let mut open = BTreeMap::new();
    let outcome = loop {
        match wire::receive::<Reply>(&mut controller).unwrap().unwrap() {
            Frame::Message(Reply::Fetch { lanes, .. }) => {
                controller.write_all(&wire::encode_blob(&sha256, begin)).unwrap();
                for number in [7, 0, 2] {
                    let mut lane = UnixStream::connect_addr(&SocketAddr::from_abstract_name(&lanes).unwrap()).unwrap();
                    lane.write_all(&[number]).unwrap();
                    open.insert(usize::from(number), lane);
                }
                wire::send(&mut controller, &Request::Spread { lanes: vec![2, 7, 0] }).unwrap();
                for (number, piece) in pieces {
                    open[number].try_clone().unwrap().write_all(&wire::encode_blob(&sha256, piece)).unwrap();
                }
                // What is not there by now never comes.
                open.clear();
            }
            Frame::Message(Reply::Task { outcome, .. }) => break *outcome,
            _ => {}
        }
    };
    drop(controller);
    serving.join().unwrap().unwrap();
    outcome
}

#[test]
fn content_comes_by_lanes_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("long");
    // In the order of the turns it is whole, whatever lane is the first to have something.
    let pieces: [(usize, &[u8]); 5] = [(0, b"three,"), (2, b"one,"), (7, b"two,"), (2, b"four"), (7, b"")];
    let outcome = copied_by_lanes(&dest, b"zero,one,two,three,four", b"zero,", &pieces);
    assert!(matches!(outcome, Outcome::Changed(_)), "{outcome:?}");
    assert_eq!(fs::read(&dest).unwrap(), b"zero,one,two,three,four");

    // One lane breaks: the file stays as it was, and nothing is left beside it.
    let outcome = copied_by_lanes(&dest, b"one,two,other", b"one,", &[(2, b"two,")]);
    let Outcome::Failed(error, _) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains("content was lost on its way"), "{error}");
    assert_eq!(fs::read(&dest).unwrap(), b"zero,one,two,three,four");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
