//! Settings on the way to a run: what the command line leaves open.

use std::path::{Path, PathBuf};

use super::CommandError;
use crate::cli::{Config, Run, VaultKeys};
use crate::compile::{PlayDefaults, SearchPaths};
use crate::connect::HostKeys;
use crate::diagnostic::Diagnostics;
use crate::execute::{Debugging, Options};
use crate::report::print::{self, Color};
use crate::settings::{Around, SETTINGS, Settings};

/// Reads them; what is wrong is said.
pub(super) fn load(color: Color) -> Result<Settings, CommandError> {
    read(&Around::of_process(), color)
}

/// The same with that file of Ansible's.
pub(super) fn load_with(path: &Path, color: Color) -> Result<Settings, CommandError> {
    let mut around = Around::of_process();
    around.variables.insert("ANSIBLE_CONFIG".into(), path.display().to_string());
    read(&around, color)
}

fn read(around: &Around, color: Color) -> Result<Settings, CommandError> {
    let mut diagnostics = Diagnostics::new();
    let settings = Settings::load(around, &mut diagnostics);
    print::diagnostics(&diagnostics, color.for_errors());
    if diagnostics.has_errors() { Err(CommandError::Settings) } else { Ok(settings) }
}

/// Fills in what the command line of a run leaves open.
pub(super) fn fill(run: &mut Run, settings: &Settings) {
    if run.inventories.is_empty() {
        run.inventories = settings.list("inventory");
    }
    if run.tags.is_empty() {
        run.tags = settings.list("run_tags");
    }
    if run.skip_tags.is_empty() {
        run.skip_tags = settings.list("skip_tags");
    }
    run.force_handlers |= settings.flag("force_handlers");
    run.forks = run.forks.or_else(|| settings.text("forks").and_then(|forks| forks.parse().ok()));
    let reach = &mut run.reach;
    reach.user = reach.user.take().or_else(|| settings.text("remote_user"));
    reach.private_key = reach.private_key.take().or_else(|| settings.text("private_key_file").map(PathBuf::from));
    reach.become_root |= settings.flag("become");
    reach.ask_pass |= settings.flag("ask_pass");
    reach.ask_become_pass |= settings.flag("become_ask_pass");
    keys(&mut run.vault, settings);
}

/// The same for vault passwords: those of the settings come after those of the command line.
pub(super) fn keys(keys: &mut VaultKeys, settings: &Settings) {
    keys.ids.extend(settings.list("vault_identity_list").into_iter().map(|one| match one.contains('@') {
        true => one,
        false => format!("default@{one}"),
    }));
    // As in Ansible, a file on the command line takes the place of the settings' file.
    if keys.files.is_empty() {
        keys.files.extend(settings.text("vault_password_file").map(PathBuf::from));
    }
    keys.ask |= settings.flag("ask_vault_pass");
}

/// The variables that settings stand for: weaker than whatever the inventory says.
const ASSUMED: [(&str, &str); 6] = [
    ("remote_tmp", "ansible_remote_tmp"),
    ("ssh_common_args", "ansible_ssh_common_args"),
    ("ssh_extra_args", "ansible_ssh_extra_args"),
    ("ssh_retries", "ansible_ssh_retries"),
    ("timeout", "ansible_ssh_timeout"),
    ("become_user", "ansible_become_user"),
];

/// Fills in what a run has no option for.
pub(super) fn assume(options: &mut Options, settings: &Settings) {
    let around = Around::of_process();
    options.paths = SearchPaths {
        roles: settings.directories("roles_path", &around),
        collections: settings.directories("collections_path", &around),
    };
    options.plays = PlayDefaults {
        gather_explicitly: settings.get("gathering").value == "explicit",
        any_errors_fatal: settings.flag("any_errors_fatal"),
    };
    if settings.flag("vault_id_match") {
        options.vault_passwords = std::mem::take(&mut options.vault_passwords).matching();
    }
    options.debugging = Debugging {
        enabled: settings.flag("enable_task_debugger"),
        ignored_too: !settings.flag("task_debugger_ignore_errors"),
    };
    options.managed = settings.text("ansible_managed");
    options.merge_dictionaries = settings.get("hash_behaviour").value == "merge";
    for (setting, variable) in ASSUMED {
        if let Some(value) = settings.text(setting) {
            options.assumed.entry(variable.to_owned()).or_insert(value);
        }
    }
    if settings.text("host_key_checking").is_some() && !settings.flag("host_key_checking") {
        options.host_keys = options.host_keys.or(Some(HostKeys::Off));
    }
}

/// `trueup config`.
pub(super) fn run(args: &Config, color: Color) -> Result<u8, CommandError> {
    let text = show(&load(color)?, !args.only_changed);
    print::data(text.as_bytes())
        .map_err(|source| CommandError::System { doing: "write to standard output", source })?;
    Ok(0)
}

/// Each setting, its value, and where that comes from.
pub(super) fn show(settings: &Settings, everything: bool) -> String {
    let mut out = String::new();
    for setting in SETTINGS {
        let found = settings.get(setting.name);
        if everything || found.origin != crate::settings::Origin::Default {
            let value = if found.value.is_empty() { "(none)" } else { &found.value };
            out.push_str(&format!("{} = {value}  # {}; {}\n", setting.name, found.origin, setting.doc));
        }
    }
    out
}
