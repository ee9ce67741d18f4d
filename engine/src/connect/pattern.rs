//! OpenSSH's patterns: `*` and `?`, lists of them, `!` for "not" (ssh_config(5), PATTERNS).

/// Whether a list of patterns takes `text` in: one of them matches, and none of those with a `!`.
pub(super) fn list_matches<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern, text) => return false,
            Some(_) => {}
            None => found |= matches(pattern, text),
        }
    }
    found
}

/// Whether one pattern matches the whole of `text`, whatever the case.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    matches_exactly(&pattern.to_lowercase(), &text.to_lowercase())
}

/// Whether one pattern matches the whole of `text`, to the letter.
pub(super) fn matches_exactly(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last `*` does not match: let that `*` swallow one character more.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, from)) = retry else { return false };
                retry = Some((after, from + 1));
                p = after;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pattern() {
        for (pattern, text, expected) in [
            ("web1", "web1", true),
            ("web1", "web10", false),
            ("WEB1", "web1", true),
            ("web?", "web1", true),
            ("web?", "web", false),
            ("*", "", true),
            ("*", "anything", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("[10.0.0.*]:2222", "[10.0.0.7]:2222", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn lists_with_negation() {
        for (patterns, text, expected) in [
            ("web*,!web9", "web1", true),
            ("web*,!web9", "web9", false),
            ("!web9", "web1", false),
            ("!web9,*", "web1", true),
            ("a,b", "c", false),
        ] {
            assert_eq!(list_matches(patterns.split(','), text), expected, "{patterns} on {text}");
        }
    }
}
