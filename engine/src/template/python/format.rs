//! `'…'.format(…)`.

use minijinja::Error;
use minijinja::value::{Kwargs, Value, ValueKind};

use super::super::call::fail;
use super::{percent, text};

/// Fills `{}`, `{0}`, `{name}`, `{a.b[0]}` with `!r`, `!s` and the format specifications for width, alignment and numbers.
pub(crate) fn format(template: &str, args: &[Value], kwargs: &Kwargs) -> Result<String, Error> {
    let (mut out, mut rest, mut next) = (String::new(), template, 0);
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
        let end = rest.find('}').ok_or_else(|| fail("expected '}' before end of string"))?;
        let (field, spec) = rest[..end].split_once(':').unwrap_or((&rest[..end], ""));
        rest = &rest[end + 1..];
        let (path, conversion) = field.split_once('!').unwrap_or((field, ""));
        let value = lookup(path, args, kwargs, &mut next)?;
        let value = if conversion == "r" { Value::from(text::repr(&value)?) } else { value };
        out.push_str(&apply(spec, &value)?);
    }
    out.push_str(rest);
    Ok(out)
}

fn lookup(path: &str, args: &[Value], kwargs: &Kwargs, next: &mut usize) -> Result<Value, Error> {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, steps) = path.split_at(end);
    let index = if name.is_empty() {
        *next += 1;
        Some(*next - 1)
    } else {
        name.parse().ok()
    };
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

/// `[[fill]align][sign][#][0][width][,][.precision][type]`.
fn apply(spec: &str, value: &Value) -> Result<String, Error> {
    let chars: Vec<char> = spec.chars().collect();
    let is_align = |c: Option<&char>| c.is_some_and(|c| "<>^".contains(*c));
    let (fill, align, skip) = match (is_align(chars.get(1)), is_align(chars.first())) {
        (true, _) => (chars[0], Some(chars[1]), 2),
        (_, true) => (' ', Some(chars[0]), 1),
        _ => (' ', None, 0),
    };
    let rest: String = chars[skip..].iter().collect();
    let numeric = value.kind() == ValueKind::Number;
    let kind = rest.chars().last().filter(char::is_ascii_alphabetic);
    let body = rest.trim_end_matches(|c: char| c.is_ascii_alphabetic()).replace(',', "");
    let (sized, precision) = body.split_once('.').map_or((body.as_str(), None), |(w, p)| (w, Some(p)));
    let flags: String = sized.chars().take_while(|c| "+ #0".contains(*c)).collect();
    let width: usize = sized[flags.len()..].parse().unwrap_or(0);
    let conversion = kind.unwrap_or(if !numeric {
        's'
    } else if precision.is_some() {
        'g'
    } else {
        's'
    });
    let precision = precision.map_or_else(String::new, |p| format!(".{p}"));
    let zero = flags.contains('0') && align.is_none();
    let printf_width = if zero { width.to_string() } else { String::new() };
    let flags = if zero { flags } else { flags.replace('0', "") };
    let mut text = match conversion {
        '%' | 'b' | 'n' => return Err(fail(format!("the format type '{conversion}' is not supported"))),
        c => percent::format(&format!("%{flags}{printf_width}{precision}{c}"), &Value::from((value.clone(),)))?,
    };
    if rest.contains(',') {
        text = thousands(&text);
    }
    let missing = width.saturating_sub(text.chars().count());
    let (left, right) = match align.unwrap_or(if numeric { '>' } else { '<' }) {
        '<' => (0, missing),
        '>' => (missing, 0),
        _ => (missing / 2, missing - missing / 2),
    };
    let fill = |n: usize| fill.to_string().repeat(n);
    Ok(format!("{}{text}{}", fill(left), fill(right)))
}

fn thousands(number: &str) -> String {
    let (whole, fraction) = number.find('.').map_or((number, ""), |i| number.split_at(i));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with(['-', '+'])));
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    format!("{sign}{out}{fraction}")
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
