//! The parameters that say which server and as whom.

/// A module's struct with the parameters of a connection behind its own, and `given()` that gives them. serde's `flatten` would
/// lose `deny_unknown_fields`, so they are fields of each struct.
macro_rules! with_login {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($own)*
            /// The user to log in as. The default is that of `config_file`, or the user that the task runs as.
            login_user: Option<$crate::param::Word>,
            /// The user's password; that of `config_file` by default.
            login_password: Option<$crate::secret::Secret>,
            /// The server's name or address, where no socket is given.
            #[serde(default = "localhost")]
            login_host: $crate::param::Word,
            /// The server's port.
            #[serde(default = "port")]
            login_port: u16,
            /// The server's unix socket; that of `config_file` by default.
            login_unix_socket: Option<std::path::PathBuf>,
            /// The file whose section `[client]` has what is not given here.
            #[serde(default = "config_file")]
            config_file: $crate::param::Word,
            /// How long a server is waited for, in seconds.
            #[serde(default = "connect_timeout")]
            connect_timeout: u32,
            /// A PEM file with the certificate to log in with.
            #[schemars(extend("aliases" = ["ssl_cert"]))]
            client_cert: Option<std::path::PathBuf>,
            /// A PEM file with its private key.
            #[schemars(extend("aliases" = ["ssl_key"]))]
            client_key: Option<std::path::PathBuf>,
            /// A PEM file with the certificates of the authorities to trust.
            #[schemars(extend("aliases" = ["ssl_ca"]))]
            ca_cert: Option<std::path::PathBuf>,
        }

        impl $name {
            fn given(&self) -> $crate::builtin::mysql::Given<'_> {
                $crate::builtin::mysql::Given {
                    user: self.login_user.as_ref().map(|user| user.0.as_str()),
                    password: self.login_password.as_ref(),
                    host: &self.login_host.0,
                    port: self.login_port,
                    socket: self.login_unix_socket.as_deref(),
                    config: &self.config_file.0,
                    timeout: self.connect_timeout,
                    tls: [
                        ("ssl-cert", self.client_cert.as_ref()),
                        ("ssl-key", self.client_key.as_ref()),
                        ("ssl-ca", self.ca_cert.as_ref()),
                    ],
                    names_file: true,
                }
            }
        }
    };
}

use crate::param::Word;

pub(super) fn localhost() -> Word {
    Word("localhost".into())
}

pub(super) fn port() -> u16 {
    3306
}

pub(super) fn config_file() -> Word {
    Word("~/.my.cnf".into())
}

pub(super) fn connect_timeout() -> u32 {
    30
}
