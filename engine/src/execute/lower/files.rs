//! Modules that bring files of the controller along: their content stays here until an agent asks for it.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use trueup_modules::param::first_word;

use super::{Lower, LowerError};
use crate::compile::Step;
use crate::source::Span;
use crate::template::Lookup;
use crate::value::{Map, Value};
use crate::vault;

/// What a sealed file begins with.
const MAGIC: &[u8; 14] = b"$ANSIBLE_VAULT";

impl Lower<'_> {
    /// `script`: the first word names a file.
    pub(super) fn script(&self, step: &Step, params: &mut Map) -> Result<(), LowerError> {
        let Some(Value::Str(line)) = ["cmd", "_raw_params"].iter().find_map(|name| params.get(*name)) else {
            return Ok(());
        };
        let file = first_word(line).0.to_owned();
        if file.is_empty() {
            return Ok(());
        }
        params.insert("src".into(), Value::Str(file));
        let Some((path, span)) = self.source_file(step, params, "files")? else { return Ok(()) };
        params.shift_remove("name");
        params.insert("sha256".into(), Value::Str(self.announce(&path, &span)?));
        Ok(())
    }

    /// `assemble`: the files of a directory, where it is not one of the host.
    pub(super) fn assemble(&self, step: &Step, params: &mut Map) -> Result<(), LowerError> {
        if params.get("remote_src").is_none_or(super::truthy) {
            return Ok(());
        }
        let src = params.get("src").cloned();
        let Some((dir, span)) = self.source_file(step, params, "files")? else { return Ok(()) };
        params.shift_remove("name");
        params.extend(src.map(|src| ("src".to_owned(), src)));
        let failed =
            |error: std::io::Error| LowerError::Value(span.clone(), format!("cannot list {}: {error}", dir.display()));
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
        paths.retain(|path| path.is_file());
        paths.sort();
        let mut fragments = Vec::new();
        for path in paths {
            if self.unsealed(params, &path, &span)?.is_some() {
                let reason = format!("{} is sealed by ansible-vault: `assemble` takes no such file", path.display());
                return Err(LowerError::Value(span, reason));
            }
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let sha256 = Value::Str(self.announce(&path, &span)?);
            fragments.push(Value::Map(Map::from_iter([
                ("name".to_owned(), Value::Str(name)),
                ("sha256".to_owned(), sha256),
            ])));
        }
        params.insert("fragments".into(), Value::List(fragments));
        Ok(())
    }

    /// `unarchive`: an archive, where it is not one of the host. An address is the module's to refuse.
    pub(super) fn unarchive(&self, step: &Step, params: &mut Map) -> Result<(), LowerError> {
        let says = |name: &str| params.get(name).map(super::truthy);
        let src = params.get("src").cloned();
        let address = matches!(&src, Some(Value::Str(src)) if src.contains("://"));
        if says("remote_src") == Some(true) || says("copy") == Some(false) || address {
            return Ok(());
        }
        let Some((path, span)) = self.source_file(step, params, "files")? else { return Ok(()) };
        params.shift_remove("name");
        params.extend(src.map(|src| ("src".to_owned(), src)));
        params.insert("sha256".into(), Value::Str(self.announce(&path, &span)?));
        Ok(())
    }

    /// `fetch`: where on this machine the file goes.
    pub(super) fn fetch(&self, step: &Step, params: &mut Map, vars: &Arc<dyn Lookup>) -> Result<(), LowerError> {
        let entry = step.task.args.params.get("dest");
        let span = entry.map_or(&step.task.span, |entry| &entry.value.span).clone();
        let Some(Value::Str(dest)) = params.shift_remove("dest") else {
            return Err(LowerError::Value(span, "src and dest are required".into()));
        };
        let home = std::env::var("HOME").ok().zip(dest.strip_prefix('~').filter(|rest| rest.starts_with('/')));
        let dest = home.map_or(dest.clone(), |(home, rest)| home + rest);
        let base = std::path::absolute(&self.program.plays[step.play].dir).unwrap_or_default();
        // A `/` at the end says that it is a directory: it stays.
        let mut into = base.join(dest).display().to_string();
        if !params.get("flat").is_some_and(super::truthy) {
            let host = vars.get("inventory_hostname").map(super::show).unwrap_or_default();
            if host.contains('/') || host == ".." {
                return Err(LowerError::Value(span, format!("`{host}` cannot be the name of a directory")));
            }
            into = format!("{into}/{host}");
        }
        params.insert("into".into(), Value::Str(into));
        Ok(())
    }

    /// The content of a file that ansible-vault has sealed; `None` of any other, and where `decrypt` says no.
    pub(super) fn unsealed(
        &self,
        params: &Map,
        path: &Path,
        span: &Span,
    ) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, LowerError> {
        let mut head = [0; MAGIC.len()];
        let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
        if read.is_err() || head != *MAGIC || params.get("decrypt").is_some_and(|flag| !super::truthy(flag)) {
            return Ok(None);
        }
        let failed = |reason: String| LowerError::Value(span.clone(), reason);
        let text = std::fs::read_to_string(path)
            .map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?;
        let opened = vault::decrypt(&text, self.vault, &format!("file `{}`", path.display()));
        opened.map(Some).map_err(|error| failed(error.to_string()))
    }

    /// Announces a file to agents, by its hash.
    pub(super) fn announce(&self, path: &Path, span: &Span) -> Result<String, LowerError> {
        let announced = self.blobs.announce(path);
        let (sha256, _) = announced
            .map_err(|error| LowerError::Value(span.clone(), format!("cannot read {}: {error}", path.display())))?;
        Ok(sha256)
    }
}
