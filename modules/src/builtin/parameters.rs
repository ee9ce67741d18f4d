//! Parameters that several modules have. serde's `flatten` would lose `deny_unknown_fields`, so they are fields of each
//! struct, which these macros write behind its own.

/// A module's struct with what a file shall have beside its content, and `attributes()` that gives it.
macro_rules! with_file_parameters {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($own)*
            /// Permission bits. Without them a new file has `"0644"`, one that holds a secret `"0600"`.
            mode: Option<$crate::param::Mode>,
            /// The owner, by name or number.
            owner: Option<String>,
            /// The group, by name or number.
            group: Option<String>,
            /// Taken for Ansible's sake: files are put in place atomically in any case.
            #[serde(default)]
            #[expect(dead_code, reason = "there is nothing that it could change")]
            unsafe_writes: bool,
            /// Flags as chattr(1) takes them: `i` and `=i` for just these, `+i` and `-i` for one more or less. For nothing on a
            /// host without chattr(1).
            #[schemars(extend("aliases" = ["attr"]))]
            attributes: Option<$crate::param::Word>,
            /// The user of the SELinux label. This and its like are for nothing on a host without SELinux, and refused on others.
            seuser: Option<$crate::param::Word>,
            /// The role of the SELinux label.
            serole: Option<$crate::param::Word>,
            /// The type of the SELinux label.
            setype: Option<$crate::param::Word>,
            /// The level of the SELinux label.
            selevel: Option<$crate::param::Word>,
        }

        impl $name {
            /// Permission bits and owners, as given.
            fn attributes(&self) -> $crate::builtin::common::Attributes<'_> {
                $crate::builtin::common::Attributes {
                    mode: self.mode.as_ref(),
                    owner: self.owner.as_deref(),
                    group: self.group.as_deref(),
                    flags: self.attributes.as_ref().map(|flags| flags.0.as_str()),
                    label: [
                        ("seuser", &self.seuser),
                        ("serole", &self.serole),
                        ("setype", &self.setype),
                        ("selevel", &self.selevel),
                    ]
                    .into_iter()
                    .find_map(|(name, part)| part.as_ref().map(|_| name)),
                }
            }
        }
    };
}

/// A module's struct with the parameters of a request over HTTP and of the file that its answer goes to, and `request()`
/// that asks for an address by them. It has `url_username` and `timeout` itself, which differ.
macro_rules! with_http_parameters {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident { $($own:tt)* }) => {
        with_file_parameters! {
            $(#[$attribute])*
            $visibility struct $name {
                $($own)*
                /// Headers of the request. May be secret.
                #[serde(default)]
                headers: std::collections::BTreeMap<String, $crate::param::Content>,
                /// What the client calls itself.
                #[serde(default = "crate::builtin::http::agent")]
                http_agent: String,
                /// The user's password.
                #[schemars(extend("aliases" = ["password"]))]
                url_password: Option<$crate::secret::Secret>,
                /// Taken for Ansible's sake: user and password are always sent with the first request.
                #[serde(default)]
                #[expect(dead_code, reason = "it is what is done")]
                force_basic_auth: bool,
                /// A certificate of the client's, on the host.
                client_cert: Option<std::path::PathBuf>,
                /// Its key.
                client_key: Option<std::path::PathBuf>,
                /// Ciphers of TLS that may be used, as OpenSSL names them; curl's own choice by default.
                #[serde(default)]
                ciphers: Vec<$crate::param::Word>,
                /// Whether to log in by Kerberos, with the ticket of the user that the task runs as.
                #[serde(default)]
                use_gssapi: bool,
                /// Whether the server must have a certificate that holds.
                #[serde(default = "crate::builtin::common::yes")]
                validate_certs: bool,
                /// Whether the proxy that the environment names is used.
                #[serde(default = "crate::builtin::common::yes")]
                use_proxy: bool,
                /// Whether ~/.netrc may have the password.
                #[serde(default = "crate::builtin::common::yes")]
                use_netrc: bool,
                /// Taken for Ansible's sake: content is taken as the server has it.
                #[serde(default = "crate::builtin::common::yes")]
                #[expect(dead_code, reason = "the server is asked for nothing compressed")]
                decompress: bool,
            }
        }

        impl $name {
            /// What asks for that address, and follows where the server sends it.
            fn request<'a>(&'a self, url: &'a $crate::param::Content) -> $crate::builtin::http::Request<'a> {
                $crate::builtin::http::Request {
                    url,
                    method: "GET",
                    agent: &self.http_agent,
                    login: self.url_username.as_deref().map(|user| (user, self.url_password.as_ref())),
                    headers: std::borrow::Cow::Borrowed(&self.headers),
                    validate_certs: self.validate_certs,
                    paths: vec![("cert", self.client_cert.as_deref()), ("key", self.client_key.as_deref())],
                    use_proxy: self.use_proxy,
                    use_netrc: self.use_netrc,
                    timeout: self.timeout,
                    ciphers: &self.ciphers,
                    use_gssapi: self.use_gssapi,
                    follow: true,
                    body: None,
                }
            }
        }
    };
}
