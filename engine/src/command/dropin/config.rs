//! `ansible-config`: the settings that Ansible and Trueup share, by Ansible's names and in its forms.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::cli::ansible::{Config, ConfigAction, ConfigFormat};
use crate::command::CommandError;
use crate::report::ansible::python::{dumps_indented, plain};
use crate::settings::{Kind, Origin, SETTINGS, Setting, Settings};

/// What `ansible-config` prints.
pub(super) fn text(args: &Config, settings: &Settings) -> Result<String, CommandError> {
    match args.action {
        ConfigAction::View if settings.files.is_empty() => Err(CommandError::NoConfig),
        ConfigAction::View => Ok(settings.files.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()),
        ConfigAction::Dump => Ok(dump(args, settings)),
        ConfigAction::List => Ok(list(args.format)),
        ConfigAction::Init => Ok(init()),
    }
}

/// The constant that Ansible keeps a setting in; nothing for what belongs to one of its plugins.
fn constant(setting: &Setting) -> Option<String> {
    const PLUGINS: [&str; 11] = [
        "ansible_managed",
        "callback_result_format",
        "check_mode_markers",
        "display_failed_stderr",
        "display_ok_hosts",
        "remote_tmp",
        "show_per_host_start",
        "show_task_path_on_failure",
        "ssh_common_args",
        "ssh_extra_args",
        "ssh_retries",
    ];
    const PLAIN: [&str; 9] = [
        "any_errors_fatal",
        "callbacks_enabled",
        "diff_always",
        "diff_context",
        "display_skipped_hosts",
        "enable_task_debugger",
        "host_key_checking",
        "show_custom_stats",
        "task_debugger_ignore_errors",
    ];
    let name = setting.name.to_uppercase();
    Some(match setting.name {
        name if PLUGINS.contains(&name) => return None,
        "collections_path" => "COLLECTIONS_PATHS".into(),
        "inventory" => "DEFAULT_HOST_LIST".into(),
        "run_tags" => "TAGS_RUN".into(),
        "skip_tags" => "TAGS_SKIP".into(),
        own if PLAIN.contains(&own) => name,
        _ => format!("DEFAULT_{name}"),
    })
}

/// The shared settings by those constants, in their order.
fn shared() -> BTreeMap<String, &'static Setting> {
    SETTINGS.iter().filter_map(|setting| Some((constant(setting)?, setting))).collect()
}

fn value(kind: Kind, text: &str) -> Json {
    let parts =
        |separator| text.split(separator).map(str::trim).filter(|part| !part.is_empty()).map(expanded).collect();
    match kind {
        Kind::Flag => json!(trueup_modules::param::truth(text) == Some(true)),
        Kind::Number => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        Kind::List | Kind::Paths => parts(','),
        Kind::SearchPath => parts(':'),
        Kind::Text | Kind::Path | Kind::Choice(_) if text.is_empty() => Json::Null,
        Kind::Text | Kind::Path | Kind::Choice(_) => json!(text),
    }
}

fn expanded(path: &str) -> Json {
    match path.strip_prefix("~/") {
        Some(rest) => json!(format!("{}/{rest}", std::env::var("HOME").unwrap_or_default())),
        None => json!(path),
    }
}

fn dump(args: &Config, settings: &Settings) -> String {
    let file = settings.files.first().map(|path| path.display().to_string());
    let mut found = vec![("CONFIG_FILE".to_owned(), String::new(), json!(file))];
    for (name, setting) in shared() {
        let one = settings.get(setting.name);
        let origin = match &one.origin {
            Origin::Default if args.only_changed => continue,
            Origin::Default => "default".to_owned(),
            Origin::File(path, _) => path.display().to_string(),
            Origin::Variable(name) => format!("env: {name}"),
        };
        found.push((name, origin, value(setting.kind, &one.value)));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if args.format == ConfigFormat::Display {
        let line = |(name, origin, value): &(String, String, Json)| format!("{name}({origin}) = {}\n", plain(value));
        return found.iter().map(line).chain(["\nGALAXY_SERVERS:\n".to_owned()]).collect();
    }
    let each = found.into_iter().map(|(name, origin, value)| json!({"name": name, "origin": origin, "value": value}));
    in_format(&each.chain([json!({"GALAXY_SERVERS": {}})]).collect(), args.format)
}

fn in_format(all: &Json, format: ConfigFormat) -> String {
    match format {
        ConfigFormat::Json => format!("{}\n", dumps_indented(all)),
        _ => crate::template::yaml_of_result(all),
    }
}

fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag => "boolean",
        Kind::Number => "integer",
        Kind::List => "list",
        Kind::Paths => "pathlist",
        Kind::SearchPath => "pathspec",
        Kind::Path => "path",
        Kind::Text | Kind::Choice(_) => "string",
    }
}

fn list(format: ConfigFormat) -> String {
    let describe = |setting: &Setting| {
        json!({
            "default": value(setting.kind, setting.default),
            "description": [setting.doc],
            "env": [{"name": setting.variable}],
            "ini": [{"key": setting.ini.1, "section": setting.ini.0}],
            "name": setting.name,
            "type": type_of(setting.kind),
        })
    };
    in_format(&shared().into_iter().map(|(name, setting)| (name, describe(setting))).collect(), format)
}

/// A file in which each setting stands with its default, for a start.
fn init() -> String {
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    for setting in SETTINGS {
        let section = sections.entry(setting.ini.0).or_default();
        // Writing to a text does not fail.
        _ = writeln!(
            section,
            "# ({}) {}\n;{}={}\n",
            type_of(setting.kind),
            setting.doc,
            setting.ini.1,
            setting.default
        );
    }
    sections.iter().map(|(name, settings)| format!("[{name}]\n{settings}")).collect()
}
