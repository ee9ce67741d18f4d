//! The family for MySQL and MariaDB: what the modules share. A server is asked, and told, by the client program mysql(1) of the
//! host; a password goes by its environment, and a statement that has one by its standard input, never by its arguments.

use std::path::{Path, PathBuf};

use super::common;
use crate::edit::{Diff, Edit, Reach};
use crate::expand;
use crate::host::{Command, Error, Host, Input};
use crate::secret::Secret;

#[macro_use]
mod login;
mod grants;
pub(super) mod mysql_db;
pub(super) mod mysql_info;
pub(super) mod mysql_user;
pub(super) mod mysql_variables;
mod quote;

use quote::unescaped;

/// Which server, and as whom: what the parameters say.
struct Given<'a> {
    user: Option<&'a str>,
    password: Option<&'a Secret>,
    host: &'a str,
    port: u16,
    socket: Option<&'a Path>,
    config: &'a str,
    timeout: u32,
    tls: [(&'static str, Option<&'a PathBuf>); 3],
    /// Whether a failure to log in is put down to the file of options, where that is not there.
    names_file: bool,
}

/// A way to a server that answers.
struct Session {
    program: String,
    args: Vec<String>,
    password: Option<Secret>,
    /// `10.11.6-MariaDB-0+deb12u1`.
    version: String,
}

/// A row; `None` is SQL's null.
type Row = Vec<Option<String>>;

impl Given<'_> {
    /// The first of these that is let in. `root` without a password is tried before, if that is asked for.
    fn session(&self, host: &dyn Host, implicit: bool) -> Result<Session, Error> {
        let path = expand::all(host, &[self.config.to_owned()])?.remove(0);
        let config = host.read(Path::new(&path))?.map(|text| String::from_utf8_lossy(&text).into_owned());
        let root = Given { user: Some("root"), password: None, ..*self };
        if implicit && let Ok(session) = root.try_in(host, "") {
            return Ok(session);
        }
        self.try_in(host, config.as_deref().unwrap_or_default()).map_err(|error| {
            let Some(why) = told(&error) else { return error };
            let what = match config.is_none() && self.names_file {
                true => format!("unable to find {path}"),
                false => format!(
                    "unable to connect to database, check login_user and login_password are correct or {path} has the credentials"
                ),
            };
            error.telling("msg", format!("{what}. Exception message: {}", self.exception(&why)))
        })
    }

    fn try_in(&self, host: &dyn Host, config: &str) -> Result<Session, Error> {
        let mut program = common::whole_path(host, "mysql")?;
        if !program.starts_with('/') {
            program = common::whole_path(host, "mariadb")?;
        }
        let kept = |key| client_setting(config, key);
        let mut args = vec!["--no-defaults".to_owned(), "--batch".into(), "--skip-column-names".into()];
        args.push(format!("--connect-timeout={}", self.timeout));
        args.extend(self.user.map(str::to_owned).or(kept("user")).map(|user| format!("--user={user}")));
        match self.socket.map(|socket| socket.display().to_string()).or(kept("socket")) {
            Some(socket) => args.push(format!("--socket={socket}")),
            None => args.extend([
                "--protocol=TCP".to_owned(),
                format!("--host={}", self.host),
                format!("--port={}", self.port),
            ]),
        }
        for (name, given) in self.tls {
            let value = given.map(|path| path.display().to_string()).or(kept(name));
            args.extend(value.map(|value| format!("--{name}={value}")));
        }
        let given = self.password.filter(|password| !password.expose().is_empty()).cloned();
        let password = given.or_else(|| kept("password").map(Secret::new));
        let session = Session { program, args, password, version: String::new() };
        let rows = session.ask(host, "SELECT VERSION()")?;
        let version = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()).unwrap_or_default();
        Ok(Session { version, ..session })
    }

    /// What Python's library makes of the client's complaint.
    fn exception(&self, why: &Complaint) -> String {
        let said = match (why.code, why.errno()) {
            (2002 | 2003, Some((number, words))) => {
                return format!(
                    "(2003, \"Can't connect to MySQL server on '{}' ([Errno {number}] {words})\")",
                    self.host
                );
            }
            _ => why.text.replace('"', "\\\""),
        };
        format!("({}, \"{said}\")", why.code)
    }
}

/// `ERROR 1045 (28000): Access denied …`, of the client or the server.
struct Complaint {
    code: u32,
    text: String,
}

impl Complaint {
    /// The system's number at the end of `… (111)`.
    fn errno(&self) -> Option<(u32, &'static str)> {
        let number = self.text.rsplit_once('(')?.1.trim_end_matches([')', ' ']).trim_matches('"');
        let number: u32 = number.split(' ').next()?.parse().ok()?;
        let words = match number {
            2 => "No such file or directory",
            13 => "Permission denied",
            111 => "Connection refused",
            113 => "No route to host",
            _ => return None,
        };
        Some((number, words))
    }
}

fn told(error: &Error) -> Option<Complaint> {
    let Error::Command { output, .. } = error else { return None };
    let line = output.stderr.lines().find_map(|line| line.strip_prefix("ERROR "))?;
    let (code, rest) = line.split_once(' ')?;
    Some(Complaint { code: code.parse().ok()?, text: rest.split_once(": ")?.1.to_owned() })
}

/// What `[client]` of a file of options says (my.cnf(5)).
fn client_setting(config: &str, wanted: &str) -> Option<String> {
    let mut inside = false;
    let mut found = None;
    for line in config.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end_matches(']').trim() == "client";
        } else if inside && !line.starts_with(['#', ';', '!']) {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let value = value.trim();
            let bare = ['\'', '"'].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
            if key.trim().replace('_', "-") == wanted {
                found = Some(bare.unwrap_or(value).to_owned());
            }
        }
    }
    found
}

impl Session {
    fn is_mariadb(&self) -> bool {
        self.version.to_lowercase().contains("mariadb")
    }

    /// Whether the server is older than that.
    fn is_before(&self, major: u32, minor: u32) -> bool {
        let mut parts = self.version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (major, minor)
    }

    /// What is no secret is an argument, as one would type it.
    fn command(&self, statements: Input) -> Command {
        let mut command = Command::new(self.program.as_str(), self.args.iter().map(String::as_str));
        match statements {
            Input::Plain(text) => command.args.push(format!("--execute={text}")),
            secret @ Input::Secret(_) => command.stdin = Some(secret),
        }
        // What the server answers is wanted, though it was given a password.
        command.answers = true;
        command.env.extend(self.password.clone().map(|password| ("MYSQL_PWD".to_owned(), Input::Secret(password))));
        command
    }

    fn ask(&self, host: &dyn Host, query: &str) -> Result<Vec<Row>, Error> {
        let output = host.query(&self.command(Input::Plain(query.to_owned())))?;
        if !output.success() {
            return Err(Error::Command { command: format!("mysql: {query}"), output: Box::new(output) });
        }
        Ok(output.stdout.lines().map(|line| line.split('\t').map(unescaped).collect()).collect())
    }

    /// The first value of the first row.
    fn one(&self, host: &dyn Host, query: &str) -> Result<Option<String>, Error> {
        Ok(self.ask(host, query)?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    /// Statements that are executed in one go. A secret one is not shown.
    fn edit(&self, statements: &[String], is_secret: bool, effect: Vec<Diff>) -> Edit {
        let text = statements.join("; ");
        let input = if is_secret { Input::Secret(Secret::new(text)) } else { Input::Plain(text) };
        Edit::run(self.command(input), effect, Reach::Anything)
    }
}

/// What Ansible says of a statement that failed: the server's number and words, as Python shows them.
fn lamented(error: &Error) -> Option<String> {
    told(error).map(|why| format!("({}, \"{}\")", why.code, why.text.replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_client() {
        let config =
            "[mysqld]\nuser=mysql\n[client]\n# c\nuser = root\npassword=\"a#b\"\nssl_ca=/c\n!include x\n[x]\nuser=y\n";
        assert_eq!(client_setting(config, "user").as_deref(), Some("root"));
        assert_eq!(client_setting(config, "password").as_deref(), Some("a#b"));
        assert_eq!(client_setting(config, "ssl-ca").as_deref(), Some("/c"));
        assert_eq!(client_setting(config, "socket"), None);
    }

    #[test]
    fn errors_read_as_those_of_the_library() {
        let path = PathBuf::from("/s");
        let given = Given {
            user: None,
            password: None,
            host: "localhost",
            port: 3306,
            socket: Some(&path),
            config: "~/.my.cnf",
            timeout: 30,
            tls: [("ssl-cert", None), ("ssl-key", None), ("ssl-ca", None)],
            names_file: true,
        };
        let table = [
            (
                1698,
                "Access denied for user 'root'@'localhost'",
                "(1698, \"Access denied for user 'root'@'localhost'\")",
            ),
            (
                2002,
                "Can't connect to local server through socket '/s' (2)",
                "(2003, \"Can't connect to MySQL server on 'localhost' ([Errno 2] No such file or directory)\")",
            ),
            (
                2002,
                "Can't connect to server on 'localhost' (111 \"Connection refused\")",
                "(2003, \"Can't connect to MySQL server on 'localhost' ([Errno 111] Connection refused)\")",
            ),
        ];
        for (code, text, wanted) in table {
            let why = Complaint { code, text: text.to_owned() };
            assert_eq!(given.exception(&why), wanted);
        }
    }
}
