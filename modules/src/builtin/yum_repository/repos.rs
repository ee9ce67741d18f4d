//! A file of repositories, read and written as Python's `RawConfigParser` does it. Pure.

/// Sections in order, each with its options in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Repos(Vec<(String, Vec<(String, String)>)>);

impl Repos {
    /// Comments are left out; lines that begin with blanks go on with the value before.
    pub(super) fn read(text: &str) -> Self {
        let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
        for line in text.lines() {
            let begins = line.trim_start();
            if begins.starts_with(['#', ';']) {
                continue;
            }
            let options = sections.last_mut().map(|(_, options)| options);
            if line.starts_with([' ', '\t']) && !begins.is_empty() {
                if let Some((_, value)) = options.and_then(|options| options.last_mut()) {
                    value.push_str(&format!("\n{}", begins.trim_end()));
                }
            } else if let Some(name) = begins.trim_end().strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
                sections.push((name.to_owned(), Vec::new()));
            } else if let (Some(options), Some(at)) = (options, begins.find(['=', ':'])) {
                let (name, value) = (begins[..at].trim().to_lowercase(), begins[at + 1..].trim().to_owned());
                options.push((name, value));
            }
        }
        Self(sections)
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(section, _)| section != name);
    }

    pub(super) fn add(&mut self, name: &str, options: Vec<(&str, String)>) {
        let options = options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.0.push((name.to_owned(), options));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In an order that does not depend on the file's.
    pub(super) fn dump(&self) -> Self {
        let mut sorted = self.clone();
        sorted.0.sort();
        sorted.0.iter_mut().for_each(|(_, options)| options.sort());
        sorted
    }

    pub(super) fn text(&self) -> String {
        let option = |(name, value): &(String, String)| format!("{name} = {}\n", value.replace('\n', "\n\t"));
        let section = |(name, options): &(String, Vec<(String, String)>)| {
            format!("[{name}]\n{}\n", options.iter().map(option).collect::<String>())
        };
        self.0.iter().map(section).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_reads_and_writes_it() {
        let text = "# mine\n[a]\nName: A\nbaseurl=http://x/1\n  http://x/2\n; no\n[b]\nname = B\n";
        let mut repos = Repos::read(text);
        assert_eq!(repos.text(), "[a]\nname = A\nbaseurl = http://x/1\n\thttp://x/2\n\n[b]\nname = B\n\n");
        repos.remove("a");
        repos.add("a", vec![("name", "A".into())]);
        assert_eq!(repos.text(), "[b]\nname = B\n\n[a]\nname = A\n\n");
        assert_eq!(Repos::read(&repos.text()), repos);
    }
}
