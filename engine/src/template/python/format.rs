//! `'…'.format(…)`.

use minijinja::Error;
use minijinja::value::{Kwargs, Value, ValueKind};

use super::super::call::fail;
use super::{percent, text};

/// Fills `{}`, `{0}`, `{name}`, `{a.b[0]}` with `!r`, `!s` and the format specifications for width, alignment and numbers.
pub(crate) fn format(template: &str, args: &[Value], kwargs: &Kwargs) -> Result<String, Error> {
    fill(template, args, kwargs, &mut Numbering::Open)
}

/// Whether fields are numbered by themselves or in the text: both is an error.
enum Numbering {
    Open,
    Automatic(usize),
    Manual,
}

fn fill(template: &str, args: &[Value], kwargs: &Kwargs, next: &mut Numbering) -> Result<String, Error> {
    let (mut out, mut rest) = (String::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err(fail("single '}' encountered in format string"));
        }
        let end = field_end(rest).ok_or_else(|| fail("expected '}' before end of string"))?;
        let (field, spec) = rest[..end].split_once(':').unwrap_or((&rest[..end], ""));
        rest = &rest[end + 1..];
        let (path, conversion) = field.split_once('!').unwrap_or((field, ""));
        let value = lookup(path, args, kwargs, next)?;
        let value = match conversion {
            "" => value,
            "r" | "a" => Value::from(text::repr(&value)?),
            "s" => Value::from(text::str(&value)?),
            other => return Err(fail(format!("unknown conversion specifier '{other}'"))),
        };
        // A specification may hold fields of its own: `{:>{width}}`.
        let nested = if spec.contains('{') { fill(spec, args, kwargs, next)? } else { spec.to_owned() };
        let spec = nested.as_str();
        out.push_str(&apply(spec, &value)?);
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the field ends that has just begun.
fn field_end(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(i),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn lookup(path: &str, args: &[Value], kwargs: &Kwargs, next: &mut Numbering) -> Result<Value, Error> {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, steps) = path.split_at(end);
    let mixed = || fail("cannot switch between automatic field numbering and manual field specification");
    let index = match (name.is_empty(), name.parse::<usize>().ok(), &*next) {
        (true, _, Numbering::Manual) | (false, Some(_), Numbering::Automatic(_)) => return Err(mixed()),
        (true, _, Numbering::Open) => Some(0),
        (true, _, Numbering::Automatic(i)) => Some(*i),
        (false, index, _) => index,
    };
    match index {
        Some(i) if name.is_empty() => *next = Numbering::Automatic(i + 1),
        Some(_) => *next = Numbering::Manual,
        None => {}
    }
    let mut value = match index {
        Some(i) => {
            args.get(i).cloned().ok_or_else(|| fail("Replacement index out of range for positional args tuple"))?
        }
        None => kwargs.get(name).map_err(|_| fail(format!("KeyError: '{name}'")))?,
    };
    for step in steps.split(['.', '[']).filter(|s| !s.is_empty()) {
        let step = step.trim_end_matches(']');
        let key = step.parse::<usize>().map_or_else(|_| Value::from(step), Value::from);
        value = text::item(&value, &key)?;
    }
    Ok(value)
}

/// `[[fill]align][sign][#][0][width][grouping][.precision][type]` of a format.
struct Spec {
    fill: char,
    align: Option<char>,
    sign: char,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    fn parse(spec: &str) -> Result<Self, Error> {
        let bad = || fail(format!("invalid format specifier '{spec}'"));
        let chars: Vec<char> = spec.chars().collect();
        let is_align = |i: usize| chars.get(i).is_some_and(|c| "<>^=".contains(*c));
        let (mut fill, mut align, mut at) = match (is_align(1), is_align(0)) {
            (true, _) => (chars[0], Some(chars[1]), 2),
            (_, true) => (' ', Some(chars[0]), 1),
            _ => (' ', None, 0),
        };
        let mut next = |set: &str| {
            let found = chars.get(at).copied().filter(|c| set.contains(*c));
            at += usize::from(found.is_some());
            found
        };
        let sign = next("+- ").unwrap_or('-');
        let alternate = next("#").is_some();
        if next("0").is_some() && align.is_none() {
            (fill, align) = ('0', Some('='));
        }
        let number = |next: &mut dyn FnMut(&str) -> Option<char>| {
            let mut found = None;
            while let Some(digit) = next("0123456789").and_then(|c| c.to_digit(10)) {
                found = Some((found.unwrap_or(0usize) * 10 + digit as usize).min(100_000));
            }
            found
        };
        let width = number(&mut next).unwrap_or(0);
        let grouping = next(",_");
        let precision = match next(".") {
            Some(_) => Some(number(&mut next).ok_or_else(bad)?),
            None => None,
        };
        let kind = next("bcdeEfFgGnosxX%");
        if at < chars.len() {
            return Err(bad());
        }
        Ok(Self { fill, align, sign, alternate, width, grouping, precision, kind })
    }

    fn signed(&self, negative: bool, digits: String) -> String {
        match (negative, self.sign) {
            (true, _) => format!("-{digits}"),
            (_, sign @ ('+' | ' ')) => format!("{sign}{digits}"),
            _ => digits,
        }
    }

    fn integer(&self, number: i128, kind: char) -> String {
        let n = number.unsigned_abs();
        let (prefix, digits) = match kind {
            'x' => ("0x", format!("{n:x}")),
            'X' => ("0X", format!("{n:X}")),
            'o' => ("0o", format!("{n:o}")),
            'b' => ("0b", format!("{n:b}")),
            _ => ("", n.to_string()),
        };
        let digits = match self.grouping {
            Some(separator) => grouped(&digits, separator, if matches!(kind, 'd' | 'n') { 3 } else { 4 }),
            None => digits,
        };
        self.signed(number < 0, format!("{}{digits}", if self.alternate { prefix } else { "" }))
    }

    fn float(&self, number: f64, kind: char) -> Result<String, Error> {
        let precision = self.precision.unwrap_or(6);
        let size = number.abs();
        let digits = match kind {
            '%' => format!("{:.precision$}%", size * 100.0),
            kind => percent::format(&format!("%.{precision}{kind}"), &Value::from((size,)))?,
        };
        let digits = match self.grouping {
            Some(separator) => {
                let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
                format!("{}{}", grouped(&digits[..end], separator, 3), &digits[end..])
            }
            None => digits,
        };
        Ok(self.signed(number.is_sign_negative() && !number.is_nan(), digits))
    }

    fn pad(&self, body: String, numeric: bool) -> String {
        let missing = self.width.saturating_sub(body.chars().count());
        let fill = |n: usize| self.fill.to_string().repeat(n);
        match self.align.unwrap_or(if numeric { '>' } else { '<' }) {
            '<' => body + &fill(missing),
            '>' => fill(missing) + &body,
            '=' => {
                let sign = usize::from(body.starts_with(['-', '+', ' ']));
                let prefix =
                    if self.alternate && body[sign..].starts_with('0') && body.len() > sign + 1 { 2 } else { 0 };
                let (head, tail) = body.split_at(sign + prefix);
                format!("{head}{}{tail}", fill(missing))
            }
            _ => format!("{}{body}{}", fill(missing / 2), fill(missing - missing / 2)),
        }
    }
}

fn apply(spec: &str, value: &Value) -> Result<String, Error> {
    if spec.is_empty() {
        return text::str(value);
    }
    let spec = Spec::parse(spec)?;
    let kind_of = text::type_name(value);
    let unknown = |kind: char| fail(format!("unknown format code '{kind}' for object of type '{kind_of}'"));
    match value.kind() {
        ValueKind::Number | ValueKind::Bool => {
            let float = value.kind() == ValueKind::Number && !value.is_integer();
            let number =
                || f64::try_from(value.clone()).or_else(|_| Ok::<_, Error>(f64::from(u8::from(value.is_true()))));
            let whole = || i128::try_from(value.clone()).or_else(|_| Ok::<_, Error>(i128::from(value.is_true())));
            let body = match (spec.kind, float) {
                (Some('s'), _) => return Err(unknown('s')),
                (None, true) if spec.precision.is_none() => spec.signed(number()? < 0.0, text::float(number()?.abs())),
                (None, true) => spec.float(number()?, 'g')?,
                (None, false) => spec.integer(whole()?, 'd'),
                (Some(kind @ ('d' | 'b' | 'o' | 'x' | 'X' | 'n')), false) => spec.integer(whole()?, kind),
                (Some('c'), false) => percent::format("%c", &Value::from((value.clone(),)))?,
                (Some('n'), true) => spec.float(number()?, 'g')?,
                (Some(kind @ ('d' | 'b' | 'o' | 'x' | 'X' | 'c')), true) => return Err(unknown(kind)),
                (Some(kind), _) => spec.float(number()?, kind)?,
            };
            Ok(spec.pad(body, true))
        }
        ValueKind::String => {
            if let Some(kind) = spec.kind.filter(|k| *k != 's') {
                return Err(unknown(kind));
            }
            let body = value.as_str().unwrap_or_default();
            Ok(spec.pad(body.chars().take(spec.precision.unwrap_or(usize::MAX)).collect(), false))
        }
        _ => Err(fail(format!("unsupported format string passed to {kind_of}.__format__"))),
    }
}

/// Digits in groups, from the right.
fn grouped(digits: &str, separator: char, size: usize) -> String {
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(size) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_in_python() {
        let table: &[(&str, &[Value], &str)] = &[
            ("{}-{}", &[Value::from(1), Value::from("a")], "1-a"),
            ("{1}{0}{{}}", &[Value::from(1), Value::from(2)], "21{}"),
            ("{:>4}|{:<4}|{:^4}|{:04d}", &[1.into(), "a".into(), "b".into(), 7.into()], "   1|a   | b  |0007"),
            ("{:.2f} {:,} {!r}", &[2.5.into(), 1234567.into(), "x".into()], "2.50 1,234,567 'x'"),
            ("{0[a]}", &[Value::from_pairs([("a", 1)])], "1"),
        ];
        for (template, args, expected) in table {
            let kwargs = Kwargs::from_iter([("z", Value::from(1))]);
            assert_eq!(&format(template, args, &kwargs).expect("formats"), expected, "{template}");
        }
    }
}
