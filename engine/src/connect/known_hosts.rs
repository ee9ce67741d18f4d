//! Files of known hosts: which keys a host is known by, and remembering a new one (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use sha1::Sha1;

use super::error::{ConnectError, HostKeyError};
use super::known_hosts_file::File;
use super::{Target, pattern};

/// The lines of the files that are about one host.
pub(super) struct KnownHosts {
    /// As the files write this host: `host`, or `[host]:port` if the port is not 22.
    name: String,
    /// The name in a host's certificate: without the port.
    principal: String,
    /// Lines for `name`.
    lines: Vec<Line>,
    /// Lines for the host without its port: they may vouch for a key, but say nothing against one.
    portless: Vec<Line>,
}

/// A line, and where it stands.
struct Line {
    path: PathBuf,
    /// From 1.
    number: usize,
    marker: Option<Marker>,
    key: PublicKey,
}

/// What the files say about a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They know it.
    Known,
    /// They know no key of this host.
    Unknown(HostKeyError),
    /// They know another key, or have revoked this one.
    Refused(HostKeyError),
}

impl KnownHosts {
    /// Reads what the target's files say about it. Files that do not exist and lines that make no sense are passed
    /// over, as OpenSSH does.
    pub(super) fn of(target: &Target) -> Result<Self, ConnectError> {
        let principal = target.host.to_lowercase();
        let name = if target.port == 22 { principal.clone() } else { format!("[{principal}]:{}", target.port) };
        let mut known = Self { name, principal, lines: Vec::new(), portless: Vec::new() };
        for path in &target.known_hosts {
            match File::of(path) {
                Ok(file) => known.add(path, &file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ConnectError::KnownHosts { path: path.clone(), source }),
            }
        }
        Ok(known)
    }

    fn add(&mut self, path: &Path, file: &File) {
        for (index, line) in file.lines_about([&self.name, &self.principal]) {
            let Some(entry) = parse(line) else { continue };
            let (here, portless) = (covers(&entry, &self.name), covers(&entry, &self.principal));
            if !here && !portless {
                continue;
            }
            let marker = entry.marker().copied();
            let key = entry.public_key().clone();
            let line = Line { path: path.to_owned(), number: index + 1, marker, key };
            if here { self.lines.push(line) } else { self.portless.push(line) }
        }
    }

    /// The algorithms to ask the server for: first those that it is known by, so that a known key is not missed
    /// because the server would rather show another.
    pub(super) fn algorithms(&self, all: &[Algorithm]) -> Vec<Algorithm> {
        let known = |algorithm: &Algorithm| self.plain().any(|line| same_family(&line.key.algorithm(), algorithm));
        let (mut first, rest): (Vec<_>, Vec<_>) = all.iter().cloned().partition(known);
        first.extend(rest);
        first
    }

    /// Whether an authority is trusted to vouch for this host with a certificate.
    pub(super) fn has_authority(&self) -> bool {
        self.authorities().next().is_some()
    }

    /// Judges a key.
    pub(super) fn check(&self, key: &PublicKey) -> Verdict {
        let (algorithm, fingerprint) = describe(key);
        if let Some(line) = self.revoked(key) {
            let (path, line) = (line.path.clone(), line.number);
            return Verdict::Refused(HostKeyError::Revoked { path, line, algorithm, fingerprint });
        }
        let is_it = |line: &&Line| line.marker.is_none() && line.key.key_data() == key.key_data();
        if self.lines.iter().chain(&self.portless).any(|line| is_it(&line)) {
            return Verdict::Known;
        }
        // A server that shows a key of another kind than the one it is known by was asked for that one first: it has
        // lost it, or it is not that server.
        let other = self.plain().find(|line| line.key.algorithm() == key.algorithm()).or_else(|| self.plain().next());
        match other {
            None => Verdict::Unknown(HostKeyError::Unknown { algorithm, fingerprint }),
            Some(line) => {
                let (old_algorithm, old) = describe(&line.key);
                let (path, entry, line) = (line.path.clone(), self.name.clone(), line.number);
                let changed = HostKeyError::Changed { path, line, old_algorithm, old, algorithm, fingerprint, entry };
                Verdict::Refused(changed)
            }
        }
    }

    /// Judges a certificate: signed by an authority that the files trust for this host, in time, for this host.
    pub(super) fn check_certificate(&self, certificate: &Certificate) -> Verdict {
        let refuse = |reason: &str| Verdict::Refused(HostKeyError::Certificate { reason: reason.to_owned() });
        let subject = PublicKey::from(certificate.public_key().clone());
        let signer = PublicKey::from(certificate.signature_key().clone());
        if self.revoked(&subject).or_else(|| self.revoked(&signer)).is_some() {
            return refuse("its key, or that of its authority, was revoked");
        }
        if !certificate.cert_type().is_host() {
            return refuse("it is for a user, not for a host");
        }
        if !certificate.critical_options().is_empty() {
            return refuse("it has critical options, and none are known for hosts");
        }
        let principals = certificate.valid_principals();
        if !principals.iter().any(|principal| pattern::matches(principal, &self.principal)) {
            return refuse(&format!("it is for {}, not for {}", principals.join(", "), self.principal));
        }
        let trusted: Vec<_> = self.authorities().map(|line| line.key.fingerprint(HashAlg::Sha256)).collect();
        match certificate.validate(&trusted) {
            Ok(()) => Verdict::Known,
            Err(_) => refuse(&format!("its authority {} is not trusted, or it has expired", describe(&signer).1)),
        }
    }

    /// Remembers a new key in `path`: one write at the end of the file, so that parallel runs don't mix their lines.
    pub(super) fn learn(&self, path: &Path, key: &PublicKey) -> Result<(), ConnectError> {
        let fail = |source| ConnectError::KnownHosts { path: path.to_owned(), source };
        let text = PublicKey::from(key.key_data().clone()).to_openssh().map_err(io::Error::other).map_err(fail)?;
        append(path, &format!("{} {}\n", self.name, text.trim_end())).map_err(fail)
    }

    /// Lines with a plain key, neither an authority's nor revoked.
    fn plain(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.marker.is_none())
    }

    fn authorities(&self) -> impl Iterator<Item = &Line> {
        let lines = self.lines.iter().chain(&self.portless);
        lines.filter(|line| line.marker == Some(Marker::CertAuthority))
    }

    fn revoked(&self, key: &PublicKey) -> Option<&Line> {
        let mut lines = self.lines.iter().chain(&self.portless);
        lines.find(|line| line.marker == Some(Marker::Revoked) && line.key.key_data() == key.key_data())
    }
}

/// A key's algorithm and its SHA-256 fingerprint, as `ssh-keygen -l` writes them.
pub(super) fn describe(key: &PublicKey) -> (String, String) {
    (key.algorithm().to_string(), key.fingerprint(HashAlg::Sha256).to_string())
}

/// One line; `None` for blank lines, comments and nonsense.
fn parse(line: &str) -> Option<Entry> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ").parse().ok()
}

fn covers(entry: &Entry, name: &str) -> bool {
    match entry.host_patterns() {
        HostPatterns::Patterns(patterns) => pattern::list_matches(patterns.iter().map(String::as_str), name),
        HostPatterns::HashedName { salt, hash } => {
            let mac = Hmac::<Sha1>::new_from_slice(salt).expect("HMAC takes keys of any length");
            mac.chain_update(name).verify_slice(hash).is_ok()
        }
    }
}

/// An RSA key serves for several algorithms, which differ by the hash.
fn same_family(key: &Algorithm, algorithm: &Algorithm) -> bool {
    match (key, algorithm) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        (key, algorithm) => key == algorithm,
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut file = fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(-1)).is_ok() {
        // Nothing is read from a device such as /dev/null, which is what forgetful users give.
        let _ = file.read(&mut last)?;
    }
    let text = if last == [b'\n'] { line.to_owned() } else { format!("\n{line}") };
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{SystemTime, UNIX_EPOCH};

    use russh::keys::PrivateKey;
    use russh::keys::key::safe_rng;
    use russh::keys::ssh_key::certificate::{Builder, CertType};

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
    }

    fn line(key: &PrivateKey) -> String {
        key.public_key().to_openssh().unwrap()
    }

    fn known(host: &str, port: u16, files: &[&str]) -> KnownHosts {
        let dir = tempfile::tempdir().unwrap();
        let known_hosts = files
            .iter()
            .enumerate()
            .map(|(n, text)| {
                let path = dir.path().join(n.to_string());
                fs::write(&path, text).unwrap();
                path
            })
            .chain([dir.path().join("missing")])
            .collect();
        KnownHosts::of(&Target { port, known_hosts, ..Target::new(host, "ada") }).unwrap()
    }

    fn hashed(name: &str) -> String {
        use base64::prelude::{BASE64_STANDARD, Engine};
        let salt = [7; 20];
        let hash = Hmac::<Sha1>::new_from_slice(&salt).unwrap().chain_update(name).finalize().into_bytes();
        format!("|1|{}|{}", BASE64_STANDARD.encode(salt), BASE64_STANDARD.encode(hash))
    }

    #[test]
    fn which_lines_count() {
        let (mine, other) = (key(), key());
        let (hash, hash_port) = (hashed("db1"), hashed("[db1]:2222"));
        let cases = [
            // host, port, hosts of the line, whether it is known
            ("db1", 22, "db1", true),
            ("DB1", 22, "db1", true),
            ("db1", 22, "web1,db1", true),
            ("db1", 22, "db?", true),
            ("db1", 22, "db*,!db1", false),
            ("db1", 22, "web1", false),
            ("db1", 22, hash.as_str(), true),
            ("db2", 22, hash.as_str(), false),
            ("db1", 2222, "[db1]:2222", true),
            ("db1", 2222, "[db*]:2222", true),
            ("db1", 2222, "[db1]:2223", false),
            ("db1", 2222, hash_port.as_str(), true),
            // OpenSSH too takes a line without a port for any port.
            ("db1", 2222, "db1", true),
            ("10.0.0.7", 22, "10.0.0.*", true),
            ("fe80::1", 2222, "[fe80::1]:2222", true),
        ];
        for (host, port, hosts, expected) in cases {
            let noise = format!("# {hosts} {}\n\nnonsense\n{hosts} ssh-ed25519 AAAA\n", line(&other));
            let entry = format!("  {hosts}\t{}  a comment\n", line(&mine));
            let verdict = known(host, port, &["", &noise, &entry]).check(mine.public_key());
            assert_eq!(verdict == Verdict::Known, expected, "{host}:{port} in {hosts}: {verdict:?}");
        }
    }

    #[test]
    fn another_key_is_a_change_that_names_its_line() {
        let (old, new) = (key(), key());
        let text = format!("# comment\nweb1 {}\ndb1 {}\n", line(&new), line(&old));
        let Verdict::Refused(HostKeyError::Changed { line: number, old: shown, entry, .. }) =
            known("db1", 22, &[&text]).check(new.public_key())
        else {
            panic!("not changed")
        };
        assert_eq!((number, shown, entry.as_str()), (3, describe(old.public_key()).1, "db1"));
        // A line for the host on another port says nothing against a key.
        let verdict = known("db1", 2222, &[&text]).check(new.public_key());
        assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    }

    #[test]
    fn a_second_line_may_know_the_key() {
        let (old, new) = (key(), key());
        let text = format!("db1 {}\ndb1 {}\n", line(&old), line(&new));
        assert_eq!(known("db1", 22, &[&text]).check(new.public_key()), Verdict::Known);
    }

    #[test]
    fn a_revoked_key_is_refused_though_it_is_known() {
        let bad = key();
        let text = format!("db1 {0}\n@revoked * {0}\n", line(&bad));
        let verdict = known("db1", 22, &[&text]).check(bad.public_key());
        assert!(matches!(verdict, Verdict::Refused(HostKeyError::Revoked { line: 2, .. })), "{verdict:?}");
    }

    #[test]
    fn algorithms_that_are_known_come_first() {
        let rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDJEjfOMhKcGlQRJhNkzCbMbGHTpeQBZmtYFbYsJJgAzRcHSJBqaTuvgJqVYTUTqDyRkpL1lHUyEr2LWEb7aBRdiZ7D8eLJMNEn0JBvYqT5PrTkdTpFyMOlLWHHVHcEZvmcsQ6Q2OVYvDYNzXxG9gqVUfBbyhGX6vTfVeyVJYPjRw==";
        let all = [
            Algorithm::Ed25519,
            Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
            Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
        ];
        let names = |known: KnownHosts| known.algorithms(&all).iter().map(Algorithm::to_string).collect::<Vec<_>>();
        assert_eq!(names(known("db1", 22, &[])), ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"]);
        let text = format!("db1 {rsa}\n");
        assert_eq!(names(known("db1", 22, &[&text])), ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
    }

    #[test]
    fn certificates() {
        let (authority, stranger, host) = (key(), key(), key());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let certificate = |signer: &PrivateKey, kind: CertType, principal: &str, until: u64| {
            let subject = host.public_key().clone();
            let mut builder = Builder::new_with_random_nonce(&mut safe_rng(), subject, now - 60, until).unwrap();
            builder.cert_type(kind).unwrap();
            builder.valid_principal(principal).unwrap();
            builder.sign(signer).unwrap()
        };
        let known = known("db1.lan", 22, &[&format!("@cert-authority *.lan {}\n", line(&authority))]);
        assert!(known.has_authority());
        for (name, shown, expected) in [
            ("good", certificate(&authority, CertType::Host, "db1.lan", now + 60), true),
            ("good for many", certificate(&authority, CertType::Host, "*.lan", now + 60), true),
            ("another host", certificate(&authority, CertType::Host, "db2.lan", now + 60), false),
            ("a user", certificate(&authority, CertType::User, "db1.lan", now + 60), false),
            ("expired", certificate(&authority, CertType::Host, "db1.lan", now - 30), false),
            ("a stranger's", certificate(&stranger, CertType::Host, "db1.lan", now + 60), false),
        ] {
            let verdict = known.check_certificate(&shown);
            assert_eq!(verdict == Verdict::Known, expected, "{name}: {verdict:?}");
        }
        // An authority's key is no host's key.
        assert!(matches!(known.check(authority.public_key()), Verdict::Unknown(_)));
    }

    #[test]
    fn new_keys_are_appended_on_a_line_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ssh/known_hosts");
        let (one, two) = (key(), key());
        known("db1", 22, &[]).learn(&path, one.public_key()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.trim_end()).unwrap();
        known("db2", 2222, &[]).learn(&path, two.public_key()).unwrap();
        let expected = format!("db1 {}\n[db2]:2222 {}\n", line(&one), line(&two));
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        known("db3", 22, &[]).learn(Path::new("/dev/null"), one.public_key()).unwrap();
    }
}
