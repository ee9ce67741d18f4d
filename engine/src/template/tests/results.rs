//! Tests of registered results, and of files on the controller.

use std::path::PathBuf;

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{Call, Entry, fail};
use super::super::python::text;

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["failed", "failure"], &["value"], "The task failed.", |c| Ok(Value::from(failed(c)?)))
        .takes_undefined(),
    Entry::new(&["success", "succeeded", "successful"], &["value"], "The task did not fail.", |c| {
        Ok(Value::from(!failed(c)?))
    }),
    Entry::new(&["changed", "change"], &["value"], "The task changed something.", changed),
    Entry::new(&["skipped", "skip"], &["value"], "The task was skipped.", |c| flag(c, "skipped").map(Value::from)),
    Entry::new(&["unreachable"], &["value"], "The host could not be reached.", |c| {
        flag(c, "unreachable").map(Value::from)
    }),
    Entry::new(&["reachable"], &["value"], "The host could be reached.", |c| {
        flag(c, "unreachable").map(|b| Value::from(!b))
    }),
    Entry::new(&["finished"], &["value"], "An asynchronous task has ended.", |c| flag_or(c, "finished", true)),
    Entry::new(&["started"], &["value"], "An asynchronous task has begun.", |c| flag_or(c, "started", true)),
    Entry::new(&["timedout"], &["value"], "The task took too long.", |c| {
        let found = text::item(&result(c)?, &Value::from("timedout"))?;
        if found.is_undefined() || !found.is_true() {
            return Ok(Value::from(false));
        }
        let period = text::item(&found, &Value::from("period"))?;
        Ok(Value::from(!period.is_undefined() && period.is_true()))
    }),
    Entry::new(&["exists"], &["value"], "There is such a path.", |c| Ok(Value::from(path(c)?.exists()))),
    Entry::new(&["file", "is_file"], &["value"], "It is a file.", |c| Ok(Value::from(path(c)?.is_file()))),
    Entry::new(&["directory", "is_dir"], &["value"], "It is a directory.", |c| Ok(Value::from(path(c)?.is_dir()))),
    Entry::new(&["link", "is_link"], &["value"], "It is a link.", |c| Ok(Value::from(path(c)?.is_symlink()))),
    Entry::new(&["link_exists"], &["value"], "There is such a path, maybe a broken link.", |c| {
        Ok(Value::from(path(c)?.symlink_metadata().is_ok()))
    }),
    Entry::new(&["abs", "is_abs"], &["value"], "The path is absolute.", |c| Ok(Value::from(path(c)?.is_absolute()))),
    Entry::new(&["mount", "is_mount"], &["value"], "Something is mounted there.", |c| {
        use std::os::unix::fs::MetadataExt as _;
        let at = path(c)?;
        let (Ok(here), Ok(above)) = (at.symlink_metadata(), at.join("..").metadata()) else {
            return Ok(Value::from(false));
        };
        Ok(Value::from(!here.is_symlink() && (here.dev() != above.dev() || here.ino() == above.ino())))
    }),
    Entry::new(&["same_file", "is_same_file"], &["value", "other"], "Both are the same file.", |c| {
        use std::os::unix::fs::MetadataExt as _;
        let id = |name: String| {
            let data = std::fs::metadata(&name).map_err(|e| fail(format!("cannot look at {name}: {e}")))?;
            Ok::<_, Error>((data.dev(), data.ino()))
        };
        Ok(Value::from(id(c.text(0)?)? == id(c.text(1)?)?))
    }),
    Entry::new(&["vaulted_file"], &["value"], "It is a vault file.", |c| {
        let name = path(c)?;
        let content =
            std::fs::read(&name).map_err(|_| fail(format!("Cannot test if the file {} is a vault", name.display())))?;
        Ok(Value::from(content.starts_with(b"$ANSIBLE_VAULT")))
    }),
];

fn result(c: &Call) -> Result<Value, Error> {
    let value = c.value(0)?;
    if value.kind() != ValueKind::Map {
        let kind = text::type_name(value);
        return Err(fail(format!("the test '{}' needs a registered result, not {kind}", c.name)));
    }
    Ok(value.clone())
}

fn flag(c: &Call, key: &str) -> Result<bool, Error> {
    let found = text::item(&result(c)?, &Value::from(key))?;
    Ok(!found.is_undefined() && found.is_true())
}

fn failed(c: &Call) -> Result<bool, Error> {
    flag(c, "failed")
}

/// The results of a loop count as changed if one of them is.
fn changed(c: &mut Call) -> Result<Value, Error> {
    let result = result(c)?;
    let own = text::item(&result, &Value::from("changed"))?;
    if !own.is_undefined() {
        return Ok(Value::from(own.is_true()));
    }
    let each = text::item(&result, &Value::from("results"))?;
    if each.is_undefined() {
        return Ok(Value::from(false));
    }
    if !matches!(each.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Ok(Value::from(false));
    }
    for item in each.try_iter()?.checked() {
        if text::item(&item?, &Value::from("changed"))?.is_true() {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

fn flag_or(c: &Call, key: &str, missing: bool) -> Result<Value, Error> {
    let found = text::item(&result(c)?, &Value::from(key))?;
    Ok(Value::from(if found.is_undefined() { missing } else { found.is_true() }))
}

fn path(c: &Call) -> Result<PathBuf, Error> {
    // To Python, a whole number is an open file.
    if c.value(0)?.is_integer() || c.value(0)?.kind() == ValueKind::Bool { c.str(0) } else { c.text(0) }
        .map(PathBuf::from)
}
