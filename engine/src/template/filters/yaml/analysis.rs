//! Which styles can hold a text, and what YAML would read a plain one as.

use minijinja::Error;

use super::super::super::call::fail;

/// Whether YAML 1.1 reads a plain scalar as something else than a text (PyYAML's `resolver.py`).
pub(super) fn is_implicit(text: &str) -> Result<bool, Error> {
    const PATTERN: &str = concat!(
        r"\A(?:|~|null|Null|NULL|=|<<|!|&|\*",
        r"|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
        r"|[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
        r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        r"|[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
        r"|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}",
        r"(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)\z"
    );
    let regex = super::super::compile(PATTERN, false, false)?;
    regex.is_match(text).map_err(|e| fail(format!("the regular expression gave up: {e}")))
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// libyaml leaves out the tab, and all beyond the basic plane.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

pub(super) fn escaped(c: char) -> String {
    match c {
        '\0' => "\\0".into(),
        '\u{7}' => "\\a".into(),
        '\u{8}' => "\\b".into(),
        '\t' => "\\t".into(),
        '\n' => "\\n".into(),
        '\u{b}' => "\\v".into(),
        '\u{c}' => "\\f".into(),
        '\r' => "\\r".into(),
        '\u{1b}' => "\\e".into(),
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\u{85}' => "\\N".into(),
        '\u{2028}' => "\\L".into(),
        '\u{2029}' => "\\P".into(),
        c if (c as u32) <= 0xff => format!("\\x{:02X}", c as u32),
        c if (c as u32) <= 0xffff => format!("\\u{:04X}", c as u32),
        c => format!("\\U{:08X}", c as u32),
    }
}

/// Which styles can hold a text (`yaml_emitter_analyze_scalar`).
pub(super) struct Analysis {
    pub multiline: bool,
    pub flow_plain: bool,
    pub block_plain: bool,
    pub single_quoted: bool,
    pub block: bool,
}

impl Analysis {
    pub(super) fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self { multiline: false, flow_plain: false, block_plain: true, single_quoted: true, block: false };
        }
        let chars: Vec<char> = text.chars().collect();
        let blank = |c: Option<&char>| c.is_none_or(|c| matches!(c, ' ' | '\t' | '\0') || is_break(*c));
        let document = text.starts_with("---") || text.starts_with("...");
        let (mut block_indicators, mut flow_indicators) = (document, document);
        let (mut special, mut breaks, mut space_break, mut break_space) = (false, false, false, false);
        for (i, c) in chars.iter().enumerate() {
            let (followed, preceded) = (blank(chars.get(i + 1)), i == 0 || blank(chars.get(i - 1)));
            let (flow, block) = match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
                    if i == 0 =>
                {
                    (true, true)
                }
                '?' if i == 0 => (true, followed),
                '-' if i == 0 => (followed, followed),
                ',' | '?' | '[' | ']' | '{' | '}' => (true, false),
                ':' => (true, followed),
                '#' => (preceded, preceded),
                _ => (false, false),
            };
            flow_indicators |= flow;
            block_indicators |= block;
            special |= !is_printable(*c) && !is_break(*c);
            breaks |= is_break(*c);
            break_space |= *c == ' ' && i > 0 && is_break(chars[i - 1]);
            space_break |= is_break(*c) && i > 0 && chars[i - 1] == ' ';
        }
        let (first, last) = (chars[0], chars[chars.len() - 1]);
        let edge = |c: char| c == ' ' || is_break(c);
        let plain = !edge(first) && !edge(last) && !break_space && !space_break && !special && !breaks;
        Self {
            multiline: breaks,
            flow_plain: plain && !flow_indicators,
            block_plain: plain && !block_indicators,
            single_quoted: !break_space && !space_break && !special,
            block: last != ' ' && !space_break && !special,
        }
    }
}
