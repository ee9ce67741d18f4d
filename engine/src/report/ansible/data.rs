//! What is told of a result: its data, as Ansible has them.

use serde_json::{Map, Value, json};

use super::included;
use super::python::dumps;
use crate::event::{Status, TaskResult};

/// What a failure registers, with Ansible's words where a program failed.
pub(super) fn failure(result: &TaskResult) -> Map<String, Value> {
    let Status::Failed { error, .. } = &result.status else { return Map::new() };
    if *error == crate::event::WITHHELD {
        return result.data.clone();
    }
    let mut data = result.data.clone();
    for name in ["failed", "skipped", "warnings", "exception", "diff"] {
        data.shift_remove(name);
    }
    let ran = data.contains_key("rc") && data.contains_key("stdout");
    if included::includes(result) {
        data.shift_remove("msg");
        data.insert("reason".into(), error.as_str().into());
        data.insert("changed".into(), false.into());
        data.extend(result.loop_vars.clone());
        return data;
    }
    data.entry("msg").or_insert_with(|| error.as_str().into());
    if result.task.module == "debug" {
        data.shift_remove("changed");
    } else {
        let changed = (ran && result.data.get("rc") != Some(&Value::Null)) || !result.diffs.is_empty();
        let never_ran = text_of(&data, "msg") == "Error executing command.";
        data.insert("changed".into(), (changed && !never_ran).into());
        if never_ran {
            ["delta", "start", "end"].iter().for_each(|name| drop(data.shift_remove(*name)));
        }
    }
    data.extend(result.loop_vars.clone());
    data
}

/// What a job came to, in Ansible's words; nothing of those that nobody waits for.
pub(super) fn job(result: &TaskResult) -> Option<String> {
    let id = result.data.get("ansible_job_id").and_then(Value::as_str)?;
    let over = result.data.get("finished").is_some_and(|finished| *finished == json!(true) || *finished == json!(1));
    if !over || result.task.module == "async_status" {
        return None;
    }
    let word = if matches!(result.status, Status::Failed { .. }) { "FAILED" } else { "OK" };
    Some(format!("ASYNC {word} on {}: jid={id}", result.host))
}

pub(super) fn unreachable(reason: &str) -> String {
    dumps(&json!({"changed": false, "msg": reason, "unreachable": true}))
}

/// A result in YAML, which begins on a line of its own.
pub(super) fn yaml(data: &Value) -> String {
    let mut data = data.clone();
    for (lines, text) in [("stdout_lines", "stdout"), ("stderr_lines", "stderr")] {
        if data.get(text).is_some() && data.get(lines).is_some() {
            data[lines] = "<omitted>".into();
        }
    }
    let text = crate::template::yaml_of_result(&data);
    let lines: String =
        text.lines().map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") }).collect();
    format!("\n{}", lines.trim_end_matches('\n'))
}

/// A text among what is registered.
pub(super) fn text_of<'d>(data: &'d Map<String, Value>, name: &str) -> &'d str {
    data.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn label(result: &TaskResult) -> String {
    match &result.delegated_to {
        Some(other) => format!("{} -> {other}", result.host),
        None => result.host.clone(),
    }
}

/// What is said of a failure beside its data. Of a program that there is not, that is more than is registered.
pub(super) fn reason(data: &Map<String, Value>) -> String {
    let msg = text_of(data, "msg");
    let program = text_of(data, "cmd").split_whitespace().next();
    match (msg.strip_suffix('.'), program) {
        (Some("Error executing command"), Some(program)) if data.get("rc") == Some(&2.into()) => {
            format!("Error executing command: [Errno 2] No such file or directory: b'{program}'")
        }
        _ => msg.to_owned(),
    }
}
