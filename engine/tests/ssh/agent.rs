//! Logging in with the keys of an ssh-agent, one inside the test (draft-miller-ssh-agent).

use std::fs;
use std::path::{Path, PathBuf};

use russh::keys::signature::Signer;
use russh::keys::ssh_encoding::{Decode, Encode};
use russh::keys::{PrivateKey, PublicKeyBase64};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use trueup::connect::{Identity, Target};

use crate::login::{reach, target};
use crate::server::{Nature, key, serve};

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Serves `keys` on a socket in `dir`.
fn agent(dir: &Path, keys: Vec<PrivateKey>) -> PathBuf {
    let path = dir.join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            while let Some(request) = receive(&mut stream).await {
                let answer = answer(&keys, &request);
                stream
                    .write_all(&[&u32::try_from(answer.len()).unwrap().to_be_bytes(), &answer[..]].concat())
                    .await
                    .unwrap();
            }
        }
    });
    path
}

async fn receive(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let length = stream.read_u32().await.ok()?;
    let mut request = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut request).await.ok()?;
    Some(request)
}

fn answer(keys: &[PrivateKey], request: &[u8]) -> Vec<u8> {
    match request[0] {
        REQUEST_IDENTITIES => {
            let mut answer = vec![IDENTITIES_ANSWER];
            u32::try_from(keys.len()).unwrap().encode(&mut answer).unwrap();
            for key in keys {
                key.public_key_bytes().encode(&mut answer).unwrap();
                "a comment".encode(&mut answer).unwrap();
            }
            answer
        }
        SIGN_REQUEST => {
            let mut rest = &request[1..];
            let (blob, data) = (Vec::<u8>::decode(&mut rest).unwrap(), Vec::<u8>::decode(&mut rest).unwrap());
            let key = keys.iter().find(|key| key.public_key_bytes() == blob).unwrap();
            let mut signature = Vec::new();
            key.try_sign(&data).unwrap().encode(&mut signature).unwrap();
            let mut answer = vec![SIGN_RESPONSE];
            signature.encode(&mut answer).unwrap();
            answer
        }
        // `session-bind@openssh.com` among others.
        _ => vec![FAILURE],
    }
}

#[tokio::test]
async fn keys_of_an_agent_log_in() {
    let dir = tempfile::tempdir().unwrap();
    let (other, mine) = (key(), key());
    let server = serve(Nature { key: Some(mine.public_key().clone()), ..Nature::new() }).await;
    let socket = agent(dir.path(), vec![other.clone(), mine.clone()]);
    let with_agent = Target { agent: Some(socket), password: None, ..target(&server) };
    reach(with_agent.clone()).await.unwrap();

    // With IdentitiesOnly, only keys that are named; the public half is enough to name one.
    let named = |key: &PrivateKey| {
        let path = dir.path().join("id");
        fs::write(dir.path().join("id.pub"), key.public_key().to_openssh().unwrap()).unwrap();
        Target {
            identities_only: true,
            identity_files: vec![Identity { path, asked_for: false }],
            ..with_agent.clone()
        }
    };
    reach(named(&mine)).await.unwrap();
    let error = reach(named(&other)).await.err().unwrap().to_string();
    assert_eq!(error.matches("ssh-agent's key").count(), 1, "{error}");
}

#[tokio::test]
async fn an_agent_that_is_gone_is_said_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(Nature::new()).await;
    let gone = Target { agent: Some(dir.path().join("gone")), ..target(&server) };
    reach(gone.clone()).await.unwrap();
    let error = reach(Target { password: None, ..gone }).await.err().unwrap().to_string();
    assert!(error.contains("gone cannot be asked: No such file or directory"), "{error}");
}
