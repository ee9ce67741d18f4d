//! `vars_files`: those that are known before the run are read once; which of several a host has may depend on its facts.
//!
//! As in Ansible, a file that is not there is passed over, and so is an item whose name reads what is not defined.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::data;
use super::facts::is_fact;
use super::flatten::Flattener;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::playbook::{Field, Play, Spanned};
use crate::source::Source;
use crate::template::glob;
use crate::yaml::{self, Node};

/// The `vars_files` of a play.
#[derive(Clone, Default)]
pub struct VarsFiles {
    /// Read before the run; the later is stronger.
    pub read: Vec<Node>,
    /// Chosen for each host.
    pub chosen: Arc<Vec<Chosen>>,
}

/// An item of `vars_files` whose file each host chooses.
pub struct Chosen {
    /// How many of the files that are read before the run it is stronger than.
    pub above: usize,
    /// The names, of which the first that is there counts.
    pub names: Vec<Spanned<Field<String>>>,
    /// The files that a name may come to.
    pub candidates: Vec<(PathBuf, Node)>,
}

impl VarsFiles {
    /// Every file that may count, and the words of the names that decide.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Node, BTreeSet<String>)> {
        let read = self.read.iter().map(|node| (node, BTreeSet::new()));
        read.chain(self.chosen.iter().flat_map(|item| {
            let mut words = BTreeSet::new();
            item.names.iter().for_each(|name| data::identifiers(name.value.written(), &mut words));
            item.candidates.iter().map(move |(_, node)| (node, words.clone()))
        }))
    }
}

/// Variables that each host has, and that no inventory names.
const OF_HOSTS: [&str; 5] =
    ["ansible_facts", "group_names", "hostvars", "inventory_hostname", "inventory_hostname_short"];

/// Where a name of a file may be: in `vars` beside the playbook, or beside it.
pub fn places(dir: &Path, name: &str) -> [PathBuf; 2] {
    [dir.join("vars").join(name), dir.join(name)]
}

impl Flattener<'_> {
    pub(super) fn vars_files(&mut self, play: &Play, dir: &Path) -> VarsFiles {
        let mut files = VarsFiles::default();
        let mut chosen = Vec::new();
        for names in &play.vars_files {
            if names.iter().all(|name| self.is_known(play, name)) {
                match self.first_file(play, names, dir) {
                    Ok(node) => files.read.extend(node),
                    Err(error) => self.diagnostics.push(error),
                }
            } else {
                let candidates = names.iter().flat_map(|name| self.candidates(&name.value, dir)).collect();
                chosen.push(Chosen { above: files.read.len(), names: names.clone(), candidates });
            }
        }
        files.chosen = Arc::new(chosen);
        files
    }

    /// Whether no host has a part in a name.
    fn is_known(&self, play: &Play, name: &Spanned<Field<String>>) -> bool {
        let Field::Template(template) = &name.value else { return true };
        let mut words = BTreeSet::new();
        data::identifiers(&template.text, &mut words);
        // What the play's own variables are made of counts, too.
        let mut open: Vec<String> = words.iter().cloned().collect();
        while let Some(entry) = open.pop().map(|word| play.common.vars.get(&word)) {
            let (mut texts, mut more) = (Vec::new(), BTreeSet::new());
            entry.iter().for_each(|entry| data::node(&entry.value, &mut texts));
            texts.iter().for_each(|text| data::identifiers(text, &mut more));
            open.extend(more.into_iter().filter(|word| words.insert(word.clone())));
        }
        let mut layers = self.inventory.hosts.values().flat_map(|host| self.inventory.layers(host));
        let of_hosts = layers.any(|layer| words.iter().any(|word| layer.vars.contains_key(word)));
        let of_host = words.iter().any(|word| is_fact(word) || OF_HOSTS.contains(&word.as_str()));
        !(of_hosts || of_host) && self.text(play, name).is_ok()
    }

    /// The first of several files that exists.
    fn first_file(
        &mut self,
        play: &Play,
        names: &[Spanned<Field<String>>],
        dir: &Path,
    ) -> Result<Option<Node>, Diagnostic> {
        for file in names {
            let name = self.text(play, file)?;
            if let Some(path) = places(dir, &name).iter().find(|path| path.is_file()) {
                let source = Source::read(path).map_err(|error| error.at(&file.span))?;
                return Ok(yaml::load(&source, &self.selection.vault, self.diagnostics));
            }
        }
        if let Some(first) = names.first() {
            let message = format!("there is no file {}", dir.join(first.value.written()).display());
            let warning = Diagnostic::warning(message).at(&first.span);
            self.diagnostics
                .push(warning.hint("paths start beside the playbook; Ansible passes it over, and so does this"));
        }
        Ok(None)
    }

    /// The files that a name may come to.
    fn candidates(&self, name: &Field<String>, dir: &Path) -> Vec<(PathBuf, Node)> {
        let pattern = match name {
            Field::Known(name) => name.clone(),
            Field::Template(template) => pattern(&template.text),
        };
        let read = |path: String| {
            let path = PathBuf::from(path);
            let is_yaml =
                path.extension().is_none_or(|ending| ["yml", "yaml", "json"].iter().any(|one| ending == *one));
            let source = Source::read(&path).ok().filter(|_| is_yaml && path.is_file())?;
            // One that nobody chooses may be anything.
            let mut ignored = Diagnostics::new();
            let node = yaml::load(&source, &self.selection.vault, &mut ignored)?;
            node.as_map().is_some().then_some((path, node))
        };
        let found = places(dir, &pattern).into_iter().filter_map(|place| glob(&place.to_string_lossy()).ok());
        found.flatten().filter_map(read).collect()
    }
}

/// A text with `*` in the place of what is rendered.
fn pattern(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((_, behind)) = after.split_once("}}").or_else(|| after.split_once("%}")) else { break };
        out.push_str(before);
        out.push('*');
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("vars/{{ os }}.yml", "vars/*.yml"),
            ("{{ a }}-{{ b | default('x') }}.yml", "*-*.yml"),
            ("plain.yml", "plain.yml"),
            ("{% if a %}b{% endif %}.yml", "*b*.yml"),
        ];
        for (text, wanted) in table {
            assert_eq!(pattern(text), wanted);
        }
    }
}
