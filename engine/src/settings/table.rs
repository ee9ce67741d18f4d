//! The settings, one a line: Ansible's names wherever Ansible has the setting.

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A file; relative to the file that names it, `~` is the home directory.
    Path,
    /// Files with commas between, or sources of another kind.
    Paths,
    /// Directories with colons between, in which something is looked for.
    SearchPath,
    /// Texts with commas between.
    List,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
    /// One of these.
    Choice(&'static [&'static str]),
}

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name here and in `trueup.toml`.
    pub name: &'static str,
    /// Section and key in `ansible.cfg`.
    pub ini: (&'static str, &'static str),
    /// The environment variable.
    pub variable: &'static str,
    /// What it must be.
    pub kind: Kind,
    /// What holds without it.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// Every setting, sorted by name.
pub static SETTINGS: &[Setting] = &[
    setting(
        "ansible_managed",
        "defaults",
        "ANSIBLE_MANAGED",
        Kind::Text,
        crate::template::MANAGED,
        "what the variable of that name says in the files of `template`, where nobody sets it",
    ),
    setting(
        "any_errors_fatal",
        "defaults",
        "ANSIBLE_ANY_ERRORS_FATAL",
        Kind::Flag,
        "false",
        "whether a failure on one host ends the play on all",
    ),
    setting("ask_pass", "defaults", "ANSIBLE_ASK_PASS", Kind::Flag, "false", "ask for the password for SSH"),
    setting("ask_vault_pass", "defaults", "ANSIBLE_ASK_VAULT_PASS", Kind::Flag, "false", "ask for the vault password"),
    setting(
        "become",
        "privilege_escalation",
        "ANSIBLE_BECOME",
        Kind::Flag,
        "false",
        "become root where nothing else is said",
    ),
    setting(
        "become_ask_pass",
        "privilege_escalation",
        "ANSIBLE_BECOME_ASK_PASS",
        Kind::Flag,
        "false",
        "ask for the password for sudo",
    ),
    setting("become_user", "privilege_escalation", "ANSIBLE_BECOME_USER", Kind::Text, "root", "whom to become"),
    setting(
        "callback_result_format",
        "defaults",
        "ANSIBLE_CALLBACK_RESULT_FORMAT",
        Kind::Choice(&["json", "yaml"]),
        "json",
        "how results are printed where Trueup stands in for ansible-playbook",
    ),
    setting(
        "callbacks_enabled",
        "defaults",
        "ANSIBLE_CALLBACKS_ENABLED",
        Kind::List,
        "",
        "callbacks beside the one that prints: Trueup has none, and says which it passes over",
    ),
    setting(
        "check_mode_markers",
        "defaults",
        "ANSIBLE_CHECK_MODE_MARKERS",
        Kind::Flag,
        "false",
        "whether ansible-playbook marks banners where nothing is changed",
    ),
    setting(
        "collections_path",
        "defaults",
        "ANSIBLE_COLLECTIONS_PATH",
        Kind::SearchPath,
        "~/.ansible/collections:/usr/share/ansible/collections",
        "where collections are, apart from beside the playbook",
    ),
    Setting {
        ini: ("diff", "always"),
        ..setting("diff_always", "diff", "ANSIBLE_DIFF_ALWAYS", Kind::Flag, "false", "whether `--diff` is always meant")
    },
    Setting {
        ini: ("diff", "context"),
        ..setting(
            "diff_context",
            "diff",
            "ANSIBLE_DIFF_CONTEXT",
            Kind::Number,
            "3",
            "how many lines ansible-playbook shows around what differs",
        )
    },
    setting(
        "display_failed_stderr",
        "defaults",
        "ANSIBLE_DISPLAY_FAILED_STDERR",
        Kind::Flag,
        "false",
        "whether ansible-playbook tells failures on standard error",
    ),
    setting(
        "display_ok_hosts",
        "defaults",
        "ANSIBLE_DISPLAY_OK_HOSTS",
        Kind::Flag,
        "true",
        "whether what is as it should be is told, where Trueup stands in for ansible-playbook",
    ),
    setting(
        "display_skipped_hosts",
        "defaults",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS",
        Kind::Flag,
        "true",
        "whether what is skipped is told, where Trueup stands in for ansible-playbook",
    ),
    setting(
        "enable_task_debugger",
        "defaults",
        "ANSIBLE_ENABLE_TASK_DEBUGGER",
        Kind::Flag,
        "false",
        "whether each failure asks what to do, as `debugger: on_failed` has it",
    ),
    setting(
        "force_handlers",
        "defaults",
        "ANSIBLE_FORCE_HANDLERS",
        Kind::Flag,
        "false",
        "run the handlers of hosts that failed, too",
    ),
    setting("forks", "defaults", "ANSIBLE_FORKS", Kind::Number, "50", "how many hosts are worked on at the same time"),
    setting(
        "gathering",
        "defaults",
        "ANSIBLE_GATHERING",
        Kind::Choice(&["implicit", "explicit", "smart"]),
        "implicit",
        "whether facts are gathered where no play asks for them: `explicit` is no; else where they are read",
    ),
    setting(
        "hash_behaviour",
        "defaults",
        "ANSIBLE_HASH_BEHAVIOUR",
        Kind::Choice(&["replace", "merge"]),
        "replace",
        "whether a dictionary takes the place of a weaker one of its name, or is merged into it, which Ansible advises against",
    ),
    setting(
        "host_key_checking",
        "defaults",
        "ANSIBLE_HOST_KEY_CHECKING",
        Kind::Flag,
        "true",
        "whether the keys of hosts are looked at; without that, anybody can answer in their place",
    ),
    setting("inventory", "defaults", "ANSIBLE_INVENTORY", Kind::Paths, "", "the inventories, where `-i` names none"),
    Setting {
        name: "inventory_any_unparsed_is_failed",
        ini: ("inventory", "any_unparsed_is_failed"),
        variable: "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED",
        kind: Kind::Flag,
        default: "false",
        doc: "whether an inventory that cannot be read stops ansible-playbook and its like; it always stops trueup",
    },
    Setting {
        name: "inventory_unparsed_is_failed",
        ini: ("inventory", "unparsed_is_failed"),
        variable: "ANSIBLE_INVENTORY_UNPARSED_FAILED",
        kind: Kind::Flag,
        default: "false",
        doc: "whether it stops ansible-playbook and its like that none of the inventories can be read",
    },
    Setting {
        name: "localhost_warning",
        ini: ("defaults", "localhost_warning"),
        variable: "ANSIBLE_LOCALHOST_WARNING",
        kind: Kind::Flag,
        default: "true",
        doc: "whether ansible-playbook and its like say that an inventory has no hosts",
    },
    setting(
        "private_key_file",
        "defaults",
        "ANSIBLE_PRIVATE_KEY_FILE",
        Kind::Path,
        "",
        "the private key to log in with",
    ),
    setting("remote_tmp", "defaults", "ANSIBLE_REMOTE_TMP", Kind::Text, "", "where the agent is kept on hosts"),
    setting("remote_user", "defaults", "ANSIBLE_REMOTE_USER", Kind::Text, "", "the user to log in as"),
    setting(
        "roles_path",
        "defaults",
        "ANSIBLE_ROLES_PATH",
        Kind::SearchPath,
        "~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles",
        "where roles are, apart from beside the playbook",
    ),
    Setting {
        ini: ("tags", "run"),
        ..setting("run_tags", "tags", "ANSIBLE_RUN_TAGS", Kind::List, "", "only tasks with one of these tags")
    },
    setting(
        "show_custom_stats",
        "defaults",
        "ANSIBLE_SHOW_CUSTOM_STATS",
        Kind::Flag,
        "false",
        "whether what `set_stats` has set is told at the end, where Trueup stands in for ansible-playbook",
    ),
    setting(
        "show_per_host_start",
        "defaults",
        "ANSIBLE_SHOW_PER_HOST_START",
        Kind::Flag,
        "false",
        "whether ansible-playbook tells that a host has begun a task",
    ),
    setting(
        "show_task_path_on_failure",
        "defaults",
        "ANSIBLE_SHOW_TASK_PATH_ON_FAILURE",
        Kind::Flag,
        "false",
        "whether ansible-playbook tells where a failed task stands",
    ),
    Setting {
        ini: ("tags", "skip"),
        ..setting("skip_tags", "tags", "ANSIBLE_SKIP_TAGS", Kind::List, "", "no tasks with one of these tags")
    },
    setting("ssh_common_args", "ssh_connection", "ANSIBLE_SSH_COMMON_ARGS", Kind::Text, "", "arguments as of ssh(1)"),
    setting(
        "ssh_extra_args",
        "ssh_connection",
        "ANSIBLE_SSH_EXTRA_ARGS",
        Kind::Text,
        "",
        "more arguments as of ssh(1)",
    ),
    Setting {
        ini: ("ssh_connection", "retries"),
        ..setting(
            "ssh_retries",
            "ssh_connection",
            "ANSIBLE_SSH_RETRIES",
            Kind::Number,
            "0",
            "how often to try again to connect",
        )
    },
    setting(
        "stdout_callback",
        "defaults",
        "ANSIBLE_STDOUT_CALLBACK",
        Kind::Text,
        "default",
        "what the output is like where Trueup stands in for ansible-playbook: default, minimal, oneline, json or yaml",
    ),
    setting(
        "task_debugger_ignore_errors",
        "defaults",
        "ANSIBLE_TASK_DEBUGGER_IGNORE_ERRORS",
        Kind::Flag,
        "true",
        "whether failures that are ignored do not ask",
    ),
    setting("timeout", "defaults", "ANSIBLE_TIMEOUT", Kind::Number, "10", "seconds after which connecting is given up"),
    setting(
        "vault_encrypt_identity",
        "defaults",
        "ANSIBLE_VAULT_ENCRYPT_IDENTITY",
        Kind::Text,
        "",
        "the vault id to encrypt with",
    ),
    setting(
        "vault_id_match",
        "defaults",
        "ANSIBLE_VAULT_ID_MATCH",
        Kind::Flag,
        "false",
        "whether a vault is only tried with the password of its own id",
    ),
    setting(
        "vault_identity_list",
        "defaults",
        "ANSIBLE_VAULT_IDENTITY_LIST",
        Kind::List,
        "",
        "vault passwords, each as `--vault-id` has it",
    ),
    setting(
        "vault_password_file",
        "defaults",
        "ANSIBLE_VAULT_PASSWORD_FILE",
        Kind::Path,
        "",
        "a file with the vault password",
    ),
    setting("verbosity", "defaults", "ANSIBLE_VERBOSITY", Kind::Number, "0", "how many `-v` are always meant"),
];

const fn setting(
    name: &'static str,
    section: &'static str,
    variable: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, ini: (section, name), variable, kind, default, doc }
}

/// The setting of that name.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
