//! From what the inventory says about reaching a host, and what ssh_config says, to a [`Target`].

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trueup_modules::secret::Secret;

use super::ssh_config::{Line, SshConfig, SshConfigError};
use super::{HostKeys, Identity, Target};

/// Jump hosts may have jump hosts, within reason.
const MAX_JUMPS: usize = 8;

/// What the inventory says about reaching a host. What it leaves open, ssh_config answers, and then the defaults.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The host's name in the inventory.
    pub name: String,
    /// `ansible_host`; the name, if it is not given. This is what `Host` lines are matched with.
    pub host: Option<String>,
    /// `ansible_port`
    pub port: Option<u16>,
    /// `ansible_user`
    pub user: Option<String>,
    /// `ansible_password`
    pub password: Option<Secret>,
    /// `ansible_ssh_private_key_file`
    pub identity_file: Option<PathBuf>,
    /// `ansible_ssh_private_key`
    pub private_key: Option<Secret>,
    /// `ansible_ssh_passphrase`
    pub passphrase: Option<Secret>,
    /// `--accept-new-host-keys`, `ansible_host_key_checking`
    pub host_keys: Option<HostKeys>,
    /// `ansible_ssh_timeout`
    pub connect_timeout: Option<Duration>,
    /// `ansible_ssh_retries`
    pub retries: Option<u32>,
}

/// What ssh takes from its environment.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The user's home directory.
    pub home: PathBuf,
    /// The user's name.
    pub user: String,
    /// The socket of the ssh-agent.
    pub agent: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let named =
            ["USER", "LOGNAME"].into_iter().filter_map(|name| env::var(name).ok()).find(|name| !name.is_empty());
        Self {
            home: env::home_dir().unwrap_or_else(|| PathBuf::from("/")),
            user: named.or_else(user_by_id).unwrap_or_else(|| "root".to_owned()),
            agent: env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from),
        }
    }
}

fn user_by_id() -> Option<String> {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users
        .lines()
        .find(|line| line.split(':').nth(2) == Some(&id))
        .and_then(|line| line.split(':').next())
        .map(str::to_owned)
}

impl Target {
    /// Merges what is known about a host.
    pub fn resolve(wanted: &Wanted, config: &SshConfig, around: &Surroundings) -> Result<Self, SshConfigError> {
        let alias = wanted.host.as_ref().unwrap_or(&wanted.name);
        let mut target = direct(wanted, config, around)?;
        // Of ProxyCommand and ProxyJump the one that is given first holds.
        match config.first_of(alias, &["proxycommand", "proxyjump"]) {
            Some(line) if line.keyword == "proxyjump" => {
                target.jumps = jumps(alias, wanted, config, around, std::slice::from_ref(alias))?;
            }
            _ => {}
        }
        Ok(target)
    }
}

/// All but the jump hosts.
fn direct(wanted: &Wanted, config: &SshConfig, around: &Surroundings) -> Result<Target, SshConfigError> {
    let alias = wanted.host.as_ref().unwrap_or(&wanted.name).as_str();
    let text = |keyword| config.first(alias, keyword).and_then(|line| line.arguments.first());
    let port = match (wanted.port, config.first(alias, "port")) {
        (Some(port), _) => port,
        (None, Some(line)) => parse("Port", line, |text| text.parse().ok())?,
        (None, None) => 22,
    };
    let user = wanted.user.as_ref().or_else(|| text("user")).unwrap_or(&around.user).clone();
    let mut tokens = Tokens { around, alias, host: alias.to_owned(), port, user: user.clone() };
    if let Some(name) = text("hostname") {
        tokens.host = tokens.expand(name);
    }
    let host_keys = match (wanted.host_keys, config.first(alias, "stricthostkeychecking")) {
        (Some(host_keys), _) => host_keys,
        (None, Some(line)) => parse("StrictHostKeyChecking", line, host_keys)?,
        (None, None) => HostKeys::Strict,
    };
    let identities_only = match config.first(alias, "identitiesonly") {
        Some(line) => parse("IdentitiesOnly", line, yes_or_no)?,
        None => false,
    };
    let proxy_command = match config.first_of(alias, &["proxycommand", "proxyjump"]) {
        Some(line) if line.keyword == "proxycommand" => {
            line.arguments.first().filter(|text| *text != "none").map(|text| tokens.expand(text))
        }
        _ => None,
    };
    let base = Target::new(tokens.host.clone(), user);
    let connect_timeout = match (wanted.connect_timeout, config.first(alias, "connecttimeout")) {
        (Some(limit), _) => limit,
        (None, Some(line)) => parse("ConnectTimeout", line, duration)?,
        (None, None) => base.connect_timeout,
    };
    let alive_interval = match config.first(alias, "serveraliveinterval") {
        Some(line) => parse("ServerAliveInterval", line, duration)?,
        None => base.alive_interval,
    };
    let alive_count = match config.first(alias, "serveralivecountmax") {
        Some(line) => parse("ServerAliveCountMax", line, |text| text.parse().ok())?,
        None => base.alive_count,
    };
    Ok(Target {
        name: wanted.name.clone(),
        port,
        password: wanted.password.clone(),
        identity_files: identity_files(wanted, config, &tokens),
        private_key: wanted.private_key.clone(),
        passphrase: wanted.passphrase.clone(),
        agent: agent(text("identityagent"), &tokens),
        identities_only,
        known_hosts: known_hosts(config, &tokens),
        host_keys,
        proxy_command,
        connect_timeout,
        alive_interval,
        alive_count,
        retries: wanted.retries.unwrap_or(base.retries),
        ..base
    })
}

/// The chain of `ProxyJump`. As with OpenSSH, the first host in it may have jump hosts of its own; the others are
/// reached through the one before.
fn jumps(
    alias: &str,
    wanted: &Wanted,
    config: &SshConfig,
    around: &Surroundings,
    path: &[String],
) -> Result<Vec<Target>, SshConfigError> {
    let Some(line) = config.first(alias, "proxyjump") else { return Ok(Vec::new()) };
    let text = line.arguments.join(",");
    if text.eq_ignore_ascii_case("none") || text.is_empty() {
        return Ok(Vec::new());
    }
    let mut chain = Vec::new();
    for (index, hop) in text.split(',').map(str::trim).enumerate() {
        let hop = parse_hop(hop).ok_or_else(|| bad("ProxyJump", hop, line))?;
        // `Host *` with a ProxyJump means all hosts but the jump host itself.
        if path.last().is_some_and(|last| hop.name.eq_ignore_ascii_case(last)) {
            return Ok(Vec::new());
        }
        let mut again = path.iter().filter(|name| name.eq_ignore_ascii_case(&hop.name));
        if again.next().is_some() || path.len() > MAX_JUMPS {
            return Err(SshConfigError::Loop { host: path[0].clone() });
        }
        let hop = Wanted { host_keys: wanted.host_keys, connect_timeout: wanted.connect_timeout, ..hop };
        if index == 0 {
            chain = jumps(&hop.name, wanted, config, around, &[path, std::slice::from_ref(&hop.name)].concat())?;
        }
        chain.push(direct(&hop, config, around)?);
    }
    Ok(chain)
}

/// `[user@]host[:port]`, `ssh://…`, IPv6 addresses in brackets.
fn parse_hop(text: &str) -> Option<Wanted> {
    let text = text.strip_prefix("ssh://").unwrap_or(text).trim_end_matches('/');
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map(|port| port.parse().ok()).map_or(Some(None), |port| port.map(Some))?;
    (!host.is_empty()).then(|| Wanted { name: host.to_owned(), port, user, ..Wanted::default() })
}

fn identity_files(wanted: &Wanted, config: &SshConfig, tokens: &Tokens<'_>) -> Vec<Identity> {
    let given = wanted.identity_file.iter().map(|path| expand_home(&path.to_string_lossy(), &tokens.around.home));
    let lines = config.all(tokens.alias, "identityfile").filter_map(|line| line.arguments.first());
    let listed = lines.filter(|path| *path != "none").map(|path| tokens.path(path));
    let named: Vec<_> = given.chain(listed).map(|path| Identity { path, asked_for: true }).collect();
    if !named.is_empty() || config.first(tokens.alias, "identityfile").is_some() {
        return named;
    }
    let default = |name| Identity { path: tokens.around.home.join(".ssh").join(name), asked_for: false };
    ["id_ed25519", "id_ecdsa", "id_rsa"].map(default).to_vec()
}

fn known_hosts(config: &SshConfig, tokens: &Tokens<'_>) -> Vec<PathBuf> {
    let files = |keyword, default: [&str; 2]| -> Vec<PathBuf> {
        match config.first(tokens.alias, keyword) {
            // A new key goes into the first file: into none, if the user has none, and never into the system's.
            Some(line) if line.arguments.first().is_some_and(|path| path == "none") => vec![PathBuf::from("/dev/null")],
            Some(line) => line.arguments.iter().map(|path| tokens.path(path)).collect(),
            None => default.iter().map(|path| tokens.path(path)).collect(),
        }
    };
    let mut all = files("userknownhostsfile", ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]);
    all.extend(files("globalknownhostsfile", ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]));
    all
}

fn agent(option: Option<&String>, tokens: &Tokens<'_>) -> Option<PathBuf> {
    match option.map(String::as_str) {
        None | Some("SSH_AUTH_SOCK") => tokens.around.agent.clone(),
        Some("none") => None,
        Some(path) => match path.strip_prefix('$') {
            Some(name) => env::var_os(name.trim_matches(['{', '}'])).map(PathBuf::from),
            None => Some(tokens.path(path)),
        },
    }
}

/// What `%h` and its like stand for (ssh_config(5), TOKENS).
struct Tokens<'a> {
    around: &'a Surroundings,
    alias: &'a str,
    host: String,
    port: u16,
    user: String,
}

impl Tokens<'_> {
    fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match (c, if c == '%' { rest.next() } else { None }) {
                ('%', Some('%')) => expanded.push('%'),
                ('%', Some('h')) => expanded += &self.host,
                ('%', Some('n')) => expanded += self.alias,
                ('%', Some('p')) => expanded += &self.port.to_string(),
                ('%', Some('r')) => expanded += &self.user,
                ('%', Some('u')) => expanded += &self.around.user,
                ('%', Some('d')) => expanded += &self.around.home.to_string_lossy(),
                ('%', Some('i')) => expanded += &rustix::process::getuid().as_raw().to_string(),
                ('%', Some(other)) => expanded.extend(['%', other]),
                (c, _) => expanded.push(c),
            }
        }
        expanded
    }

    fn path(&self, text: &str) -> PathBuf {
        expand_home(&self.expand(text), &self.around.home)
    }
}

/// `~/x` in the user's home; other paths as they are.
pub(super) fn expand_home(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if path == "~" => home.to_owned(),
        None => PathBuf::from(path),
    }
}

fn parse<T>(keyword: &'static str, line: &Line, read: impl Fn(&str) -> Option<T>) -> Result<T, SshConfigError> {
    let value = line.arguments.first().map_or("", String::as_str);
    read(value).ok_or_else(|| bad(keyword, value, line))
}

fn bad(keyword: &'static str, value: &str, line: &Line) -> SshConfigError {
    SshConfigError::Value { keyword, value: value.to_owned(), place: line.place.to_string() }
}

fn host_keys(text: &str) -> Option<HostKeys> {
    match text.to_lowercase().as_str() {
        "yes" | "true" | "ask" => Some(HostKeys::Strict),
        "accept-new" => Some(HostKeys::AcceptNew),
        "no" | "false" | "off" => Some(HostKeys::Off),
        _ => None,
    }
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// `30`, `30s`, `2m`, `1h` (sshd_config(5), TIME FORMATS).
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "" | "s" | "S" => 1,
        "m" | "M" => 60,
        "h" | "H" => 3600,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(home: &Path) -> Surroundings {
        Surroundings { home: home.to_owned(), user: "me".to_owned(), agent: Some(PathBuf::from("/run/agent")) }
    }

    /// What a configuration makes of a host, in one line.
    fn shown(config: &str, host: &str) -> String {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        let path = home.path().join(".ssh/config");
        fs::write(&path, config).unwrap();
        let around = around(home.path());
        let config = SshConfig::load(Some(&path), &around).unwrap();
        let wanted = Wanted { name: host.to_owned(), ..Wanted::default() };
        let text = match Target::resolve(&wanted, &config, &around) {
            Ok(target) => {
                let jumps: String =
                    target.jumps.iter().map(|jump| format!(" via {}@{}", jump.user, jump.at())).collect();
                format!("{}@{}{jumps}", target.user, target.at())
            }
            Err(error) => error.to_string(),
        };
        text.replace(&home.path().display().to_string(), "HOME")
    }

    #[test]
    fn hosts_users_ports_and_jumps() {
        let cases = [
            ("nothing", "", "web1", "me@web1:22"),
            ("names", "Host web1\n HostName 10.0.0.1\n User ada\n Port 2222", "web1", "ada@10.0.0.1:2222"),
            ("another host", "Host web1\n User ada", "web2", "me@web2:22"),
            ("first value wins", "Host web1\n User ada\nHost *\n User eve\n Port 7", "web1", "ada@web1:7"),
            ("before any Host", "User eve\nHost web1\n User ada", "web1", "eve@web1:22"),
            ("patterns and negation", "Host web* !web9\n User ada", "web9", "me@web9:22"),
            ("patterns", "Host web? db*\n User ada", "db-main", "ada@db-main:22"),
            ("= and quotes", "Host=web1\n User = \"ada\" # she\n  port=7", "web1", "ada@web1:7"),
            ("tokens", "HostName %h.example.org", "web1", "me@web1.example.org:22"),
            ("percent", "User %%x", "web1", "%%x@web1:22"),
            ("Match is passed over", "Match host web1\n User ada\nHost web1\n Port 7", "web1", "me@web1:7"),
            ("Match all", "Host x\n User eve\nMatch all\n User ada", "web1", "ada@web1:22"),
            ("jump", "Host web1\n ProxyJump eve@gate:7", "web1", "me@web1:22 via eve@gate:7"),
            (
                "jump by name",
                "Host web1\n ProxyJump gate\nHost gate\n HostName 10.0.0.9\n User eve",
                "web1",
                "me@web1:22 via eve@10.0.0.9:22",
            ),
            (
                "chain",
                "Host web1\n ProxyJump a,ssh://b:7,[fe80::1]:8",
                "web1",
                "me@web1:22 via me@a:22 via me@b:7 via me@[fe80::1]:8",
            ),
            (
                "a jump's jump",
                "Host web1\n ProxyJump b\nHost b\n ProxyJump a",
                "web1",
                "me@web1:22 via me@a:22 via me@b:22",
            ),
            ("jump for all but itself", "ProxyJump gate", "web1", "me@web1:22 via me@gate:22"),
            ("the gate itself", "ProxyJump gate", "gate", "me@gate:22"),
            ("none", "Host web1\n ProxyJump none\nHost *\n ProxyJump gate", "web1", "me@web1:22"),
            (
                "a loop",
                "Host a\n ProxyJump b\nHost b\n ProxyJump a",
                "a",
                "find a way to a: its ProxyJump leads back to it",
            ),
            ("a bad port", "Host web1\n Port ssh", "web1", "understand Port \"ssh\" in HOME/.ssh/config:2"),
            ("a bad jump", "ProxyJump gate:x", "web1", "understand ProxyJump \"gate:x\" in HOME/.ssh/config:1"),
        ];
        for (name, config, host, expected) in cases {
            assert_eq!(shown(config, host), expected, "{name}");
        }
    }

    #[test]
    fn files_and_switches() {
        let home = tempfile::tempdir().unwrap();
        let around = around(home.path());
        let path = home.path().join("config");
        let text = "Host web1\n IdentityFile ~/.ssh/%r_%h\n IdentityFile %d/other\n IdentitiesOnly yes\n \
                    UserKnownHostsFile ~/known /srv/known-%p\n GlobalKnownHostsFile /etc/known\n \
                    StrictHostKeyChecking accept-new\n ConnectTimeout 2m\n IdentityAgent none\n";
        fs::write(&path, text).unwrap();
        let config = SshConfig::load(Some(&path), &around).unwrap();
        let wanted = Wanted { name: "web1".into(), identity_file: Some("~/mine".into()), ..Wanted::default() };
        let target = Target::resolve(&wanted, &config, &around).unwrap();
        let identities: Vec<_> = target.identity_files.iter().map(|identity| identity.path.clone()).collect();
        let at_home = |path: &str| home.path().join(path);
        assert_eq!(identities, [at_home("mine"), at_home(".ssh/me_web1"), at_home("other")]);
        assert_eq!(target.known_hosts, [at_home("known"), "/srv/known-22".into(), "/etc/known".into()]);
        assert_eq!((target.host_keys, target.identities_only), (HostKeys::AcceptNew, true));
        assert_eq!((target.connect_timeout, target.agent), (Duration::from_secs(120), None));

        // What is not said is as with OpenSSH; what the inventory says wins.
        let wanted = Wanted { host_keys: Some(HostKeys::Off), ..Wanted { name: "web2".into(), ..Wanted::default() } };
        let target = Target::resolve(&wanted, &config, &around).unwrap();
        assert_eq!(target.identity_files[0], Identity { path: at_home(".ssh/id_ed25519"), asked_for: false });
        assert_eq!(target.known_hosts[0], at_home(".ssh/known_hosts"));
        assert_eq!((target.host_keys, target.agent), (HostKeys::Off, Some("/run/agent".into())));
    }

    #[test]
    fn includes_keep_to_their_block() {
        let home = tempfile::tempdir().unwrap();
        let around = around(home.path());
        let write = |name: &str, text: &str| {
            let path = home.path().join(".ssh").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("config", "Include conf.d/*.conf\nHost db*\n Include db\nHost *\n User last\n");
        write("conf.d/20.conf", "Host web1\n User second\n");
        write("conf.d/10.conf", "Host web1\n User first\n");
        write("conf.d/30.txt", "User never\n");
        write("db", "Port 7\nHost web1\n Port 8\nHost db1\n Port 9\nMatch exec true\n Include config\n");
        let config = SshConfig::load(None, &around).unwrap();
        for (host, expected) in [("web1", "first@web1:22"), ("db1", "last@db1:7"), ("x", "last@x:22")] {
            let wanted = Wanted { name: host.into(), ..Wanted::default() };
            let target = Target::resolve(&wanted, &config, &around).unwrap();
            assert_eq!(format!("{}@{}", target.user, target.at()), expected);
        }
        let at = |name: &str| home.path().join(".ssh").join(name).display().to_string();
        let expected = [
            format!("{}:6: this Match block is passed over", at("db")),
            format!("{}:7: this file includes itself", at("db")),
        ];
        assert_eq!(config.warnings, expected);
    }

    #[test]
    fn arguments_win() {
        let around = around(Path::new("/home/me"));
        let arguments = "-o User=ada -oPort=7 -J gate -i '/my key' -C -vvv -o ForwardAgent=yes";
        let config = SshConfig::default().with_arguments(arguments, &around).unwrap();
        let target = Target::resolve(&Wanted { name: "web1".into(), ..Wanted::default() }, &config, &around).unwrap();
        assert_eq!((target.user.as_str(), target.port, target.jumps[0].host.as_str()), ("ada", 7, "gate"));
        assert_eq!(target.identity_files[0].path, Path::new("/my key"));
    }

    #[test]
    fn a_silent_host_is_asked_as_often_as_wanted() {
        let around = around(Path::new("/home/me"));
        for (arguments, wanted) in [("", (10, 3)), ("-o ServerAliveInterval=1m -o ServerAliveCountMax=2", (60, 2))] {
            let config = SshConfig::default().with_arguments(arguments, &around).unwrap();
            let target =
                Target::resolve(&Wanted { name: "web1".into(), ..Wanted::default() }, &config, &around).unwrap();
            assert_eq!((target.alive_interval.as_secs(), target.alive_count), wanted);
        }
    }

    #[test]
    fn an_argument_that_would_lead_elsewhere_is_an_error() {
        let around = around(Path::new("/home/me"));
        let error = SshConfig::default().with_arguments("-C -W web1:22", &around).unwrap_err();
        assert_eq!(error.to_string(), "understand the ssh argument `-W` (understood: -F -i -J -l -o -p)");
        let error = SshConfig::default().with_arguments("-F /nowhere/config", &around).unwrap_err();
        assert!(error.to_string().contains("/nowhere/config"), "{error}");
    }

    #[test]
    fn the_first_of_proxy_command_and_proxy_jump_holds() {
        let around = around(Path::new("/home/me"));
        let table = [
            ("-o 'ProxyCommand=nc %h %p' -J gate", Some("nc web1 22"), 0),
            ("-J gate -o 'ProxyCommand=nc %h %p'", None, 1),
            ("-o 'ProxyCommand=nc -X 5 \"%h\" %p --as %r%%'", Some("nc -X 5 \"web1\" 22 --as me%"), 0),
            ("-o ProxyCommand=none -J gate", None, 0),
        ];
        for (arguments, command, jumps) in table {
            let config = SshConfig::default().with_arguments(arguments, &around).unwrap();
            let target =
                Target::resolve(&Wanted { name: "web1".into(), ..Wanted::default() }, &config, &around).unwrap();
            assert_eq!((target.proxy_command.as_deref(), target.jumps.len()), (command, jumps), "{arguments}");
        }
    }

    #[test]
    fn a_file_that_was_asked_for_must_exist() {
        let around = around(Path::new("/home/me"));
        let error = SshConfig::load(Some(Path::new("/nowhere/config")), &around).unwrap_err();
        assert_eq!(error.to_string(), "read /nowhere/config: No such file or directory (os error 2)");
        assert!(SshConfig::load(Some(Path::new("none")), &around).is_ok());
    }
}
