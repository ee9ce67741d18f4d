//! What the file of a `template` task or lookup can read of itself.
//!
//! Source: ansible-core, `generate_ansible_template_vars`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Lookup;
use super::lazy::Overlay;
use crate::source::Span;
use crate::value::{Map, Template, Value};

/// What `ansible_managed` says where no setting and no variable says otherwise.
pub const MANAGED: &str = "Ansible managed";

/// `vars`, and before them `template_path` and its like for the file at `path`, which the task calls `written`. Where nobody
/// has set `ansible_managed`, it is `managed`.
pub(super) fn about(
    vars: &Arc<dyn Lookup>,
    managed: &str,
    path: &Path,
    written: &str,
    dest: Option<&str>,
) -> Arc<dyn Lookup> {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let meta = std::fs::metadata(path).ok();
    let changed = meta.as_ref().and_then(|meta| meta.modified().ok()).and_then(|time| Timestamp::try_from(time).ok());
    let changed = changed.unwrap_or_default().to_zoned(TimeZone::system());
    let text = |text: &str| Value::Str(text.to_owned());
    let mut over = Map::from_iter([
        ("template_host".to_owned(), text(&rustix::system::uname().nodename().to_string_lossy())),
        ("template_path".to_owned(), text(written)),
        ("template_fullpath".to_owned(), text(&full.display().to_string())),
        ("template_destpath".to_owned(), dest.map_or(Value::Null, text)),
        ("template_uid".to_owned(), meta.map_or(Value::Null, |meta| owner(meta.uid()))),
        ("template_mtime".to_owned(), time(&changed)),
        ("template_run_date".to_owned(), time(&Zoned::now())),
    ]);
    if vars.get("ansible_managed").is_none() {
        over.insert("ansible_managed".into(), Value::Template(says(managed, &changed)));
    }
    Arc::new(Overlay { over, base: Arc::clone(vars) })
}

/// A user's name; their number where they have none.
fn owner(uid: u32) -> Value {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = uid.to_string();
    let line = users.lines().find(|line| line.split(':').nth(2) == Some(&id));
    let name = line.and_then(|line| line.split(':').next());
    name.map_or(Value::Int(uid.into()), |name| Value::Str(name.into()))
}

/// A time of the controller's zone, as Python's `datetime`.
fn time(at: &Zoned) -> Value {
    let written = at.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
    Value::Template(template(format!("{{{{ '{written}' | to_datetime('%Y-%m-%d %H:%M:%S.%f') }}}}")))
}

/// `{file}`, `{host}` and `{uid}` are Ansible's own words; what strftime(3) knows is the time of the file's last change.
fn says(managed: &str, changed: &Zoned) -> Template {
    let words = [("{file}", "{{ template_path }}"), ("{host}", "{{ template_host }}"), ("{uid}", "{{ template_uid }}")];
    // A lone per cent sign at the end is no format: `{%` and `%}` come in with the words only.
    let text = jiff::fmt::strtime::format(managed, changed).unwrap_or_else(|_| managed.to_owned());
    template(words.iter().fold(text, |text, (word, read)| text.replace(word, read)))
}

fn template(text: String) -> Template {
    Template { text, span: Span::none(), secret: false }
}
