//! SQLSTATEs: a server's five characters for what went wrong (PostgreSQL's documentation, appendix A).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Makes the enum and its two tables from one.
macro_rules! states {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal $(: $hint:literal)?),* $(,)?) => {
        /// A SQLSTATE that something here depends on, or another.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum SqlState {
            $($(#[doc = $doc])* $name,)*
            /// Another, as it came.
            Other(String),
        }

        impl SqlState {
            /// The five characters.
            pub fn code(&self) -> &str {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// What the user can do about it, where we know.
            pub fn hint(&self) -> Option<&'static str> {
                match self {
                    $($(Self::$name => Some($hint),)?)*
                    _ => None,
                }
            }
        }

        impl From<String> for SqlState {
            fn from(code: String) -> Self {
                match code.as_str() {
                    $($code => Self::$name,)*
                    _ => Self::Other(code),
                }
            }
        }
    };
}

states! {
    /// `warning`.
    Warning = "01000",
    /// `invalid_parameter_value`.
    InvalidParameterValue = "22023",
    /// `read_only_sql_transaction`: also every write on a standby.
    ReadOnly = "25006": "a standby takes no changes: run the task on its primary",
    /// `invalid_authorization_specification`: no line of pg_hba.conf, or peer authentication as somebody else.
    InvalidAuthorization = "28000": "peer authentication lets in the operating system's user of the role's name: \
        say `become_user: postgres`; for other ways in, see pg_hba.conf",
    /// `invalid_password`.
    InvalidPassword = "28P01": "give the role's password as `login_password`",
    /// `dependent_objects_still_exist`.
    StillNeeded = "2BP01": "give its objects to another role, or drop what depends on it; where the module has \
        `cascade`, that does so",
    /// `invalid_catalog_name`.
    UndefinedDatabase = "3D000": "make the database by a `pg_database` task before this one",
    /// `invalid_schema_name`.
    UndefinedSchema = "3F000": "make the schema by a `pg_schema` task before this one",
    /// `insufficient_privilege`.
    InsufficientPrivilege = "42501": "log in as a role that may; with `become_user: postgres` that is mostly the superuser",
    /// `undefined_object`: a role, an extension, a setting, a slot.
    UndefinedObject = "42704",
    /// `duplicate_object`.
    DuplicateObject = "42710",
    /// `undefined_table`.
    UndefinedTable = "42P01",
    /// `too_many_connections`.
    TooManyConnections = "53300",
    /// `object_not_in_prerequisite_state`.
    NotReady = "55000",
    /// `object_in_use`.
    InUse = "55006": "somebody uses it: end those sessions first; `pg_database` has `force` for that",
    /// `cannot_connect_now`: starting, or shutting down.
    CannotConnectNow = "57P03": "the server is starting or stopping: wait for it, for example by `retries` and `until`",
    /// `undefined_file`: on the server.
    UndefinedFile = "58P01",
    /// `config_file_error`.
    ConfigFile = "F0000",
}

impl From<SqlState> for String {
    fn from(state: SqlState) -> Self {
        state.code().into()
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_and_go_as_they_are() {
        for (code, state) in [
            ("28P01", SqlState::InvalidPassword),
            ("42710", SqlState::DuplicateObject),
            ("XX001", SqlState::Other("XX001".into())),
        ] {
            assert_eq!(SqlState::from(code.to_owned()), state);
            assert_eq!(serde_json::to_value(&state).unwrap(), code);
            assert_eq!(state.to_string(), code);
        }
    }
}
