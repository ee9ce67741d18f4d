//! The parameters that say which server and as whom.

use std::path::PathBuf;

use crate::secret::Secret;
use crate::sql::{PgConn, SslMode};

/// A module's struct with the parameters of a connection behind its own, and `conn()` that gives the connection. serde's
/// `flatten` would lose `deny_unknown_fields`, so they are fields of each struct.
macro_rules! with_connection {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($own)*
            /// The server's name or address; or the directory of its unix socket, if it begins with `/`. The default is
            /// `/var/run/postgresql`, where Debian's socket is.
            #[schemars(extend("aliases" = ["host"]))]
            login_host: Option<String>,
            /// The server's port, or the number in its socket's name. The default is 5432.
            #[schemars(extend("aliases" = ["port"]))]
            login_port: Option<u16>,
            /// The directory of the unix socket; wins over `login_host`, as in Ansible.
            #[schemars(extend("aliases" = ["unix_socket"]))]
            login_unix_socket: Option<std::path::PathBuf>,
            /// The role to log in as. The default is the name of the user that the task runs as, which is what
            /// PostgreSQL's peer authentication wants.
            #[schemars(extend("aliases" = ["login"]))]
            login_user: Option<String>,
            /// The role's password, where the server asks for one.
            login_password: Option<$crate::secret::Secret>,
            /// A role to act as once logged in (`SET ROLE`): what is made belongs to it.
            session_role: Option<String>,
            /// The database. The default is `postgres`.
            #[schemars(extend("aliases" = ["login_db", "database", "maintenance_db"]))]
            db: Option<String>,
            /// Whether the connection is encrypted and the server's certificate checked: libpq's `sslmode`. The default
            /// is `prefer`. A unix socket is never encrypted.
            #[schemars(extend("aliases" = ["sslmode"]))]
            ssl_mode: Option<$crate::sql::SslMode>,
            /// A PEM file with the certificates of the authorities to trust, or `system` for the machine's own. The default
            /// is `.postgresql/root.crt` in the home of the user that the task runs as.
            #[schemars(extend("aliases" = ["ssl_rootcert"]))]
            ca_cert: Option<String>,
            /// A PEM file with the certificate to log in with, where the server asks for one.
            ssl_cert: Option<String>,
            /// A PEM file with the private key of `ssl_cert`, readable by its owner alone.
            ssl_key: Option<String>,
            /// Taken for Ansible's sake: names and values are quoted in any case.
            #[serde(default = "crate::builtin::common::yes")]
            #[expect(dead_code, reason = "there is nothing that it could change")]
            trust_input: bool,
        }

        impl $name {
            /// The server that the parameters name.
            fn conn(&self) -> $crate::sql::PgConn {
                $crate::builtin::postgres::conn::Given {
                    host: self.login_host.as_ref(),
                    port: self.login_port,
                    socket: self.login_unix_socket.as_ref(),
                    user: self.login_user.as_ref(),
                    password: self.login_password.as_ref(),
                    role: self.session_role.as_ref(),
                    db: self.db.as_ref(),
                    sslmode: self.ssl_mode,
                    root_cert: self.ca_cert.as_ref(),
                    client_cert: self.ssl_cert.as_ref(),
                    client_key: self.ssl_key.as_ref(),
                }
                .conn()
            }
        }
    };
}

/// The parameters of [`with_connection`], as given.
#[derive(Default)]
pub(super) struct Given<'a> {
    pub(super) host: Option<&'a String>,
    pub(super) port: Option<u16>,
    pub(super) socket: Option<&'a PathBuf>,
    pub(super) user: Option<&'a String>,
    pub(super) password: Option<&'a Secret>,
    pub(super) role: Option<&'a String>,
    pub(super) db: Option<&'a String>,
    pub(super) sslmode: Option<SslMode>,
    pub(super) root_cert: Option<&'a String>,
    pub(super) client_cert: Option<&'a String>,
    pub(super) client_key: Option<&'a String>,
}

impl Given<'_> {
    /// As Ansible has it, an empty text is "not given".
    pub(super) fn conn(self) -> PgConn {
        let given = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
        let socket = self.socket.map(|path| path.display().to_string()).filter(|path| !path.is_empty());
        let default = PgConn::default();
        PgConn {
            host: socket.or_else(|| given(self.host)).unwrap_or(default.host),
            port: self.port.unwrap_or(default.port),
            user: given(self.user),
            password: self.password.cloned(),
            role: given(self.role),
            database: given(self.db).unwrap_or(default.database),
            sslmode: self.sslmode.unwrap_or(default.sslmode),
            root_cert: given(self.root_cert),
            client_cert: given(self.client_cert),
            client_key: given(self.client_key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_wins_and_the_empty_text_is_not_given() {
        let (host, empty) = ("db1".to_owned(), String::new());
        let socket = PathBuf::from("/run/pg");
        let table = [
            (Given::default(), "/var/run/postgresql:5432/postgres"),
            (Given { host: Some(&host), port: Some(5433), ..Given::default() }, "db1:5433/postgres"),
            (Given { host: Some(&host), socket: Some(&socket), ..Given::default() }, "/run/pg:5432/postgres"),
            (Given { host: Some(&empty), db: Some(&host), ..Given::default() }, "/var/run/postgresql:5432/db1"),
        ];
        for (given, wanted) in table {
            assert_eq!(given.conn().to_string(), wanted);
        }
    }
}
