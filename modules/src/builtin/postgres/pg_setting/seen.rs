//! What a server says of settings: what they may be, what they are, and which line of which file says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::value::{Kind, is_list};
use crate::builtin::common;
use crate::host::{Error, Host};
use crate::param::nearest;
use crate::sql::{PgConn, SqlArg};

const SETTINGS: &str = "SELECT name, setting, unit, vartype, context, min_val, max_val, enumvals, boot_val, pending_restart, \
    source, current_setting(name) FROM pg_catalog.pg_settings WHERE lower(name) = ANY (string_to_array($1, ','))";

/// One that needs a restart has an error here and wins all the same.
const ENTRIES: &str = "SELECT name, setting, sourcefile, sourceline FROM pg_catalog.pg_file_settings \
    WHERE lower(name) = ANY (string_to_array($1, ',')) AND (error IS NULL OR error = 'setting could not be applied') \
    ORDER BY seqno";

/// A setting.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// `internal`, `postmaster`, `sighup` and others; empty for one that belongs to a library that is not loaded.
    pub(super) context: String,
    /// The value in force, in units of the setting.
    pub(super) running: Option<String>,
    /// The same as one would write it.
    pub(super) shown: Option<String>,
    /// Without any configuration.
    pub(super) boot: Option<String>,
    /// Whether the files say something else, which takes a restart.
    pub(super) pending: bool,
    /// Where the value in force comes from: `configuration file`, `command line`, `database`.
    pub(super) source: String,
    /// What the files say, the last wins.
    pub(super) entries: Vec<Entry>,
}

/// A line of a file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: String,
    pub(super) file: PathBuf,
    pub(super) line: u64,
}

impl Entry {
    /// What `ALTER SYSTEM` writes; it is read after all others.
    pub(super) fn is_auto(&self) -> bool {
        self.file.ends_with("postgresql.auto.conf")
    }

    pub(super) fn is_in(&self, host: &dyn Host, path: &Path) -> bool {
        self.file == path || common::resolve(host, &self.file).is_ok_and(|(resolved, _)| resolved == path)
    }
}

impl Seen {
    /// Where no server can be asked.
    pub(super) fn unasked(name: &str) -> Self {
        Self { kind: Kind { list: is_list(name), ..Kind::default() }, ..Self::default() }
    }

    /// The line that decides.
    pub(super) fn winner(&self) -> Option<&Entry> {
        self.entries.last()
    }

    /// The value that the files, or the lack of them, make.
    pub(super) fn configured(&self) -> Option<&str> {
        self.winner().map(|entry| entry.value.as_str()).or(self.boot.as_deref())
    }
}

/// Asks for all of `names`.
pub(super) fn look(host: &dyn Host, at: &PgConn, names: &[&str]) -> Result<BTreeMap<String, Seen>, Error> {
    let args = [SqlArg::Text(names.join(",").to_lowercase())];
    let rows = host.sql(at, SETTINGS, &args)?.rows;
    let lines = host.sql(at, ENTRIES, &args)?.rows;
    let mut seen: BTreeMap<String, Seen> =
        rows.iter().map(|row| (text(row, 0).unwrap_or_default().to_lowercase(), setting(row))).collect();
    for name in names.iter().map(|name| name.to_lowercase()) {
        if !seen.contains_key(&name) {
            // A library's: the server knows it when the library is loaded.
            if !name.contains('.') {
                return Err(unknown(host, at, &name));
            }
            seen.insert(name.clone(), Seen::unasked(&name));
        }
    }
    for row in lines {
        let entry = Entry {
            value: text(&row, 1).unwrap_or_default(),
            file: text(&row, 2).unwrap_or_default().into(),
            line: row.get(3).and_then(Value::as_u64).unwrap_or_default(),
        };
        if let Some(seen) = text(&row, 0).and_then(|name| seen.get_mut(&name.to_lowercase())) {
            seen.entries.push(entry);
        }
    }
    Ok(seen)
}

fn text(row: &[Value], at: usize) -> Option<String> {
    row.get(at).and_then(Value::as_str).map(Into::into)
}

fn setting(row: &[Value]) -> Seen {
    let text = |at: usize| text(row, at);
    let choices = row.get(7).and_then(Value::as_array).into_iter().flatten();
    let name = text(0).unwrap_or_default();
    Seen {
        kind: Kind {
            vartype: text(3).unwrap_or_default(),
            unit: text(2),
            least: text(5),
            most: text(6),
            choices: choices.filter_map(|choice| choice.as_str().map(Into::into)).collect(),
            list: is_list(&name.to_lowercase()),
        },
        context: text(4).unwrap_or_default(),
        running: text(1),
        shown: text(11),
        boot: text(8),
        pending: row.get(9) == Some(&Value::Bool(true)),
        source: text(10).unwrap_or_default(),
        entries: Vec::new(),
    }
}

fn unknown(host: &dyn Host, at: &PgConn, name: &str) -> Error {
    let names = match host.sql(at, "SELECT name FROM pg_catalog.pg_settings ORDER BY 1", &[]) {
        Ok(rows) => rows.rows,
        Err(error) => return error,
    };
    let near = nearest(name, names.iter().filter_map(|row| row.first()?.as_str()));
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Error::param("name", format!("the server has no setting `{name}`{hint}"))
}
