//! `template` and `copy`, whose content is a file of the controller; and where that file is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use trueup_modules::secret::Secret;

use super::{Lower, LowerError, kind, show, truthy};
use crate::compile::{Step, search};
use crate::execute::vars::Over;
use crate::source::{Source, Span};
use crate::template::{Delimiters, Lookup, Rendered, Whitespace};
use crate::value::{Map, Value};

impl Lower<'_> {
    /// `template`: the file is rendered here; the agent gets its content.
    pub(super) fn template(&self, step: &Step, params: &mut Map, vars: &Arc<dyn Lookup>) -> Result<(), LowerError> {
        let mut flag = |name: &str, default: bool| match params.shift_remove(name) {
            Some(Value::Bool(flag)) => flag,
            _ => default,
        };
        let whitespace =
            Whitespace::File { trim_blocks: flag("trim_blocks", true), lstrip_blocks: flag("lstrip_blocks", false) };
        let mut delimiters = Delimiters::default();
        for name in Delimiters::names() {
            if let Some(Value::Str(text)) = params.shift_remove(name) {
                delimiters.set(name, &text);
            }
        }
        let newline = params.shift_remove("newline_sequence").map_or_else(|| "\n".into(), |value| show(&value));
        let newline = newline.replace("\\r", "\r").replace("\\n", "\n");
        let written = params.get("src").map(show).unwrap_or_default();
        let Some((path, span)) = self.source_file(step, params, "templates")? else { return Ok(()) };
        if !matches!(newline.as_str(), "\n" | "\r" | "\r\n") {
            return Err(LowerError::Value(span, "newline_sequence needs to be one of: \\n, \\r or \\r\\n".into()));
        }
        let source = Source::read(&path).map_err(|error| LowerError::Value(span.clone(), error.message))?;
        let whole = Span::new(&source, 0, source.text.len());
        let opened = self.unsealed(params, &path, &span)?;
        let text = opened.as_ref().map_or(Ok(source.text.as_str()), |opened| std::str::from_utf8(opened));
        let text = text.map_err(|_| LowerError::Value(span, format!("{} holds no text", path.display())))?;
        let text = delimiters.translate(text);
        let vars = self.templar.about(&path, &written, &params.get("dest").map(show).unwrap_or_default(), vars);
        let content = match self.templar.render_file(&text, whitespace, &whole, &vars)? {
            // What was sealed is a secret on the host, too.
            Rendered::Plain(text) if opened.is_some() => Value::Secret(Secret::new(text.replace('\n', &newline))),
            Rendered::Plain(text) => Value::Str(text.replace('\n', &newline)),
            Rendered::Secret(secret) => Value::Secret(Secret::new(secret.expose().replace('\n', &newline))),
            Rendered::Unknown(why) => return Err(LowerError::Unknown(why)),
        };
        params.insert("content".into(), content);
        Ok(())
    }

    /// `copy`: the file's hash goes to the agent, its content only if the agent asks for it.
    pub(super) fn copy(&self, step: &Step, params: &mut Map, vars: &Arc<dyn Lookup>) -> Result<(), LowerError> {
        const CONTENT: &str = "ansible_copy_content";
        // What is no text is written as JSON, as by Ansible.
        if let Some(content @ (Value::Map(_) | Value::List(_))) = params.get("content").cloned() {
            let map = Map::from_iter([(CONTENT.to_owned(), content)]);
            let vars: Arc<dyn Lookup> = Arc::new(Over { map, below: Arc::clone(vars) });
            let text = self.templar.expression(&format!("{CONTENT} | to_json"), &step.task.span, &vars)?;
            params.insert("content".into(), text);
        }
        // Then `src` is a path of the host.
        if params.get("remote_src").is_some_and(truthy) {
            return Ok(());
        }
        let name = params.get("src").map(show).unwrap_or_default();
        let Some((path, span)) = self.source_file(step, params, "files")? else { return Ok(()) };
        let failed =
            |reason: String| LowerError::Value(span.clone(), format!("cannot read {}: {reason}", path.display()));
        if path.is_dir() {
            return self.tree(params, &path, &name, &span);
        }
        if let Some(opened) = self.unsealed(params, &path, &span)? {
            let packed = base64::engine::general_purpose::STANDARD.encode(&*opened);
            params.insert("content".into(), Value::Secret(Secret::new(packed)));
            params.insert("encoding".into(), Value::Str("base64".into()));
            return Ok(());
        }
        if params.get("mode") == Some(&Value::Str("preserve".into())) {
            let meta = std::fs::metadata(&path).map_err(|error| failed(error.to_string()))?;
            params.insert("mode".into(), Value::Str(format!("{:04o}", meta.permissions().mode() & 0o7777)));
        }
        let (sha256, size) = self.blobs.announce(&path).map_err(|error| failed(error.to_string()))?;
        params.insert("size".into(), Value::Int(i64::try_from(size).unwrap_or(i64::MAX)));
        params.insert("sha256".into(), Value::Str(sha256));
        Ok(())
    }

    /// Takes `src`: beside the playbook, or in its `templates` or `files`.
    pub(super) fn source_file(
        &self,
        step: &Step,
        params: &mut Map,
        folder: &str,
    ) -> Result<Option<(PathBuf, Span)>, LowerError> {
        let span = step.task.args.params.get("src").map_or(&step.task.span, |entry| &entry.value.span).clone();
        let name = match params.shift_remove("src") {
            None => return Ok(None),
            Some(Value::Str(name)) => name,
            Some(Value::Unknown(why)) => return Err(LowerError::Unknown(why)),
            Some(other) => {
                return Err(LowerError::Value(span, format!("`src` must be a path, and this is {}", kind(&other))));
            }
        };
        if let Some(base) = Path::new(&name).file_name() {
            params.insert("name".into(), Value::Str(base.to_string_lossy().into_owned()));
        }
        let candidates = search::candidates(step, &self.program.plays[step.play], folder, &name);
        match candidates.iter().find(|path| path.exists()) {
            Some(path) => Ok(Some((path.clone(), span))),
            None => Err(LowerError::NoFile { module: step.entry.name, name, candidates, span }),
        }
    }
}

/// What to say where no candidate is there: the places, the likeliest first.
pub(in crate::execute) fn no_file(candidates: &[PathBuf]) -> String {
    let mut places: Vec<String> = candidates.iter().rev().map(|path| path.display().to_string()).collect();
    places.dedup();
    format!("there is no file {}", places.join(" or "))
}
