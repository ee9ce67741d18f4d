//! What `include_tasks` and `include_role` have brought: a line for each file, with the hosts that have it.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::python;
use crate::event::{Status, TaskResult};

/// Whether it is to include something.
pub(super) fn includes(result: &TaskResult) -> bool {
    matches!(result.task.module.as_str(), "include_tasks" | "include_role")
}

/// Whether it includes, and has.
pub(super) fn is_include(result: &TaskResult) -> bool {
    includes(result) && result.status == Status::Ok
}

/// `included: /path/file.yml for h1, h2`.
pub(super) fn lines(results: &[Arc<TaskResult>]) -> Vec<String> {
    let mut found: Vec<(String, Option<&String>, Vec<&str>)> = Vec::new();
    for result in results.iter().filter(|result| is_include(result)) {
        let (what, item) = (included(result), result.item.as_ref());
        match found.iter_mut().find(|(other, label, _)| *other == what && *label == item) {
            Some((.., hosts)) => hosts.push(&result.host),
            None => found.push((what, item, vec![&result.host])),
        }
    }
    let line = |(what, item, hosts): (String, Option<&String>, Vec<&str>)| {
        let item = item.map(|item| format!(" => (item={})", python::label(item))).unwrap_or_default();
        format!("included: {what} for {}{item}", hosts.join(", "))
    };
    found.into_iter().map(line).collect()
}

/// The file, which nearly always stands beside the one that names it; a role's name.
fn included(result: &TaskResult) -> String {
    let text = |name: &str| result.data.get(name).and_then(Value::as_str).map(str::to_owned);
    let name = text("include").or(text("include_role")).or(text("name")).unwrap_or_default();
    if result.task.module == "include_role" {
        return name;
    }
    let file = result.task.place.rsplitn(3, ':').last().unwrap_or_default();
    let dir = Path::new(file).parent().unwrap_or(Path::new(""));
    let beside = [dir.join(&name), dir.join("tasks").join(&name), dir.join("..").join("tasks").join(&name)];
    let path = beside.iter().find(|path| path.is_file()).unwrap_or(&beside[0]);
    let path = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    path.map_or(name, |path| path.display().to_string())
}
