//! PostgreSQL: servers, what they are configured to do, and what is in them.
//!
//! - [`conn`]: the parameters that say which server, shared by all; [`quote`] and [`scram`]: SQL text and password
//!   verifiers, computed here so that neither a statement nor a server's log holds a password; [`change`]: statements, each
//!   with what it changes; [`reload`]: having a server read its files again, if they are sound.
//! - The modules: [`pg_cluster`], [`pg_setting`] and [`pg_hba`] are about the server and its files; [`pg_role`],
//!   [`pg_database`], [`pg_schema`], [`pg_extension`], [`pg_privileges`] about what is in it; [`pg_slot`], [`pg_publication`],
//!   [`pg_subscription`], [`basebackup`] and [`replication_check`] about replication; [`tde`] about pg_tde; [`sql_exec`] and [`sql_file`] about all else.

use crate::module::Entry;

#[macro_use]
mod conn;
mod basebackup;
mod change;
mod pg_cluster;
mod pg_database;
mod pg_extension;
mod pg_hba;
mod pg_privileges;
mod pg_publication;
mod pg_role;
mod pg_schema;
mod pg_setting;
mod pg_slot;
mod pg_subscription;
mod quote;
mod reload;
mod replication_check;
mod scram;
mod sql_exec;
mod sql_file;
mod tde;

/// The modules for PostgreSQL, sorted by name.
pub static REGISTRY: &[Entry] = &[
    Entry::of::<basebackup::BaseBackup>(),
    Entry::of::<tde::consistency::KeyConsistency>(),
    Entry::of::<pg_cluster::PgCluster>(),
    Entry::of::<pg_database::PgDatabase>(),
    Entry::of::<pg_extension::PgExtension>(),
    Entry::of::<pg_hba::PgHba>(),
    Entry::of::<pg_privileges::PgPrivileges>(),
    Entry::of::<pg_publication::PgPublication>(),
    Entry::of::<pg_role::PgRole>(),
    Entry::of::<pg_schema::PgSchema>(),
    Entry::of::<pg_setting::PgSetting>(),
    Entry::of::<pg_slot::PgSlot>(),
    Entry::of::<pg_subscription::PgSubscription>(),
    Entry::of::<replication_check::ReplicationCheck>(),
    Entry::of::<sql_exec::SqlExec>(),
    Entry::of::<sql_file::SqlFile>(),
    Entry::of::<tde::key_provider::TdeKeyProvider>(),
    Entry::of::<tde::principal_key::TdePrincipalKey>(),
    Entry::of::<tde::table::TdeTable>(),
    Entry::of::<tde::verify::TdeVerify>(),
];
