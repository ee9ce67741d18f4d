//! The modules. Each file is one: a struct that is the desired state, one pure `plan`, a doc comment that is its manual.

use crate::module::Entry;

mod assemble;
mod assert;
mod command;
mod common;
mod copy;
mod debug;
mod describe;
mod fail;
mod file;
mod file_block;
mod file_line;
mod find;
mod group;
mod import_role;
mod import_tasks;
mod include_role;
mod include_tasks;
mod include_vars;
mod meta;
mod package;
mod pause;
mod ping;
mod postgres;
mod raw;
mod replace;
mod script;
mod service;
mod set_fact;
mod setup;
mod shell;
mod slurp;
mod stat;
mod state;
mod tempfile;
mod template;
mod user;
mod validate_argument_spec;
mod wait_for;

/// Every module, sorted by name.
pub static REGISTRY: &[Entry] = &[
    Entry::of::<assemble::Assemble>(),
    Entry::of::<assert::Assert>(),
    Entry::of::<postgres::basebackup::BaseBackup>(),
    Entry::of::<command::CommandModule>(),
    Entry::of::<copy::Copy>(),
    Entry::of::<debug::Debug>(),
    Entry::of::<fail::Fail>(),
    Entry::of::<file::FileModule>(),
    Entry::of::<file_block::FileBlock>(),
    Entry::of::<file_line::FileLine>(),
    Entry::of::<find::Find>(),
    Entry::of::<group::GroupModule>(),
    Entry::of::<import_role::ImportRole>(),
    Entry::of::<import_tasks::ImportTasks>(),
    Entry::of::<include_role::IncludeRole>(),
    Entry::of::<include_tasks::IncludeTasks>(),
    Entry::of::<include_vars::IncludeVars>(),
    Entry::of::<postgres::tde::consistency::KeyConsistency>(),
    Entry::of::<meta::Meta>(),
    Entry::of::<package::Packages>(),
    Entry::of::<pause::Pause>(),
    Entry::of::<postgres::pg_cluster::PgCluster>(),
    Entry::of::<postgres::pg_database::PgDatabase>(),
    Entry::of::<postgres::pg_extension::PgExtension>(),
    Entry::of::<postgres::pg_hba::PgHba>(),
    Entry::of::<postgres::pg_privileges::PgPrivileges>(),
    Entry::of::<postgres::pg_publication::PgPublication>(),
    Entry::of::<postgres::pg_role::PgRole>(),
    Entry::of::<postgres::pg_schema::PgSchema>(),
    Entry::of::<postgres::pg_setting::PgSetting>(),
    Entry::of::<postgres::pg_slot::PgSlot>(),
    Entry::of::<postgres::pg_subscription::PgSubscription>(),
    Entry::of::<ping::Ping>(),
    Entry::of::<raw::Raw>(),
    Entry::of::<replace::Replace>(),
    Entry::of::<postgres::replication_check::ReplicationCheck>(),
    Entry::of::<script::Script>(),
    Entry::of::<service::Service>(),
    Entry::of::<set_fact::SetFact>(),
    Entry::of::<setup::Setup>(),
    Entry::of::<shell::Shell>(),
    Entry::of::<slurp::Slurp>(),
    Entry::of::<postgres::sql_exec::SqlExec>(),
    Entry::of::<postgres::sql_file::SqlFile>(),
    Entry::of::<stat::StatModule>(),
    Entry::of::<postgres::tde::key_provider::TdeKeyProvider>(),
    Entry::of::<postgres::tde::principal_key::TdePrincipalKey>(),
    Entry::of::<postgres::tde::table::TdeTable>(),
    Entry::of::<postgres::tde::verify::TdeVerify>(),
    Entry::of::<tempfile::Tempfile>(),
    Entry::of::<template::Template>(),
    Entry::of::<user::UserModule>(),
    Entry::of::<validate_argument_spec::ValidateArgumentSpec>(),
    Entry::of::<wait_for::WaitFor>(),
];

/// The module of that name or alias. FQCNs are the caller's to shorten.
pub fn find(name: &str) -> Option<&'static Entry> {
    REGISTRY.iter().find(|entry| entry.name == name || entry.aliases.contains(&name))
}

/// Every name and alias, for "did you mean".
pub fn names() -> impl Iterator<Item = &'static str> {
    REGISTRY.iter().flat_map(|entry| std::iter::once(entry.name).chain(entry.aliases.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_registry_is_sorted_and_unique() {
        let listed: Vec<_> = REGISTRY.iter().map(|entry| entry.name).collect();
        assert!(listed.is_sorted(), "{listed:?}");
        assert_eq!(names().collect::<BTreeSet<_>>().len(), names().count());
    }

    #[test]
    fn every_module_and_parameter_is_documented() {
        for entry in REGISTRY {
            let schema = entry.schema();
            assert!(schema["description"].is_string(), "{} has no manual", entry.name);
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{}.{name} has no manual", entry.name);
            }
        }
    }
}
