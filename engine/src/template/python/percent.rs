//! `'…' % values`: printf formatting.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{fail, items};
use super::text;

/// A conversion like `%-08.3f`.
#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// Formats one value, or the values of a tuple, or by key those of a dictionary.
pub(crate) fn format(template: &str, values: &Value) -> Result<String, Error> {
    let mut queue = if values.is_tuple() { items(values)?? } else { vec![values.clone()] };
    queue.reverse();
    let (mut out, mut chars, mut by_key) = (String::new(), template.chars().peekable(), false);
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut key = None;
        if chars.next_if_eq(&'(').is_some() {
            by_key = true;
            key = Some(text::item(values, &Value::from(chars.by_ref().take_while(|c| *c != ')').collect::<String>()))?);
        }
        let mut next = || queue.pop().ok_or_else(|| fail("not enough arguments for format string"));
        let spec = spec(&mut chars, &mut next)?;
        let conversion = chars.next().ok_or_else(|| fail("incomplete format"))?;
        if conversion == '%' {
            out.push('%');
            continue;
        }
        let value = key.map_or_else(next, Ok)?;
        out.push_str(&spec.apply(conversion, &value)?);
    }
    if !by_key && !queue.is_empty() && !matches!(values.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable)
        || !by_key && values.is_tuple() && !queue.is_empty()
    {
        return Err(fail("not all arguments converted during string formatting"));
    }
    Ok(out)
}

fn spec(
    chars: &mut std::iter::Peekable<std::str::Chars>,
    next: &mut impl FnMut() -> Result<Value, Error>,
) -> Result<Spec, Error> {
    let mut spec = Spec::default();
    while let Some(flag) = chars.next_if(|c| "-0+ #".contains(*c)) {
        match flag {
            '-' => spec.left = true,
            '0' => spec.zero = true,
            '+' => spec.plus = true,
            ' ' => spec.space = true,
            _ => spec.alternate = true,
        }
    }
    spec.width = number(chars, next)?.unwrap_or(0);
    if chars.next_if_eq(&'.').is_some() {
        spec.precision = Some(number(chars, next)?.unwrap_or(0));
    }
    while chars.next_if(|c| "hlL".contains(*c)).is_some() {}
    Ok(spec)
}

fn number(
    chars: &mut std::iter::Peekable<std::str::Chars>,
    next: &mut impl FnMut() -> Result<Value, Error>,
) -> Result<Option<usize>, Error> {
    if chars.next_if_eq(&'*').is_some() {
        return next()?.as_usize().map(Some).ok_or_else(|| fail("* wants int"));
    }
    let mut found = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        found = Some((found.unwrap_or(0usize).saturating_mul(10) + digit as usize).min(100_000));
    }
    Ok(found)
}

impl Spec {
    fn apply(&self, conversion: char, value: &Value) -> Result<String, Error> {
        let float = || {
            f64::try_from(value.clone())
                .map_err(|_| fail(format!("must be real number, not {}", text::type_name(value))))
        };
        let int = || -> Result<i128, Error> {
            let whole = value.clone().try_into().ok().or_else(|| f64::try_from(value.clone()).ok().map(|f| f as i128));
            let kind = text::type_name(value);
            whole.ok_or_else(|| fail(format!("%{conversion} format: a real number is required, not {kind}")))
        };
        let precision = self.precision.unwrap_or(6);
        let (body, numeric) = match conversion {
            's' => (cut(text::str(value)?, self.precision), false),
            'r' => (cut(text::repr(value)?, self.precision), false),
            'a' => (cut(ascii(&text::repr(value)?), self.precision), false),
            'c' => match value.as_str() {
                Some(s) if s.chars().count() == 1 => (s.to_owned(), false),
                Some(_) => return Err(fail("%c requires int or char")),
                None => (char_of(value)?, false),
            },
            'x' | 'X' | 'o' if value.kind() == ValueKind::Number && !value.is_integer() => {
                return Err(fail(format!("%{conversion} format: an integer is required, not float")));
            }
            'd' | 'i' | 'u' => (int()?.to_string(), true),
            'x' => (radix(int()?, |n| format!("{n:x}"), if self.alternate { "0x" } else { "" }), true),
            'X' => (radix(int()?, |n| format!("{n:X}"), if self.alternate { "0X" } else { "" }), true),
            'o' => (radix(int()?, |n| format!("{n:o}"), if self.alternate { "0o" } else { "" }), true),
            'f' | 'F' => (format!("{:.precision$}", float()?), true),
            'e' | 'E' => (exponent(float()?, precision, conversion), true),
            'g' => (general(float()?, precision, self.alternate), true),
            'G' => (general(float()?, precision, self.alternate).to_uppercase(), true),
            other => return Err(fail(format!("unsupported format character '{other}'"))),
        };
        Ok(self.pad(body, numeric))
    }

    fn pad(&self, mut body: String, numeric: bool) -> String {
        if numeric && !body.starts_with('-') {
            body.insert_str(
                0,
                if self.plus {
                    "+"
                } else if self.space {
                    " "
                } else {
                    ""
                },
            );
        }
        let missing = self.width.saturating_sub(body.chars().count());
        if self.left {
            body + &" ".repeat(missing)
        } else if self.zero && numeric {
            let sign = usize::from(body.starts_with(['-', '+', ' ']));
            let sign = sign + if self.alternate && body[sign..].starts_with("0x") { 2 } else { 0 };
            body.insert_str(sign, &"0".repeat(missing));
            body
        } else {
            " ".repeat(missing) + &body
        }
    }
}

fn cut(text: String, precision: Option<usize>) -> String {
    precision.map_or_else(|| text.clone(), |n| text.chars().take(n).collect())
}

fn ascii(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c as u32 {
            0..=0x7f => out.push(c),
            code @ 0x80..=0xff => out.push_str(&format!("\\x{code:02x}")),
            code @ 0x100..=0xffff => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
        out
    })
}

fn char_of(value: &Value) -> Result<String, Error> {
    let code = value.as_i64().and_then(|n| u32::try_from(n).ok()).and_then(char::from_u32);
    code.map(String::from).ok_or_else(|| fail("%c requires int or char"))
}

fn radix(number: i128, digits: impl Fn(u128) -> String, prefix: &str) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{prefix}{}", digits(number.unsigned_abs()))
}

fn exponent(number: f64, precision: usize, conversion: char) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let sign = if power < 0 { '-' } else { '+' };
    format!("{mantissa}{conversion}{sign}{:02}", power.abs())
}

fn general(number: f64, precision: usize, keep: bool) -> String {
    let precision = precision.max(1);
    let scientific = exponent(number, precision - 1, 'e');
    let power: i32 = scientific.split_once('e').and_then(|(_, p)| p.parse().ok()).unwrap_or(0);
    let strip = |s: &str| {
        if s.contains('.') && !keep { s.trim_end_matches('0').trim_end_matches('.').to_owned() } else { s.to_owned() }
    };
    if (-4..i32::try_from(precision).unwrap_or(i32::MAX)).contains(&power) {
        let decimals = usize::try_from(i32::try_from(precision).unwrap_or(0) - 1 - power).unwrap_or(0);
        return strip(&format!("{number:.decimals$}"));
    }
    let (mantissa, rest) = scientific.split_once('e').unwrap_or((&scientific, "+00"));
    format!("{}e{rest}", strip(mantissa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_in_python() {
        let table: &[(&str, Value, &str)] = &[
            ("%s-%d", Value::from(("a", 3)), "a-3"),
            ("%05.2f|%-5s|%5s", Value::from((2.5, "ab", "cd")), "02.50|ab   |   cd"),
            ("%03d %+d %x %#o", Value::from((7, 7, 255, 8)), "007 +7 ff 0o10"),
            ("%(a)s%%", Value::from_pairs([("a", 1)]), "1%"),
            ("%g %g %e", Value::from((0.00001, 1234.5, 1234.5)), "1e-05 1234.5 1.234500e+03"),
            ("%s", Value::from(vec![1, 2]), "[1, 2]"),
            ("%r", Value::from("x"), "'x'"),
        ];
        for (template, values, expected) in table {
            assert_eq!(&format(template, values).expect("formats"), expected, "{template}");
        }
        assert!(format("%d", &Value::from("x")).is_err());
        assert!(format("%s %s", &Value::from("x")).is_err());
        assert!(format("%s", &Value::from((1, 2))).is_err());
    }
}
