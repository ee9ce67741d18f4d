//! Trueup called by the name of one of Ansible's programs.

mod config;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;

use super::{CommandError, inventory, modules, run, settings, vault};
use crate::cli::ansible::{AdHoc, Common, Config, Doc, Inventory, Playbook, VaultProgram};
use crate::cli::{Modules, Reach, Run};
use crate::compile::Idle;
use crate::execute::{FOLLOWED, Options};
use crate::inventory::{LOCALHOST, Manner};
use crate::report::Format;
use crate::report::ansible::Verbosity;
use crate::report::ansible::listing::{self, Listing};
use crate::report::ansible::python;
use crate::report::print::{self, Color};
use crate::settings::Settings;
use crate::source::Source;
use crate::value::Value;

/// The programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Playbook,
    AdHoc,
    Inventory,
    Vault,
    Config,
    Doc,
    /// One that Trueup does not stand in for.
    Absent(&'static str),
}

/// Programs of Ansible's that there are not here, and what to do instead.
const ABSENT: [(&str, &str); 5] = [
    ("ansible-galaxy", "put roles and collections where `roles_path` and `collections_path` say, with git for example"),
    ("ansible-pull", "check the repository out with git, and call ansible-playbook with `-c local`"),
    ("ansible-console", "call `ansible` for each task"),
    ("ansible-test", "it tests modules in Python, of which there are none here"),
    ("ansible-connection", "it serves network devices, which are not reached from here"),
];

/// The program whose name Trueup was called by.
pub(super) fn program(name: Option<&OsStr>) -> Option<Program> {
    match Path::new(name?).file_name()?.to_str()? {
        "ansible-playbook" => Some(Program::Playbook),
        "ansible" => Some(Program::AdHoc),
        "ansible-inventory" => Some(Program::Inventory),
        "ansible-vault" => Some(Program::Vault),
        "ansible-config" => Some(Program::Config),
        "ansible-doc" => Some(Program::Doc),
        name => ABSENT.iter().find(|(absent, _)| *absent == name).map(|(absent, _)| Program::Absent(absent)),
    }
}

/// Does what the program would.
pub(super) fn main(program: Program, args: Vec<OsString>) -> Result<u8, CommandError> {
    print::speak_as_ansible();
    let name = program.name();
    let asks_version = args.iter().skip(1).take_while(|arg| *arg != "--").any(|arg| arg == "--version");
    if asks_version && !matches!(program, Program::Absent(_)) {
        return shown(&version(name, args.first(), &settings::load(COLOR)?));
    }
    match program {
        Program::Absent(name) => {
            let hint = ABSENT.iter().find(|(absent, _)| *absent == name).map_or("", |(_, hint)| hint);
            Err(CommandError::NoProgram { name, hint })
        }
        Program::Playbook => playbook(Playbook::try_parse_from(args)?),
        Program::AdHoc => ad_hoc(AdHoc::try_parse_from(args)?),
        Program::Inventory => {
            let mut args = Inventory::try_parse_from(args)?;
            let settings = settings::load(COLOR)?;
            if args.inventory.is_empty() {
                args.inventory = settings.list("inventory");
            }
            settings::keys(&mut args.vault, &settings);
            config_file(args.verbose, &settings)?;
            inventory::run(&args, manner(&settings), COLOR.for_errors())
        }
        Program::Vault => vault::run(VaultProgram::try_parse_from(args)?.verb, COLOR),
        Program::Config => config(&Config::try_parse_from(args)?),
        Program::Doc => {
            let args = Doc::try_parse_from(args)?;
            let names: Vec<Option<String>> = match args.list || args.modules.is_empty() {
                true => vec![None],
                false => args.modules.into_iter().map(Some).collect(),
            };
            for name in names {
                let name = name.map(|name| name.trim_start_matches("ansible.builtin.").to_owned());
                modules::run(&Modules { name }, COLOR.for_output())?;
            }
            Ok(0)
        }
    }
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Playbook => "ansible-playbook",
            Self::AdHoc => "ansible",
            Self::Inventory => "ansible-inventory",
            Self::Vault => "ansible-vault",
            Self::Config => "ansible-config",
            Self::Doc => "ansible-doc",
            Self::Absent(name) => name,
        }
    }
}

/// What `--version` says: first the ansible-core whose language this is, since scripts look for that, then what it really is.
fn version(name: &str, called: Option<&OsString>, settings: &Settings) -> String {
    let config = settings.files.first().map_or_else(|| "None".to_owned(), |path| path.display().to_string());
    let collections = settings.get("collections_path").value;
    let place = called.map(PathBuf::from).and_then(|path| std::path::absolute(path).ok()).unwrap_or_default();
    format!(
        "{name} [core {FOLLOWED}]\n  config file = {config}\n  ansible collection location = {collections}\n  executable \
         location = {}\n  trueup version = {}, a program in Rust that takes the place of ansible-core\n",
        place.display(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Ansible has colours on a terminal; what parses the output has none.
const COLOR: Color = Color::Auto;

fn playbook(args: Playbook) -> Result<u8, CommandError> {
    if let Some(path) = args.playbooks.iter().find(|path| !path.exists()) {
        return Err(CommandError::NoPlaybook { path: path.clone() });
    }
    let settings = settings::load(COLOR)?;
    let verbosity = verbosity(&args.common, &settings);
    let wanted = Listing { hosts: args.common.list_hosts, tasks: args.list_tasks, tags: args.list_tags };
    let mut options = options(args.common, args.playbooks.clone(), args.tags, args.skip_tags, &settings)?;
    options.gather_always = true;
    options.verbosity = verbosity.level;
    options.start_at = args.start_at_task;
    options.step = args.step;
    // Where tags are asked for, those of tasks that never run by themselves are told, too.
    if wanted.tags && options.tags.is_empty() && options.skip_tags.is_empty() {
        options.tags = ["all", "never"].map(str::to_owned).into();
    }
    options.force_handlers |= args.force_handlers;
    if wanted != Listing::default() {
        return list(options, wanted);
    }
    if !args.syntax_check {
        config_file(verbosity.level, &settings)?;
        for name in settings.list("callbacks_enabled") {
            print::say(&format!("[WARNING]: Skipping callback plugin '{name}', unable to load\n"));
        }
        return run::with(options, format(verbosity, &settings), COLOR.for_errors());
    }
    let ending = run::check(&options, COLOR.for_errors());
    let names: String = args.playbooks.iter().map(|path| format!("\nplaybook: {}\n", path.display())).collect();
    if ending == 0 { shown(&names) } else { Ok(ending) }
}

/// How much is told, and how.
fn verbosity(common: &Common, settings: &Settings) -> Verbosity {
    let always = settings.text("verbosity").and_then(|level| level.parse().ok()).unwrap_or(0);
    let off = |name: &str| settings.text(name).is_some() && !settings.flag(name);
    let named = callback(settings);
    Verbosity {
        level: common.verbose.max(always),
        diffs: common.diff || settings.flag("diff_always"),
        yaml: named == "yaml" || settings.get("callback_result_format").value == "yaml",
        hides_skipped: off("display_skipped_hosts"),
        hides_ok: off("display_ok_hosts"),
        stats: settings.flag("show_custom_stats"),
        context: settings.text("diff_context").and_then(|lines| lines.parse().ok()),
        color: print::ansible_paints(),
        width: rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| size.ws_col.into()),
        marks_checks: settings.flag("check_mode_markers"),
        fails_aside: settings.flag("display_failed_stderr"),
        paths: settings.flag("show_task_path_on_failure"),
        starts: settings.flag("show_per_host_start"),
    }
}

/// The callback that is asked for, without its collection.
fn callback(settings: &Settings) -> String {
    let name = settings.get("stdout_callback").value;
    name.rsplit('.').next().unwrap_or_default().to_owned()
}

fn format(verbosity: Verbosity, settings: &Settings) -> Format {
    match callback(settings).as_str() {
        "minimal" => Format::AnsibleMinimal(None),
        "oneline" => Format::AnsibleOneLine,
        "json" => Format::AnsibleJson,
        "default" | "yaml" | "" => Format::Ansible(verbosity),
        other => {
            print::say(&format!("[WARNING]: there is no callback {other} here: the default one is used\n"));
            Format::Ansible(verbosity)
        }
    }
}

/// With `-v`: whose settings hold.
fn config_file(level: u8, settings: &Settings) -> Result<(), CommandError> {
    match (level, settings.files.first()) {
        (0, _) => Ok(()),
        (_, Some(path)) => shown(&format!("Using {} as config file\n", path.display())).map(drop),
        (_, None) => shown("No config file found; using defaults\n").map(drop),
    }
}

/// Lists what each playbook would do.
fn list(mut options: Options, wanted: Listing) -> Result<u8, CommandError> {
    options.gather_always = false;
    options.idle = Idle::Kept;
    // Nothing is run: a task that cannot be is listed like any other.
    options.fails_late = true;
    let mut text = String::new();
    for playbook in std::mem::take(&mut options.playbooks) {
        options.playbooks = vec![playbook.clone()];
        let program = match run::compiled(&options, COLOR.for_errors()) {
            Ok(program) => program,
            Err(status) => return Ok(status),
        };
        text += &format!("\nplaybook: {}\n", playbook.display());
        text += &listing::playbook(program.steps(), wanted);
    }
    shown(&text)
}

/// Modules that need a command line.
const LINES: [&str; 4] = ["command", "raw", "script", "shell"];

/// A playbook of one task.
fn ad_hoc(args: AdHoc) -> Result<u8, CommandError> {
    if LINES.contains(&args.module_name.as_str()) && args.module_args.is_empty() && !args.common.list_hosts {
        return Err(CommandError::NoArgument { module: args.module_name });
    }
    let settings = settings::load(COLOR)?;
    let given = parameters(&args.module_args);
    let mut task = serde_json::json!({ args.module_name.as_str(): given });
    if args.background > 0 {
        (task["async"], task["poll"]) = (args.background.into(), args.poll.into());
    }
    if args.task_timeout > 0 {
        task["timeout"] = args.task_timeout.into();
    }
    let play = serde_json::json!([{ "hosts": args.pattern, "gather_facts": false, "tasks": [task] }]);
    let path = args.playbook_dir.clone().unwrap_or_default().join("<adhoc>");
    let given = Source { path, text: play.to_string() };
    let list_hosts = args.common.list_hosts;
    let verbosity = verbosity(&args.common, &settings);
    let format = match args.one_line {
        true => Format::AnsibleOneLine,
        false => Format::AnsibleMinimal(Some(told(&args))),
    };
    // This machine by its name is there whatever the limit says.
    let here = LOCALHOST.contains(&args.pattern.as_str());
    let mut common = args.common;
    common.limit.take_if(|_| here);
    let limited = common.limit.is_some();
    let mut options = options(common, Vec::new(), Vec::new(), Vec::new(), &settings)?;
    options.warns_of_no_hosts &= !here;
    options.given = Some(Arc::new(given));
    (options.fails_late, options.verbosity) = (true, verbosity.level);
    let program = match run::compiled(&options, COLOR.for_errors()) {
        Ok(program) => program,
        Err(_) if limited => return Err(CommandError::NoTarget),
        Err(status) => return Ok(status),
    };
    let nobody = program.steps().plays.is_empty();
    let hosts_known = !program.inventory().hosts.is_empty();
    if nobody && hosts_known && limited {
        return Err(CommandError::NoTarget);
    }
    if nobody && (hosts_known || !list_hosts) {
        print::say("[WARNING]: No hosts matched, nothing to do\n");
    }
    if list_hosts {
        return shown(&listing::hosts(program.steps()));
    }
    if nobody {
        return Ok(0);
    }
    config_file(verbosity.level, &settings)?;
    match args.tree {
        Some(dir) => run::into_tree(options, format, &dir, COLOR.for_errors()),
        None => run::with(options, format, COLOR.for_errors()),
    }
}

/// The task as Ansible shows it where it fails: a dictionary of Python's, cut off where it is long.
fn told(args: &AdHoc) -> String {
    const MOST: usize = 120;
    let given = match parameters(&args.module_args) {
        serde_json::Value::String(line) if LINES.contains(&args.module_name.as_str()) => {
            serde_json::json!({ "_raw_params": line })
        }
        serde_json::Value::String(line) => {
            let source = Arc::new(Source { path: "<-a>".into(), text: line });
            let pairs = crate::vars::pairs(&source).unwrap_or_default();
            let text = |value: &Value| match value {
                Value::Str(text) => text.clone(),
                Value::Template(template) => template.text.clone(),
                _ => String::new(),
            };
            pairs.iter().map(|(name, value)| (name.clone(), serde_json::Value::from(text(value)))).collect()
        }
        serde_json::Value::Null => serde_json::json!({}),
        other => other,
    };
    let poll = if args.background > 0 { args.poll } else { 15 };
    let task = serde_json::json!({
        "action": args.module_name, "args": given, "timeout": args.task_timeout, "async_val": args.background, "poll": poll,
    });
    let text = python::plain(&task);
    match text.char_indices().nth(MOST) {
        Some(_) => text.chars().take(MOST - 5).chain("[...]".chars()).collect(),
        None => text,
    }
}

/// A dictionary where it is one; else what is written behind `module:`.
fn parameters(args: &str) -> serde_json::Value {
    match serde_json::from_str(args) {
        Ok(serde_json::Value::Object(map)) => map.into(),
        _ if args.is_empty() => serde_json::Value::Null,
        _ => args.into(),
    }
}

/// What a run has to know.
fn options(
    common: Common,
    playbooks: Vec<PathBuf>,
    tags: Vec<String>,
    skip_tags: Vec<String>,
    settings: &Settings,
) -> Result<Options, CommandError> {
    let assumed = [
        ("ansible_connection", common.connection),
        ("ansible_ssh_timeout", common.timeout.map(|seconds| seconds.to_string())),
        ("ansible_ssh_common_args", common.ssh_common_args),
        ("ansible_ssh_extra_args", common.ssh_extra_args),
        ("ansible_become_user", common.become_user),
    ];
    let mut run = Run {
        playbooks,
        inventories: common.inventory,
        // As in Ansible, a limit that says nothing is none.
        limit: common.limit.filter(|limit| !limit.trim().is_empty()),
        tags,
        skip_tags,
        extra_vars: common.extra_vars,
        forks: common.forks,
        start_at_task: None,
        force_handlers: false,
        json: false,
        verbose: false,
        reach: Reach {
            user: common.user,
            private_key: common.private_key,
            become_root: common.become_root,
            ask_pass: common.ask_pass,
            ask_become_pass: common.ask_become_pass,
            accept_new_host_keys: false,
            ssh_config: None,
        },
        vault: common.vault,
    };
    settings::fill(&mut run, settings);
    if run.inventories.is_empty() && Path::new(HOSTS).exists() {
        run.inventories.push(HOSTS.to_owned());
    }
    let mut options = Options { preview: common.check, ..run::executable(run)? };
    options.assumed.extend(assumed.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    settings::assume(&mut options, settings);
    options.idle = Idle::PassedOver;
    options.manner = manner(settings);
    options.warns_of_no_hosts = settings.flag("localhost_warning");
    Ok(options)
}

/// What becomes of inventories that cannot be read.
fn manner(settings: &Settings) -> Manner {
    if settings.flag("inventory_any_unparsed_is_failed") {
        Manner::Strict
    } else if settings.flag("inventory_unparsed_is_failed") {
        Manner::OneAtLeast
    } else {
        Manner::Lenient
    }
}

/// Ansible's inventory where nothing names another.
const HOSTS: &str = "/etc/ansible/hosts";

fn config(args: &Config) -> Result<u8, CommandError> {
    let settings = match &args.config {
        Some(path) => settings::load_with(path, COLOR)?,
        None => settings::load(COLOR)?,
    };
    shown(&config::text(args, &settings)?)
}

fn shown(text: &str) -> Result<u8, CommandError> {
    print::data(text.as_bytes())
        .map_err(|source| CommandError::System { doing: "write to standard output", source })?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let table = [
            ("/usr/local/bin/ansible-playbook", Some(Program::Playbook)),
            ("ansible", Some(Program::AdHoc)),
            ("./ansible-vault", Some(Program::Vault)),
            ("trueup", None),
            ("ansible-galaxy", Some(Program::Absent("ansible-galaxy"))),
            ("ansible-lint", None),
        ];
        for (name, wanted) in table {
            assert_eq!(program(Some(name.as_ref())), wanted, "{name}");
        }
        assert_eq!(program(None), None);
    }
}
