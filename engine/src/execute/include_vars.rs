//! `include_vars`: which files it reads. What is in them is read when the step is concluded: their templates are kept.

use std::path::{Path, PathBuf};

use fancy_regex::Regex;

use super::lower::{Lower, LowerError, truthy};
use crate::compile::{Step, search};
use crate::source::normal;
use crate::template::Lookup;
use crate::value::{Map, Value};

/// The endings that files of a directory have if nothing else is said.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

impl Lower<'_> {
    /// Puts the files' paths in the place of their names.
    pub(super) fn include_vars(&self, step: &Step, params: &mut Map) -> Result<(), LowerError> {
        let span = &step.task.module.span;
        let wrong = |message: String| LowerError::Value(span.clone(), message);
        let text = |name: &str| match params.get(name) {
            Some(Value::Str(text)) => Some(text.clone()),
            _ => None,
        };
        let plan = &self.program.plays[step.play];
        let found = |name: &str| {
            let candidates = search::candidates(step, plan, "vars", name);
            let missing = || LowerError::NoFile {
                module: "include_vars",
                name: name.to_owned(),
                candidates: candidates.clone(),
                span: span.clone(),
            };
            candidates.iter().find(|path| path.exists()).cloned().ok_or_else(missing)
        };
        let files = match (text("file"), text("dir")) {
            (Some(file), _) => vec![found(&file)?],
            (None, Some(dir)) => directory(&found(&dir)?, params).map_err(wrong)?,
            (None, None) => return Err(wrong("`include_vars` must name a `file` or a `dir`".into())),
        };
        let list = |files: Vec<String>| Value::List(files.into_iter().map(Value::Str).collect());
        // What is told of them is a whole path; links are not followed.
        let real = |file: &PathBuf| normal(Path::new(&super::absolute(file))).display().to_string();
        params.insert("told".into(), list(files.iter().map(real).collect()));
        params.insert("files".into(), list(files.iter().map(|file| file.display().to_string()).collect()));
        Ok(())
    }

    /// Of `validate_argument_spec`: the values of the variables that the specification names.
    pub(super) fn provided(&self, params: &mut Map, vars: &std::sync::Arc<dyn Lookup>) -> Result<(), LowerError> {
        let mut provided = Map::new();
        if let Some(Value::Map(spec)) = params.get("argument_spec") {
            for name in spec.keys() {
                if let Some(value) = vars.get(name) {
                    provided.insert(name.clone(), self.templar.resolve(value, vars)?);
                }
            }
        }
        if let Some(Value::Map(given)) = params.get("provided_arguments") {
            provided.extend(given.clone());
        }
        params.insert("provided_arguments".into(), Value::Map(provided));
        Ok(())
    }
}

fn directory(dir: &Path, params: &Map) -> Result<Vec<PathBuf>, String> {
    if !dir.is_dir() {
        return Err(format!("{} is not a directory", dir.display()));
    }
    let list = |name: &str| match params.get(name) {
        Some(Value::List(items)) => items.iter().filter_map(as_text).collect(),
        Some(Value::Str(text)) => text.split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let regex = |text: &str| Regex::new(text).map_err(|error| format!("`{text}` is no regular expression: {error}"));
    let mut endings: Vec<String> = list("extensions");
    if endings.is_empty() {
        endings = ENDINGS.map(str::to_owned).to_vec();
    }
    let matching = params.get("files_matching").and_then(as_text).map(|text| regex(&text)).transpose()?;
    let ignored = list("ignore_files").iter().map(|text| regex(&format!("{text}$"))).collect::<Result<Vec<_>, _>>()?;
    let depth = match params.get("depth") {
        Some(Value::Int(depth)) => usize::try_from(*depth).unwrap_or(0),
        _ => 0,
    };
    let pass_over = params.get("ignore_unknown_extensions").is_some_and(truthy);
    let mut files = Vec::new();
    for file in below(dir, depth) {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is = |regex: &Regex| regex.find(&name).ok().flatten().is_some();
        if matching.as_ref().is_some_and(|regex| !is(regex)) || ignored.iter().any(is) {
            continue;
        }
        let ending = file.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
        match endings.contains(&ending) {
            true => files.push(file),
            false if pass_over || matching.is_some() => {}
            false => {
                let endings = endings.join(", ");
                return Err(format!("{} does not have a valid extension: {endings}", file.display()));
            }
        }
    }
    Ok(files)
}

/// The files of a directory, sorted, then those in its directories; to that depth, or all of them at 0.
fn below(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut entries: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    entries.sort();
    let (dirs, mut files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir());
    if depth != 1 {
        files.extend(dirs.iter().flat_map(|dir| below(dir, depth.saturating_sub(1))));
    }
    files
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.clone()),
        _ => None,
    }
}
