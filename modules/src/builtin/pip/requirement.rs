//! What a package's text asks for (PEP 508), and whether a version is that (PEP 440), as far as plain versions go.

/// A package as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Requirement {
    /// As pip takes it.
    pub text: String,
    /// Its canonical name; empty of an address.
    pub name: String,
    /// Operators and versions.
    limits: Vec<(String, String)>,
}

/// A name as PEP 503 compares it.
pub(super) fn canonical(name: &str) -> String {
    let mut canonical = String::with_capacity(name.len());
    for c in name.trim().chars() {
        match c {
            '-' | '_' | '.' if canonical.ends_with('-') => {}
            '-' | '_' | '.' => canonical.push('-'),
            c => canonical.extend(c.to_lowercase()),
        }
    }
    canonical
}

/// Names, of which one may be several in one text, or a version of the one before (`django>1`, `<2`).
pub(super) fn flattened(names: &[&str]) -> Vec<String> {
    let mut flat: Vec<String> = Vec::new();
    let mut inside = false;
    for part in names.iter().flat_map(|name| name.split(',')) {
        let more = inside || part.trim_start().starts_with(['<', '>', '=', '!', '~']);
        match flat.last_mut().filter(|_| more) {
            Some(last) => last.push_str(&format!(",{part}")),
            None => flat.push(part.to_owned()),
        }
        inside = if part.contains('[') { !part.contains(']') } else { inside && !part.contains(']') };
    }
    flat
}

impl Requirement {
    pub(super) fn parse(text: &str) -> Self {
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let rest = rest.trim_start();
        let rest =
            rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(rest, |(_, rest)| rest.trim_start());
        let plain = rest.is_empty() || rest.starts_with(['<', '>', '=', '!', '~']);
        if !plain || name.is_empty() || rest.contains(';') {
            return Self { text: text.to_owned(), name: String::new(), limits: Vec::new() };
        }
        let limit = |part: &str| {
            let part = part.trim();
            let end = part.find(|c: char| !"<>=!~".contains(c)).unwrap_or(part.len());
            (part[..end].to_owned(), part[end..].trim().to_owned())
        };
        let limits = rest.split(',').filter(|part| !part.trim().is_empty()).map(limit).collect();
        Self { text: text.to_owned(), name: canonical(name), limits }
    }

    /// Whether it says which versions.
    pub(super) fn limits(&self) -> bool {
        !self.limits.is_empty()
    }

    /// The one version that it wants.
    pub(super) fn exact(&self) -> Option<&str> {
        match &self.limits[..] {
            [(operator, version)] if operator == "==" && !version.contains('*') => Some(version),
            _ => None,
        }
    }

    /// Of that version, or of what such a text allows.
    pub(super) fn with(&self, version: &str) -> Self {
        let version = version.trim();
        let sign = if version.starts_with(|c: char| c.is_ascii_digit()) { "==" } else { "" };
        Self::parse(&format!("{}{sign}{version}", self.text))
    }

    /// Whether a version will do; `None` where that is not for us to tell.
    pub(super) fn allows(&self, version: &str) -> Option<bool> {
        if self.name.is_empty() {
            return None;
        }
        let version = numbers(version)?;
        let mut all = true;
        for (operator, limit) in &self.limits {
            let (limit, open) = limit.strip_suffix(".*").map_or((limit.as_str(), false), |limit| (limit, true));
            let limit = numbers(limit)?;
            let begins =
                |numbers: &[u64]| (0..numbers.len()).all(|at| version.get(at).copied().unwrap_or(0) == numbers[at]);
            let order = compare(&version, &limit);
            all &= match (operator.as_str(), open) {
                ("==", true) => begins(&limit),
                ("!=", true) => !begins(&limit),
                ("==", false) => order.is_eq(),
                ("!=", false) => order.is_ne(),
                (">=", false) => order.is_ge(),
                ("<=", false) => order.is_le(),
                (">", false) => order.is_gt(),
                ("<", false) => order.is_lt(),
                ("~=", false) if limit.len() > 1 => order.is_ge() && begins(&limit[..limit.len() - 1]),
                _ => return None,
            };
        }
        Some(all)
    }
}

/// A version of numbers alone; others have an order of their own.
fn numbers(version: &str) -> Option<Vec<u64>> {
    version.trim_start_matches('v').split('.').map(|part| part.parse().ok()).collect()
}

fn compare(a: &[u64], b: &[u64]) -> std::cmp::Ordering {
    let at = |list: &[u64], at: usize| list.get(at).copied().unwrap_or(0);
    let pairs = (0..a.len().max(b.len())).map(|place| at(a, place).cmp(&at(b, place)));
    pairs.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let table = [
            ("Django", "4.2", Some(true)),
            ("django==4.2", "4.2.0", Some(true)),
            ("django == 4.2", "4.2.1", Some(false)),
            ("django>=4,<5", "4.10", Some(true)),
            ("django>=4,<5", "5", Some(false)),
            ("django~=4.2", "4.9", Some(true)),
            ("django~=4.2.1", "4.3", Some(false)),
            ("django==4.*", "4.9", Some(true)),
            ("django!=4.2", "4.2", Some(false)),
            ("django[argon2,bcrypt]>1", "2", Some(true)),
            ("django>1", "2rc1", None),
            ("git+https://x.example/django.git", "2", None),
            ("django; python_version < '3'", "2", None),
        ];
        for (text, version, wanted) in table {
            assert_eq!(Requirement::parse(text).allows(version), wanted, "{text} {version}");
        }
        assert_eq!(Requirement::parse("a").with("1.2").text, "a==1.2");
        assert_eq!(Requirement::parse("a").with(">=1.2").text, "a>=1.2");
        assert_eq!(canonical("Foo_.Bar"), "foo-bar");
    }

    #[test]
    fn names_in_pieces() {
        let table = [
            (vec!["django>1.11.1", "<1.11.3", "ipaddress"], vec!["django>1.11.1,<1.11.3", "ipaddress"]),
            (vec!["django>1.11.1,<1.11.3,ipaddress"], vec!["django>1.11.1,<1.11.3", "ipaddress"]),
            (vec!["a[b,c]", "d"], vec!["a[b,c]", "d"]),
        ];
        for (given, wanted) in table {
            assert_eq!(flattened(&given), wanted);
        }
    }
}
