//! Further channels for long content, as the programs on a host that they are.

use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};

use trueup_modules::wire::PREAMBLE;

#[test]
fn a_lane_ends_with_its_agent_though_its_input_stays_open() {
    let name = format!("trueup-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let door = UnixListener::bind_addr(&address).expect("nobody else has this name");
    let mut lane = Command::new(trueup_tests::agent());
    let mut lane =
        lane.args(["lane", &name, "3"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let (mut agent, _) = door.accept().expect("it comes in");
    let mut number = [0];
    agent.read_exact(&mut number).expect("it says its number");
    assert_eq!(number, [3]);
    let mut said = vec![0; PREAMBLE.len()];
    lane.stdout.as_mut().expect("a pipe").read_exact(&mut said).expect("it says that it is there");
    assert_eq!(said, PREAMBLE);
    // `wait` would close its input.
    let input = lane.stdin.take();
    drop(agent);
    assert!(lane.wait().expect("it ends").success());
    drop(input);
}
