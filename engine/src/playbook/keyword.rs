//! The keywords, by what they stand in: the field attributes of ansible-core 2.19, and our own `needs` and `mutex`.

/// What a keyword stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A play.
    Play,
    /// A block.
    Block,
    /// A task.
    Task,
    /// A handler.
    Handler,
    /// An item of a play's `roles`.
    Role,
    /// `import_playbook`.
    Import,
    /// `loop_control`.
    LoopControl,
    /// An item of `vars_prompt`.
    Prompt,
}

/// In everything but `loop_control`.
const BASE: &[&str] = &[
    "any_errors_fatal",
    "become",
    "become_exe",
    "become_flags",
    "become_method",
    "become_user",
    "check_mode",
    "collections",
    "connection",
    "debugger",
    "diff",
    "environment",
    "ignore_errors",
    "ignore_unreachable",
    "module_defaults",
    "mutex",
    "name",
    "no_log",
    "port",
    "remote_user",
    "run_once",
    "tags",
    "throttle",
    "timeout",
    "vars",
];

const PLAY: &[&str] = &[
    "fact_path",
    "force_handlers",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "handlers",
    "hosts",
    "max_fail_percentage",
    "needs",
    "order",
    "post_tasks",
    "pre_tasks",
    "roles",
    "serial",
    "strategy",
    "tasks",
    "user",
    "vars_files",
    "vars_prompt",
];

const BLOCK: &[&str] = &["always", "block", "delegate_facts", "delegate_to", "needs", "notify", "rescue", "when"];

const TASK: &[&str] = &[
    "action",
    "args",
    "async",
    "changed_when",
    "delay",
    "delegate_facts",
    "delegate_to",
    "failed_when",
    "local_action",
    "loop",
    "loop_control",
    "needs",
    "notify",
    "poll",
    "register",
    "retries",
    "until",
    "when",
];

const LOOP_CONTROL: &[&str] =
    &["break_when", "extended", "extended_allitems", "index_var", "label", "loop_var", "pause"];

const PROMPT: &[&str] = &["confirm", "default", "encrypt", "name", "private", "prompt", "salt", "salt_size", "unsafe"];

impl Place {
    /// For messages.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Play => "a play",
            Self::Block => "a block",
            Self::Task => "a task",
            Self::Handler => "a handler",
            Self::Role => "a role",
            Self::Import => "`import_playbook`",
            Self::LoopControl => "`loop_control`",
            Self::Prompt => "an item of `vars_prompt`",
        }
    }

    /// What Ansible calls it.
    pub fn class(self) -> &'static str {
        match self {
            Self::Play => "Play",
            Self::Block => "Block",
            Self::Task => "Task",
            Self::Handler => "Handler",
            Self::Role => "RoleInclude",
            Self::Import => "PlaybookInclude",
            Self::LoopControl => "LoopControl",
            Self::Prompt => "Play",
        }
    }

    /// All keywords that may stand there.
    pub fn keywords(self) -> impl Iterator<Item = &'static str> {
        let (own, more): (&[&str], &[&str]) = match self {
            Self::Play => (PLAY, &[]),
            Self::Block => (BLOCK, &[]),
            Self::Task => (TASK, &[]),
            Self::Handler => (TASK, &["listen"]),
            Self::Role => (&["delegate_facts", "delegate_to", "needs", "role", "when"], &[]),
            Self::Import => (&["import_playbook", "when"], &[]),
            Self::LoopControl => (LOOP_CONTROL, &[]),
            Self::Prompt => (PROMPT, &[]),
        };
        let base = if matches!(self, Self::LoopControl | Self::Prompt) { &[] } else { BASE };
        base.iter().chain(own).chain(more).copied()
    }

    /// Whether this keyword may stand there.
    pub fn has(self, keyword: &str) -> bool {
        self.keywords().any(|known| known == keyword)
    }
}
