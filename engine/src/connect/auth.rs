//! Logging in: keys, an ssh-agent, a password; each is tried while the server accepts its method.

use std::io;
use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Reply};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{self, Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;
use trueup_modules::secret::Secret;

use super::error::{Attempt, ConnectError};
use super::known_hosts::describe;
use super::ssh::Gate;
use super::{Identity, Target};

/// A server asks once for a password, perhaps once more for a new one; more rounds are not a login.
const MAX_ROUNDS: usize = 8;

/// Logs in, or says everything that was tried. `parting` yields what the server said when it hung up. Tells whether a person may
/// have had to touch a key for it.
pub(super) async fn log_in(
    handle: &mut Handle<Gate>,
    target: &Target,
    parting: impl Fn() -> Option<String>,
) -> Result<bool, ConnectError> {
    let mut login = Login { handle, target, tried: Vec::new(), accepted: None, touched: false };
    match login.try_all().await {
        Ok(true) => return Ok(login.touched),
        Ok(false) => {}
        Err(error) => tracing::debug!(host = target.name, %error, "the login broke off"),
    }
    if login.handle.is_closed() {
        let outcome = parting().map_or_else(|| "hung up".to_owned(), |message| format!("hung up: {message}"));
        login.tried.push(Attempt { what: "the server".to_owned(), outcome });
    }
    Err(login.refused())
}

struct Login<'a> {
    handle: &'a mut Handle<Gate>,
    target: &'a Target,
    tried: Vec<Attempt>,
    /// The methods that the server accepts, once it has said so.
    accepted: Option<MethodSet>,
    /// Whether a key was used that signs only when it is touched.
    touched: bool,
}

/// Whether the user is in.
type Step = Result<bool, russh::Error>;

impl Login<'_> {
    /// Keys that somebody named come first, since servers hang up after a few wrong ones.
    async fn try_all(&mut self) -> Step {
        if let Some(text) = self.target.private_key.clone()
            && self.try_text(&text).await?
        {
            return Ok(true);
        }
        let (named, default): (Vec<_>, Vec<_>) =
            self.target.identity_files.iter().cloned().partition(|identity| identity.asked_for);
        if self.try_files(&named).await? || self.try_agent().await? || self.try_files(&default).await? {
            return Ok(true);
        }
        if self.try_password().await? || self.try_questions().await? {
            return Ok(true);
        }
        if self.tried.is_empty() {
            let answer = self.handle.authenticate_none(&self.target.user).await?;
            return Ok(self.note(None, answer));
        }
        Ok(false)
    }

    async fn try_text(&mut self, text: &Secret) -> Step {
        match decode("the given private key", text.expose(), self.target.passphrase.as_ref()).await {
            Ok(key) => self.try_key("the given private key", key, None).await,
            Err(attempt) => {
                self.tried.push(attempt);
                Ok(false)
            }
        }
    }

    async fn try_files(&mut self, identities: &[Identity]) -> Step {
        for identity in identities {
            if !self.accepts(MethodKind::PublicKey) {
                return Ok(false);
            }
            let what = format!("key {}", identity.path.display());
            let text = match std::fs::read_to_string(&identity.path) {
                Ok(text) => Secret::new(text),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !identity.asked_for => continue,
                Err(error) => {
                    self.tried.push(Attempt { what, outcome: format!("cannot be read: {error}") });
                    continue;
                }
            };
            match decode(&what, text.expose(), self.target.passphrase.as_ref()).await {
                Ok(key) => {
                    let certificate = certificate_beside(&identity.path);
                    if self.try_key(&what, key, certificate).await? {
                        return Ok(true);
                    }
                }
                Err(attempt) => self.tried.push(attempt),
            }
        }
        Ok(false)
    }

    async fn try_key(&mut self, what: &str, key: PrivateKey, certificate: Option<Certificate>) -> Step {
        let what = format!("{what} ({})", describe(key.public_key()).1);
        let key = Arc::new(key);
        if let Some(certificate) = certificate {
            let user = &self.target.user;
            let answer = self.handle.authenticate_openssh_cert(user, Arc::clone(&key), certificate).await?;
            if self.note(Some(format!("the certificate of {what}")), answer) {
                return Ok(true);
            }
        }
        let hash = self.rsa_hash(key.algorithm().is_rsa()).await?;
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let answer = self.handle.authenticate_publickey(&self.target.user, key).await?;
        Ok(self.note(Some(what), answer))
    }

    async fn try_agent(&mut self) -> Step {
        let Some(socket) = &self.target.agent else { return Ok(false) };
        let mut agent = match AgentClient::connect_uds(socket).await {
            Ok(agent) => agent,
            Err(error) => {
                let what = format!("ssh-agent at {}", socket.display());
                self.tried.push(Attempt { what, outcome: format!("cannot be asked: {error}") });
                return Ok(false);
            }
        };
        if let Some(binding) = self.handle.agent_session_binding() {
            // Needed only for keys that are restricted to certain hosts; agents other than OpenSSH's don't know it.
            let _ = agent.bind_session(binding, false).await;
        }
        let wanted = self.target.identities_only.then(|| self.named_keys());
        for identity in agent.request_identities().await.unwrap_or_default() {
            if !self.accepts(MethodKind::PublicKey) {
                return Ok(false);
            }
            let public = identity.public_key();
            if wanted.as_ref().is_some_and(|keys| !keys.iter().any(|key| key.key_data() == public.key_data())) {
                continue;
            }
            if self.try_agent_key(&mut agent, identity).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn try_agent_key(&mut self, agent: &mut AgentClient<UnixStream>, identity: AgentIdentity) -> Step {
        let public = identity.public_key();
        let what = format!("ssh-agent's key {}", describe(&public).1);
        self.touched |= matches!(public.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256);
        let hash = self.rsa_hash(public.algorithm().is_rsa()).await?;
        let user = self.target.user.as_str();
        let answer = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                self.handle.authenticate_publickey_with(user, key, hash, agent).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                self.handle.authenticate_certificate_with(user, certificate, hash, agent).await
            }
        };
        match answer {
            Ok(answer) => Ok(self.note(Some(what), answer)),
            Err(error) => {
                self.tried.push(Attempt { what, outcome: format!("was not used by the ssh-agent: {error}") });
                Ok(false)
            }
        }
    }

    async fn try_password(&mut self) -> Step {
        let Some(password) = &self.target.password else { return Ok(false) };
        if !self.accepts(MethodKind::Password) {
            return Ok(false);
        }
        let answer = self.handle.authenticate_password(&self.target.user, password.expose()).await?;
        Ok(self.note(Some("password".to_owned()), answer))
    }

    /// `keyboard-interactive`, answering each hidden prompt with the password.
    async fn try_questions(&mut self) -> Step {
        let Some(password) = &self.target.password else { return Ok(false) };
        if !self.accepts(MethodKind::KeyboardInteractive) {
            return Ok(false);
        }
        let what = "keyboard-interactive";
        let mut reply = self.handle.authenticate_keyboard_interactive_start(&self.target.user, None).await?;
        for _ in 0..MAX_ROUNDS {
            let prompts = match reply {
                Reply::Success => return Ok(true),
                Reply::Failure { remaining_methods, partial_success } => {
                    let answer = AuthResult::Failure { remaining_methods, partial_success };
                    return Ok(self.note(Some(what.to_owned()), answer));
                }
                Reply::InfoRequest { prompts, .. } => prompts,
            };
            if let Some(open) = prompts.iter().find(|prompt| prompt.echo) {
                let outcome = format!("asks for more than a password: {}", open.prompt.trim());
                self.tried.push(Attempt { what: what.to_owned(), outcome });
                return Ok(false);
            }
            let answers = prompts.iter().map(|_| password.expose().to_owned()).collect();
            reply = self.handle.authenticate_keyboard_interactive_respond(answers).await?;
        }
        self.tried.push(Attempt { what: what.to_owned(), outcome: "keeps asking".to_owned() });
        Ok(false)
    }

    /// Public keys of the identity files, for picking among the agent's. A key that is locked shows its public half.
    fn named_keys(&self) -> Vec<PublicKey> {
        let paths = self.target.identity_files.iter().map(|identity| &identity.path);
        paths
            .filter_map(|path| {
                let private = || PrivateKey::read_openssh_file(path).ok().map(|key| key.public_key().clone());
                keys::load_public_key(path)
                    .ok()
                    .or_else(|| keys::load_public_key(beside(path, ".pub")).ok())
                    .or_else(private)
            })
            .collect()
    }

    /// SHA-2 unless the server says that it knows none; SHA-1 is what is left then.
    async fn rsa_hash(&self, is_rsa: bool) -> Result<Option<HashAlg>, russh::Error> {
        if !is_rsa {
            return Ok(None);
        }
        Ok(self.handle.best_supported_rsa_hash().await?.unwrap_or(Some(HashAlg::Sha512)))
    }

    fn accepts(&self, method: MethodKind) -> bool {
        self.accepted.as_ref().is_none_or(|methods| methods.contains(&method)) && !self.handle.is_closed()
    }

    /// Takes note of an answer; true if the user is in.
    fn note(&mut self, what: Option<String>, answer: AuthResult) -> bool {
        let AuthResult::Failure { remaining_methods, partial_success } = answer else { return true };
        let outcome = if partial_success { "accepted, but more is asked for" } else { "refused" };
        self.tried.extend(what.map(|what| Attempt { what, outcome: outcome.to_owned() }));
        if !self.handle.is_closed() {
            self.accepted = Some(remaining_methods);
        }
        false
    }

    fn refused(self) -> ConnectError {
        let methods = self.accepted.iter().flat_map(|methods| methods.iter().map(String::from)).collect();
        ConnectError::Auth { at: self.target.at(), user: self.target.user.clone(), tried: self.tried, methods }
    }
}

/// Decodes a private key; opening an encrypted one takes a while on purpose, so that is done on another thread.
async fn decode(what: &str, text: &str, passphrase: Option<&Secret>) -> Result<PrivateKey, Attempt> {
    let (text, passphrase) = (Secret::new(text), passphrase.cloned());
    let locked = passphrase.is_some();
    let decoded = tokio::task::spawn_blocking(move || {
        keys::decode_secret_key(text.expose(), passphrase.as_ref().map(Secret::expose))
    });
    let outcome = match decoded.await {
        Ok(Ok(key)) => return Ok(key),
        Ok(Err(keys::Error::KeyIsEncrypted)) => "needs a passphrase".to_owned(),
        Ok(Err(keys::Error::SshKey(keys::ssh_key::Error::Crypto))) if locked => "has another passphrase".to_owned(),
        Ok(Err(error)) => format!("is not a private key that can be used: {error}"),
        Err(error) => format!("could not be decoded: {error}"),
    };
    Err(Attempt { what: what.to_owned(), outcome })
}

fn certificate_beside(path: &Path) -> Option<Certificate> {
    keys::load_openssh_certificate(beside(path, "-cert.pub")).ok()
}

fn beside(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
