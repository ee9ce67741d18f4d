//! PostgreSQL: statements, roles, and standbys that are copies of a primary.
//!
//! - [`conn`]: the parameters that say which server, shared by all; [`quote`] and [`scram`]: SQL text and password
//!   verifiers, computed here so that neither a statement nor a server's log holds a password.
//! - [`sql_exec`], [`pg_role`], [`basebackup`]: the modules.

#[macro_use]
mod conn;
pub(super) mod basebackup;
mod change;
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
mod scram;
pub(super) mod sql_exec;
