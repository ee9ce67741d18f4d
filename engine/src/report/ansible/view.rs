//! How much is told, and how: what the command line and the settings of the `default` callback say.

/// The columns of a banner where standard output is no terminal.
const COLUMNS: usize = 79;

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verbosity {
    /// How often `-v` was given.
    pub level: u8,
    /// `--diff`.
    pub diffs: bool,
    /// Lines shown around what differs, where that is not 3.
    pub context: Option<usize>,
    /// Results are YAML, not JSON.
    pub yaml: bool,
    /// What is skipped is not told of.
    pub hides_skipped: bool,
    /// What is as it should be is not told of.
    pub hides_ok: bool,
    /// What `set_stats` has set is told at the end.
    pub stats: bool,
    /// Each line has a colour.
    pub color: bool,
    /// The width of the terminal, where there is one.
    pub width: Option<usize>,
    /// Banners say that nothing is changed (`check_mode_markers`).
    pub marks_checks: bool,
    /// Failures are told on standard error (`display_failed_stderr`).
    pub fails_aside: bool,
    /// Where a failed task stands is told without `-vv`, too (`show_task_path_on_failure`).
    pub paths: bool,
    /// That a host has begun is told (`show_per_host_start`).
    pub starts: bool,
}

impl Verbosity {
    /// The columns of a banner.
    pub(super) fn columns(self) -> usize {
        self.width.map_or(COLUMNS, |width| COLUMNS.max(width.saturating_sub(1)))
    }
}
