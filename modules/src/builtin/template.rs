//! `template`: a file whose content the controller renders.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{self, Wanted};
use super::encode;
use crate::edit::{Diff, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::{Content, Word};
use crate::plan::Plan;

with_file_parameters! {
    /// Renders a template of the controller with the task's variables and puts the result in place, atomically. Its
    /// directory must exist. A template that reads a secret makes a secret file.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Template {
        /// Where, absolute. If it ends in `/` or is a directory, the file goes into it under the template's name.
        dest: PathBuf,
        /// The template, relative to the `templates` directory beside the playbook or role, or to the playbook.
        src: Option<PathBuf>,
        /// The rendered text; Trueup fills it in from `src`.
        #[schemars(extend("internal" = true))]
        content: Option<Content>,
        /// The template's name, for a `dest` that is a directory; filled in from `src`.
        #[schemars(extend("internal" = true))]
        name: Option<String>,
        /// Whether to keep the old content beside the file, as `dest.HASH.bak`.
        #[serde(default)]
        backup: bool,
        /// How the file is encoded: `utf-8` by default; `utf-16`, `ascii`, `latin-1` or `windows-1252`.
        output_encoding: Option<Word>,
        /// A command that refuses bad content by its status, such as `visudo -cf %s`; `%s` is a file that holds it.
        validate: Option<String>,
        /// Whether a file with other content is replaced.
        #[serde(default = "common::yes")]
        force: bool,
        /// Whether a symbolic link at `dest` is followed. Without it, the file takes the place of the link.
        #[serde(default)]
        follow: bool,
        /// Whether a template that is sealed by Ansible's vault is opened first; the file is a secret then.
        #[serde(default = "common::yes")]
        #[expect(dead_code, reason = "the controller opens it")]
        decrypt: bool,
    }
}

impl Module for Template {
    const NAME: &'static str = "template";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let content = self.content.as_ref().ok_or_else(|| Error::param("src", "is missing"))?;
        let (path, now) = common::destination(host, &self.dest, self.follow, &|| self.file_name())?;
        let dest = path.display().to_string();
        if now.is_some() && !self.force {
            return Ok(Plan::nothing().returning("dest", dest));
        }
        let (unlink, now) = common::unlinked(&path, now);
        let (attributes, validate) = (self.attributes(), self.validate.as_deref());
        let content = &Content(self.encoded(content)?);
        let wanted = Wanted { path, now, after: content.0.clone(), attributes, backup: self.backup, validate };
        let mut plan = wanted.plan(host)?;
        plan.edits.splice(..0, unlink);
        Ok(common::told(plan, &dest, &content.0))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = self.content.as_ref().map_or(Shown::Unknown, |content| Shown::from(&content.0));
        let content = Diff::new(self.dest.display().to_string(), "content", Shown::Unknown, after);
        std::iter::once(content).chain(self.attributes().intent(&self.dest)).collect()
    }

    fn explain(&self, _host: &dyn Host, error: &Error) -> Option<String> {
        common::refused_content(self.validate.as_deref(), error)
    }

    fn lament(&self, error: &Error) -> Option<String> {
        common::unvalidated(self.validate.as_deref(), error).map(|_| "failed to validate".to_owned())
    }
}

impl Template {
    fn encoded(&self, content: &Content) -> Result<Text, Error> {
        let Some(Word(encoding)) = &self.output_encoding else { return Ok(content.0.clone()) };
        let bytes = encode::encoded("output_encoding", encoding, content.as_str())?;
        Ok(Text { bytes, secret: content.0.secret })
    }

    fn file_name(&self) -> Result<PathBuf, Error> {
        let of_src = self.src.as_ref().and_then(|src| src.file_name()).map(PathBuf::from);
        self.name
            .as_ref()
            .map(PathBuf::from)
            .or(of_src)
            .ok_or_else(|| Error::param("dest", format!("{} is a directory; name a file in it", self.dest.display())))
    }
}
