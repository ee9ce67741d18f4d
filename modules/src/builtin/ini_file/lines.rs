//! The lines of a file of sections. How they are edited is what Ansible's `ini_file` does, line by line.

use super::IniFile;

/// What became of a file.
pub(super) struct Change {
    /// Its text, if that is another.
    pub text: Option<String>,
    /// What was done, in Ansible's words.
    pub said: &'static str,
}

/// The lines of a file, each with its end: those before a section, those of it from its head on, and those behind.
pub(super) struct Lines {
    before: Vec<String>,
    section: Vec<String>,
    after: Vec<String>,
    /// Which of the section's are as they shall be.
    settled: Vec<bool>,
    changed: bool,
    said: &'static str,
}

/// A line that is about an option.
struct Setting<'a> {
    commented: bool,
    separated: bool,
    value: &'a str,
}

/// The head of what stands before the first section.
const TOP: &str = "[";
const BLANKS: [char; 2] = [' ', '\t'];

impl Lines {
    pub(super) fn read(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let mut changed = false;
        match lines.last_mut() {
            None => lines.push("\n".into()),
            Some(last) if !last.ends_with('\n') => {
                last.push('\n');
                changed = true;
            }
            Some(_) => {}
        }
        Self { before: Vec::new(), section: Vec::new(), after: lines, settled: Vec::new(), changed, said: "OK" }
    }

    /// Looks for a section that is meant; without a name it is what stands before the first. Whether there is one.
    pub(super) fn find(&mut self, name: Option<&str>, meant: &dyn Fn(&[String]) -> bool) -> bool {
        let lines = std::mem::take(&mut self.after);
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            let end = lines.iter().position(|line| line.starts_with('[')).unwrap_or(lines.len());
            let top = [TOP.to_owned()].into_iter().chain(lines[..end].iter().cloned());
            (self.section, self.after) = (top.collect(), lines[end..].to_vec());
            self.settled = vec![false; self.section.len()];
            return true;
        };
        let head = |line: &str| {
            let rest = line.strip_prefix('[').map(|rest| rest.trim_start().strip_prefix(name.trim()));
            rest.flatten().is_some_and(|rest| rest.trim_start().starts_with(']'))
        };
        let heads: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].starts_with('[')).collect();
        let end = |start: usize| heads.iter().copied().find(|at| *at > start).unwrap_or(lines.len());
        let found = heads.iter().copied().find(|start| head(&lines[*start]) && meant(&lines[*start..end(*start)]));
        match found {
            None => self.after = lines,
            Some(start) => {
                self.before = lines[..start].to_vec();
                self.section = lines[start..end(start)].to_vec();
                self.after = lines[end(start)..].to_vec();
            }
        }
        self.settled = vec![false; self.section.len()];
        found.is_some()
    }

    /// The section has the option with these values. First the lines with one of them, then other lines of the option,
    /// then new ones behind the last that is no comment.
    pub(super) fn ensure(&mut self, option: Option<&str>, values: &[&str], spec: &IniFile) {
        let Some(option) = option else { return };
        let mut left = values.to_vec();
        let mut bare = false;
        let line = |value: &str| format!("{option}{}{value}\n", spec.separator());
        for at in 0..self.section.len() {
            let Some(setting) = self.setting(option, at, spec) else { continue };
            let had = setting.value.to_owned();
            if let Some(place) = left.iter().position(|value| **value == *had) {
                bare |= had.is_empty() && spec.allow_no_value;
                let new = if had.is_empty() && spec.allow_no_value { format!("{option}\n") } else { line(&had) };
                self.set(option, at, new, spec);
                left.remove(place);
            } else if left.is_empty() && values.is_empty() && spec.allow_no_value {
                self.set(option, at, format!("{option}\n"), spec);
                bare = true;
                break;
            }
        }
        if spec.exclusive && !spec.allow_no_value {
            for at in 0..self.section.len() {
                if !left.is_empty() && !self.settled[at] && self.is_free(option, at, spec) {
                    self.set(option, at, line(left.remove(0)), spec);
                }
            }
            for at in (1..self.section.len()).rev() {
                if !self.settled[at] && self.is_free(option, at, spec) {
                    self.section.remove(at);
                    self.settled.remove(at);
                    self.now("option changed");
                }
            }
        }
        let Some(last) = self.section.iter().rposition(|line| !is_comment(line)) else { return };
        let new: Vec<String> = match (left.is_empty(), spec.allow_no_value && values.is_empty() && !bare) {
            (false, _) => left.iter().map(|value| line(value)).collect(),
            (true, true) => vec![format!("{option}\n")],
            (true, false) => return,
        };
        self.section.splice(last + 1..last + 1, new);
        self.now("option added");
    }

    /// A new section at the end.
    pub(super) fn add(&mut self, spec: &IniFile, values: &[&str]) {
        let Some(section) = &spec.section else { return };
        self.after.push(format!("[{section}]\n"));
        let separator = spec.separator();
        let mut values: Vec<&str> = values.to_vec();
        for having in &spec.section_has_values {
            let name = &having.option;
            if Some(name) != spec.option.as_ref() {
                let none = having.values().is_empty() && spec.allow_no_value;
                self.after.extend(having.values().iter().map(|value| format!("{name}{separator}{value}\n")));
                self.after.extend(none.then(|| format!("{name}\n")));
            } else if !spec.exclusive {
                values.extend(having.values().iter().map(String::as_str).filter(|value| !spec.gives(value)));
            }
        }
        let Some(option) = &spec.option else { return self.now("only section added") };
        self.after.extend(values.iter().map(|value| format!("{option}{separator}{value}\n")));
        if values.is_empty() {
            self.after.push(format!("{option}\n"));
        }
        self.now("section and option added");
    }

    /// The section does not have the option, or not with these values.
    pub(super) fn without(&mut self, option: &str, values: &[&str], exclusive: bool) {
        let count = self.section.len();
        let goes = |line: &String| {
            let active = setting(option, line).filter(|setting| !setting.commented);
            active.is_some_and(|setting| exclusive || values.contains(&setting.value))
        };
        self.section.retain(|line| !goes(line));
        if self.section.len() < count {
            self.now("option changed");
        }
    }

    /// There is no such section.
    pub(super) fn drop_section(&mut self) {
        if self.section.iter().any(|line| line != TOP) {
            self.section.clear();
            self.now("section removed");
        }
    }

    pub(super) fn done(self) -> Change {
        let lines = self.before.into_iter().chain(self.section).chain(self.after).filter(|line| line != TOP);
        Change { text: self.changed.then(|| lines.collect()), said: self.said }
    }

    fn setting(&self, option: &str, at: usize, spec: &IniFile) -> Option<Setting<'_>> {
        setting(option, &self.section[at]).filter(|setting| spec.modify_inactive_option || !setting.commented)
    }

    /// Whether another value may take the line. A comment that only names the option is a comment.
    fn is_free(&self, option: &str, at: usize, spec: &IniFile) -> bool {
        self.setting(option, at, spec).is_some_and(|setting| !setting.commented || setting.separated)
    }

    fn set(&mut self, option: &str, at: usize, new: String, spec: &IniFile) {
        let old = setting(option, &self.section[at]).filter(|old| spec.ignore_spaces && !old.commented);
        let same = match (old, setting(option, &new)) {
            (Some(old), Some(new)) => old.value == new.value,
            _ => self.section[at] == new,
        };
        self.settled[at] = true;
        if !same {
            self.section[at] = new;
            self.now("option changed");
        }
    }

    fn now(&mut self, said: &'static str) {
        (self.changed, self.said) = (true, said);
    }
}

/// Whether a section has the option, with one of these values if there are any.
pub(super) fn has(section: &[String], option: &str, values: &[String]) -> bool {
    let with = |setting: Setting<'_>| values.is_empty() || values.iter().any(|value| value == setting.value);
    section.iter().filter_map(|line| setting(option, line)).any(with)
}

fn setting<'a>(option: &str, line: &'a str) -> Option<Setting<'a>> {
    let line = line.strip_suffix('\n').unwrap_or(line).trim_start_matches(BLANKS);
    let uncommented = line.strip_prefix(['#', ';']);
    let rest = uncommented.map_or(line, |rest| rest.trim_start_matches(BLANKS));
    let rest = rest.strip_prefix(option)?.trim_start_matches(BLANKS);
    let value = rest.strip_prefix('=').map(|value| value.trim_start_matches(BLANKS));
    let separated = value.is_some();
    (separated || rest.is_empty()).then(|| Setting {
        commented: uncommented.is_some(),
        separated,
        value: value.unwrap_or_default(),
    })
}

/// A comment, or nothing.
fn is_comment(line: &str) -> bool {
    let line = line.trim_start_matches(BLANKS).trim_end_matches('\n');
    line.is_empty() || line.starts_with(['#', ';'])
}
