//! The modules. Each file is one: a struct that is the desired state, one pure `plan`, a doc comment that is its manual.

use crate::module::Entry;

#[macro_use]
mod parameters;
mod acl;
#[cfg(feature = "manual")]
mod add_host;
mod alternatives;
mod apache2_module;
mod apt_key;
mod apt_repository;
mod assemble;
#[cfg(feature = "manual")]
mod assert;
mod async_status;
mod authorized_key;
mod capabilities;
mod command;
mod common;
mod copy;
mod cron;
mod crypttab;
mod deb822_repository;
mod debconf;
mod debops_divert;
#[cfg(feature = "manual")]
mod debug;
mod describe;
mod dnf;
mod dpkg_divert;
mod dpkg_selections;
mod encode;
#[cfg(feature = "manual")]
mod fail;
mod fetch;
mod file;
mod file_block;
mod file_line;
mod filesystem;
mod find;
mod flags;
mod get_url;
mod getent;
mod git;
mod group;
#[cfg(feature = "manual")]
mod group_by;
mod hostname;
mod htpasswd;
mod http;
#[cfg(feature = "manual")]
mod import_role;
#[cfg(feature = "manual")]
mod import_tasks;
#[cfg(feature = "manual")]
mod include_role;
#[cfg(feature = "manual")]
mod include_tasks;
#[cfg(feature = "manual")]
mod include_vars;
mod ini_file;
mod iptables;
mod keys;
mod known_hosts;
mod locale_gen;
mod make;
#[cfg(feature = "manual")]
mod meta;
mod modprobe;
mod mount;
mod mysql;
mod npm;
mod package;
mod package_facts;
mod pam_limits;
mod pause;
mod ping;
mod pip;
#[cfg(feature = "postgres")]
pub mod postgres;
mod raw;
mod reboot;
mod replace;
mod rpm_key;
mod script;
mod seboolean;
mod selinux;
mod service;
mod service_facts;
#[cfg(feature = "manual")]
mod set_fact;
#[cfg(feature = "manual")]
mod set_stats;
mod setup;
mod shell;
mod slurp;
mod stat;
mod state;
mod sysctl;
mod tempfile;
mod template;
mod timezone;
mod ufw;
mod unarchive;
mod uri;
mod user;
#[cfg(feature = "manual")]
mod validate_argument_spec;
mod wait_for;
mod wait_for_connection;
mod yum_repository;

/// The modules that every agent has, sorted by name. Those of [`postgres`] have a registry of their own: they bring much
/// with them, and most hosts have no use for it.
static REGISTRY: &[Entry] = &[
    Entry::of::<acl::Acl>(),
    Entry::of::<alternatives::Alternatives>(),
    Entry::of::<apache2_module::Apache2Module>(),
    Entry::of::<apt_key::AptKey>(),
    Entry::of::<apt_repository::AptRepository>(),
    Entry::of::<assemble::Assemble>(),
    Entry::of::<async_status::AsyncStatus>(),
    Entry::of::<authorized_key::AuthorizedKey>(),
    Entry::of::<capabilities::Capabilities>(),
    Entry::of::<command::CommandModule>(),
    Entry::of::<copy::Copy>(),
    Entry::of::<cron::Cron>(),
    Entry::of::<crypttab::Crypttab>(),
    Entry::of::<deb822_repository::Deb822Repository>(),
    Entry::of::<debconf::Debconf>(),
    Entry::of::<debops_divert::DebopsDivert>(),
    Entry::of::<dnf::Dnf>(),
    Entry::of::<dpkg_divert::DpkgDivert>(),
    Entry::of::<dpkg_selections::DpkgSelections>(),
    Entry::of::<fetch::Fetch>(),
    Entry::of::<file::FileModule>(),
    Entry::of::<file_block::FileBlock>(),
    Entry::of::<file_line::FileLine>(),
    Entry::of::<filesystem::Filesystem>(),
    Entry::of::<find::Find>(),
    Entry::of::<get_url::GetUrl>(),
    Entry::of::<getent::Getent>(),
    Entry::of::<git::Git>(),
    Entry::of::<group::GroupModule>(),
    Entry::of::<hostname::Hostname>(),
    Entry::of::<htpasswd::Htpasswd>(),
    Entry::of::<ini_file::IniFile>(),
    Entry::of::<iptables::Iptables>(),
    Entry::of::<known_hosts::KnownHosts>(),
    Entry::of::<locale_gen::LocaleGen>(),
    Entry::of::<make::Make>(),
    Entry::of::<modprobe::Modprobe>(),
    Entry::of::<mount::Mount>(),
    Entry::of::<mysql::mysql_db::MysqlDb>(),
    Entry::of::<mysql::mysql_info::MysqlInfo>(),
    Entry::of::<mysql::mysql_user::MysqlUser>(),
    Entry::of::<mysql::mysql_variables::MysqlVariables>(),
    Entry::of::<npm::Npm>(),
    Entry::of::<package::Packages>(),
    Entry::of::<package_facts::PackageFacts>(),
    Entry::of::<pam_limits::PamLimits>(),
    Entry::of::<pause::Pause>(),
    Entry::of::<ping::Ping>(),
    Entry::of::<pip::Pip>(),
    Entry::of::<raw::Raw>(),
    Entry::of::<reboot::Reboot>(),
    Entry::of::<replace::Replace>(),
    Entry::of::<rpm_key::RpmKey>(),
    Entry::of::<script::Script>(),
    Entry::of::<seboolean::Seboolean>(),
    Entry::of::<selinux::Selinux>(),
    Entry::of::<service::Service>(),
    Entry::of::<service_facts::ServiceFacts>(),
    Entry::of::<setup::Setup>(),
    Entry::of::<shell::Shell>(),
    Entry::of::<slurp::Slurp>(),
    Entry::of::<stat::StatModule>(),
    Entry::of::<sysctl::Sysctl>(),
    Entry::of::<tempfile::Tempfile>(),
    Entry::of::<template::Template>(),
    Entry::of::<timezone::Timezone>(),
    Entry::of::<ufw::Ufw>(),
    Entry::of::<unarchive::Unarchive>(),
    Entry::of::<uri::Uri>(),
    Entry::of::<user::UserModule>(),
    Entry::of::<wait_for::WaitFor>(),
    Entry::of::<wait_for_connection::WaitForConnection>(),
    Entry::of::<yum_repository::YumRepository>(),
];

/// The modules that are planned on the controller, sorted by name: no agent needs them.
#[cfg(feature = "manual")]
static CONTROLLER: &[Entry] = &[
    Entry::of::<add_host::AddHost>(),
    Entry::of::<assert::Assert>(),
    Entry::of::<debug::Debug>(),
    Entry::of::<fail::Fail>(),
    Entry::of::<group_by::GroupBy>(),
    Entry::of::<import_role::ImportRole>(),
    Entry::of::<import_tasks::ImportTasks>(),
    Entry::of::<include_role::IncludeRole>(),
    Entry::of::<include_tasks::IncludeTasks>(),
    Entry::of::<include_vars::IncludeVars>(),
    Entry::of::<meta::Meta>(),
    Entry::of::<set_fact::SetFact>(),
    Entry::of::<set_stats::SetStats>(),
    Entry::of::<validate_argument_spec::ValidateArgumentSpec>(),
];

/// Every module, sorted by name.
pub fn all() -> Vec<&'static Entry> {
    let mut all: Vec<_> = entries().collect();
    all.sort_by_key(|entry| entry.name);
    all
}

/// The module of that name or alias. FQCNs are the caller's to shorten.
pub fn find(name: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.name == name || entry.aliases.contains(&name))
}

/// Whether an agent without PostgreSQL's protocol does not have that module.
#[cfg(feature = "postgres")]
pub fn is_postgres(name: &str) -> bool {
    postgres::REGISTRY.iter().any(|entry| entry.name == name)
}

/// Every name and alias, for "did you mean".
pub fn names() -> impl Iterator<Item = &'static str> {
    entries().flat_map(|entry| std::iter::once(entry.name).chain(entry.aliases.iter().copied()))
}

fn entries() -> impl Iterator<Item = &'static Entry> {
    #[cfg(feature = "postgres")]
    let postgres = postgres::REGISTRY;
    #[cfg(not(feature = "postgres"))]
    let postgres: &[Entry] = &[];
    #[cfg(feature = "manual")]
    let controller = CONTROLLER;
    #[cfg(not(feature = "manual"))]
    let controller: &[Entry] = &[];
    REGISTRY.iter().chain(controller).chain(postgres)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Place;
    use std::collections::BTreeSet;

    #[test]
    fn the_registry_is_sorted_and_unique() {
        for registry in [REGISTRY, CONTROLLER, postgres::REGISTRY] {
            assert!(registry.is_sorted_by_key(|entry| entry.name), "{registry:?}");
        }
        for (registry, place) in [(REGISTRY, Place::Host), (CONTROLLER, Place::Controller)] {
            assert!(registry.iter().all(|entry| entry.place == place), "{registry:?}");
        }
        assert_eq!(names().collect::<BTreeSet<_>>().len(), names().count());
    }

    #[test]
    fn serde_has_one_name_for_each_parameter() {
        for entry in all() {
            let schema = entry.schema();
            let named: BTreeSet<&str> =
                schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            let fields = entry.fields();
            assert!(
                fields.is_empty() || fields.len() == named.len() && fields.iter().all(|name| named.contains(name)),
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn every_module_and_parameter_is_documented() {
        for entry in all() {
            let schema = entry.schema();
            assert!(schema["description"].is_string(), "{} has no manual", entry.name);
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{}.{name} has no manual", entry.name);
            }
        }
    }
}
