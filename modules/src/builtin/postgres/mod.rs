//! PostgreSQL: servers, what they are configured to do, and what is in them.
//!
//! - [`conn`]: the parameters that say which server, shared by all; [`quote`] and [`scram`]: SQL text and password
//!   verifiers, computed here so that neither a statement nor a server's log holds a password; [`change`]: statements, each
//!   with what it changes; [`reload`]: having a server read its files again, if they are sound.
//! - The modules: [`pg_cluster`], [`pg_setting`] and [`pg_hba`] are about the server and its files; [`pg_role`],
//!   [`pg_database`], [`pg_schema`], [`pg_extension`], [`pg_privileges`] about what is in it; [`pg_slot`], [`pg_publication`],
//!   [`pg_subscription`], [`basebackup`] and [`replication_check`] about replication; [`tde`] about pg_tde; [`sql_exec`] and [`sql_file`] about all else.

#[macro_use]
mod conn;
pub(super) mod basebackup;
mod change;
pub(super) mod pg_cluster;
pub(super) mod pg_database;
pub(super) mod pg_extension;
pub(super) mod pg_hba;
pub(super) mod pg_privileges;
pub(super) mod pg_publication;
pub(super) mod pg_role;
pub(super) mod pg_schema;
pub(super) mod pg_setting;
pub(super) mod pg_slot;
pub(super) mod pg_subscription;
mod quote;
mod reload;
pub(super) mod replication_check;
mod scram;
pub(super) mod sql_exec;
pub(super) mod sql_file;
pub(super) mod tde;
