//! Other delimiters than Jinja's own: `variable_start_string: '[['` of a task, a lookup or a `#jinja2:` line.
//!
//! A text with others is rewritten to one with Jinja's, in which what looked like Jinja's stands for itself; so there is one
//! grammar behind it.

/// How a file marks what is not text.
#[derive(Clone, Debug, PartialEq)]
pub struct Delimiters([(String, String); 3]);

/// Jinja's own: expressions, statements, comments.
const JINJA: [(&str, &str); 3] = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];

/// The names of the settings, in the order of [`JINJA`].
const NAMES: [(&str, &str); 3] = [
    ("variable_start_string", "variable_end_string"),
    ("block_start_string", "block_end_string"),
    ("comment_start_string", "comment_end_string"),
];

impl Default for Delimiters {
    fn default() -> Self {
        Self(JINJA.map(|(start, end)| (start.to_owned(), end.to_owned())))
    }
}

impl Delimiters {
    /// The names of all settings.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().flat_map(|(start, end)| [start, end])
    }

    /// Takes a setting; whether there is one of this name, and the value can be one.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        for (pair, (start, end)) in self.0.iter_mut().zip(NAMES) {
            let slot = match name {
                name if name == start => &mut pair.0,
                name if name == end => &mut pair.1,
                _ => continue,
            };
            value.clone_into(slot);
            return !value.is_empty();
        }
        false
    }

    /// The text with Jinja's delimiters.
    pub fn translate(&self, text: &str) -> String {
        if *self == Self::default() {
            return text.to_owned();
        }
        let (mut out, mut pos) = (String::with_capacity(text.len()), 0);
        while let Some(first) = text[pos..].chars().next() {
            let rest = &text[pos..];
            // The longest one counts where several begin alike.
            let opened = (0..3).filter(|i| rest.starts_with(&self.0[*i].0)).max_by_key(|i| self.0[*i].0.len());
            if let Some(kind) = opened
                && let Some(len) = self.end(rest, kind)
            {
                let (start, end) = &self.0[kind];
                let inside = &rest[start.len()..len - end.len()];
                out.extend([JINJA[kind].0, inside, JINJA[kind].1]);
                pos += len;
                if kind == 1 && inside.trim_matches(['-', '+']).trim() == "raw" {
                    let raw = self.end_of_raw(&text[pos..]);
                    out.push_str(&text[pos..pos + raw]);
                    pos += raw;
                }
            } else if let Some((own, _)) = JINJA.iter().find(|(own, _)| rest.starts_with(own)) {
                out.push_str(&format!("{{{{ '{own}' }}}}"));
                pos += own.len();
            } else {
                out.push(first);
                pos += first.len_utf8();
            }
        }
        out
    }

    /// The length of what begins here, with its delimiters; those in quotes do not count.
    fn end(&self, rest: &str, kind: usize) -> Option<usize> {
        let (start, end) = &self.0[kind];
        let mut quote = None;
        let mut chars = rest.char_indices().skip_while(|(i, _)| *i < start.len());
        while let Some((i, c)) = chars.next() {
            match quote {
                None if rest[i..].starts_with(end.as_str()) => return Some(i + end.len()),
                None if kind != 2 && matches!(c, '\'' | '"') => quote = Some(c),
                Some(_) if c == '\\' => drop(chars.next()),
                Some(open) if c == open => quote = None,
                _ => {}
            }
        }
        None
    }

    /// Where the statement begins that ends a raw block.
    fn end_of_raw(&self, rest: &str) -> usize {
        let start = &self.0[1].0;
        let ends =
            |i: &usize| rest[i + start.len()..].trim_start_matches(['-', '+']).trim_start().starts_with("endraw");
        rest.match_indices(start.as_str()).map(|(i, _)| i).find(ends).unwrap_or(rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_delimiters_become_jinjas() {
        let mut square = Delimiters::default();
        for (name, value) in Delimiters::names().zip(["[[", "]]", "[%", "%]", "[#", "#]"]) {
            assert!(square.set(name, value), "{name}");
        }
        let table = [
            ("a [[ b ]] c", "a {{ b }} c"),
            ("{{ a }}[[ ']]' ]]", "{{ '{{' }} a }}{{ ']]' }}"),
            ("[%- if x -%]y[% endif %]", "{%- if x -%}y{% endif %}"),
            ("[# it's #]{# c #}", "{# it's #}{{ '{#' }} c #}"),
            ("[% raw %]{{ x }}[[ y ]][% endraw %]", "{% raw %}{{ x }}[[ y ]]{% endraw %}"),
            ("[[ open", "[[ open"),
        ];
        for (text, expected) in table {
            assert_eq!(square.translate(text), expected, "{text}");
        }
        assert_eq!(Delimiters::default().translate("{{ a }}"), "{{ a }}");
        assert!(!square.set("line_prefix", "%"));
    }
}
