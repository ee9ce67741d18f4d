//! What a setting's value means: `1GB` and `1048576kB` are one value.
//!
//! After the server's `guc.c` and its documentation, "Parameter Names and Values".

/// What `pg_settings` says about a setting's values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Kind {
    /// `bool`, `integer`, `real`, `enum`, `string`; empty where it is not known.
    pub(super) vartype: String,
    /// `kB`, `8kB`, `ms`: what a number without a unit is counted in.
    pub(super) unit: Option<String>,
    pub(super) least: Option<String>,
    pub(super) most: Option<String>,
    /// The values of an enum.
    pub(super) choices: Vec<String>,
    /// Whether the value is a list of names.
    pub(super) list: bool,
}

/// Settings whose values are lists of names (`GUC_LIST_INPUT`), but for those with a grammar of their own.
const LISTS: [&str; 8] = [
    "listen_addresses",
    "local_preload_libraries",
    "log_destination",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

pub(super) fn is_list(name: &str) -> bool {
    LISTS.contains(&name)
}

/// Whether a list is added to, unless it is said otherwise: what another task or person loads must stay.
pub(super) fn adds_up(name: &str) -> bool {
    name.ends_with("_preload_libraries")
}

/// The names in a list. Quotes are for names with commas or upper case.
pub(super) fn items(value: &str) -> Vec<String> {
    let (mut items, mut item, mut quoted) = (Vec::new(), String::new(), false);
    for c in value.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => items.push(std::mem::take(&mut item)),
            c => item.push(c),
        }
    }
    items.push(item);
    items.into_iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

/// A list as a value.
pub(super) fn join(items: &[String]) -> String {
    let quoted = |item: &String| if item.contains([',', '"', ' ']) { format!("\"{item}\"") } else { item.clone() };
    items.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

impl Kind {
    /// Whether two values mean the same.
    pub(super) fn same(&self, a: &str, b: &str) -> bool {
        if a == b {
            return true;
        }
        if self.list {
            return items(a) == items(b);
        }
        match self.vartype.as_str() {
            "bool" => boolean(a).is_some() && boolean(a) == boolean(b),
            "integer" | "real" => match (self.number(a), self.number(b)) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
                _ => false,
            },
            "enum" => a.eq_ignore_ascii_case(b),
            "string" => false,
            // Nobody knows what it is: two sizes or times can be compared all the same.
            _ => match (quantity(a), quantity(b)) {
                (Some((a, Some(of))), Some((b, Some(other)))) => {
                    of.same_family(&other) && a * of.size == b * other.size
                }
                (Some((a, None)), Some((b, None))) => a == b,
                _ => boolean(a).is_some() && boolean(a) == boolean(b),
            },
        }
    }

    /// What is wrong with a value, and what was expected.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        match self.vartype.as_str() {
            "bool" if boolean(value).is_none() => Err(format!("must be on or off, not `{value}`")),
            "enum"
                if !self.choices.iter().any(|choice| choice.eq_ignore_ascii_case(value))
                    && boolean(value).is_none() =>
            {
                let near = crate::param::nearest(value, self.choices.iter().map(String::as_str));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Err(format!("must be one of {}, not `{value}`{hint}", self.choices.join(", ")))
            }
            "integer" | "real" => self.check_number(value),
            _ => Ok(()),
        }
    }

    fn check_number(&self, value: &str) -> Result<(), String> {
        let unit = self.unit.as_deref();
        let Some(number) = self.number(value) else {
            let expected = match unit.and_then(base) {
                Some(Unit { time: false, .. }) => "a size such as `64MB` (B, kB, MB, GB, TB)",
                Some(Unit { time: true, .. }) => "a time such as `30s` (us, ms, s, min, h, d)",
                None => "a number without a unit",
            };
            return Err(format!("must be {expected}, not `{value}`"));
        };
        let bound = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok());
        let shown = |text: &Option<String>| {
            text.clone().unwrap_or_default() + &unit.map(|unit| format!(" × {unit}")).unwrap_or_default()
        };
        if bound(&self.least).is_some_and(|least| number < least) {
            return Err(format!("`{value}` is below the least that it can be: {}", shown(&self.least)));
        }
        if bound(&self.most).is_some_and(|most| number > most) {
            return Err(format!("`{value}` is above the most that it can be: {}", shown(&self.most)));
        }
        Ok(())
    }

    /// In units of the setting; whole for an integer.
    fn number(&self, value: &str) -> Option<f64> {
        let base = self.unit.as_deref().and_then(base);
        let number = match (quantity(value)?, base) {
            ((number, None), _) => number,
            ((number, Some(unit)), Some(base)) if unit.same_family(&base) => number * unit.size / base.size,
            _ => return None,
        };
        Some(if self.vartype == "integer" { number.round_ties_even() } else { number })
    }
}

/// Bytes or microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Unit {
    size: f64,
    time: bool,
}

impl Unit {
    fn same_family(&self, other: &Self) -> bool {
        self.time == other.time
    }
}

fn unit(name: &str) -> Option<Unit> {
    let (size, time) = match name {
        "B" => (1.0, false),
        "kB" => (1024.0, false),
        "MB" => (1024.0 * 1024.0, false),
        "GB" => (1024.0 * 1024.0 * 1024.0, false),
        "TB" => (1024.0 * 1024.0 * 1024.0 * 1024.0, false),
        "us" => (1.0, true),
        "ms" => (1e3, true),
        "s" => (1e6, true),
        "min" => (60e6, true),
        "h" => (3600e6, true),
        "d" => (86400e6, true),
        _ => return None,
    };
    Some(Unit { size, time })
}

/// `8kB`, `ms`: the unit of a setting may have a number before it.
fn base(text: &str) -> Option<Unit> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let times = if at == 0 { 1.0 } else { text[..at].parse().ok()? };
    let unit = unit(&text[at..])?;
    Some(Unit { size: unit.size * times, ..unit })
}

/// A number and the unit behind it.
fn quantity(text: &str) -> Option<(f64, Option<Unit>)> {
    let text = text.trim();
    if let Some(hex) = text.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).ok().map(|number| (number.into(), None));
    }
    let end = text.find(|c: char| c.is_ascii_alphabetic() && c != 'e' && c != 'E').unwrap_or(text.len());
    let (number, name) = text.split_at(end);
    let number: f64 = number.trim_end().parse().ok()?;
    match name {
        "" => Some((number, None)),
        name => Some((number, Some(unit(name)?))),
    }
}

/// As the server reads a boolean: any beginning that is not ambiguous.
fn boolean(text: &str) -> Option<bool> {
    let text = text.to_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    match text.as_str() {
        "1" => Some(true),
        "0" => Some(false),
        _ if begins("true", 1) || begins("yes", 1) || begins("on", 2) => Some(true),
        _ if begins("false", 1) || begins("no", 1) || begins("off", 2) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(vartype: &str, unit: &str) -> Kind {
        Kind { vartype: vartype.into(), unit: Some(unit.to_owned()).filter(|unit| !unit.is_empty()), ..Kind::default() }
    }

    #[test]
    fn values_that_mean_the_same() {
        let list = Kind { list: true, ..Kind::default() };
        let table = [
            (kind("integer", "kB"), "1GB", "1048576kB", true),
            (kind("integer", "8kB"), "128MB", "16384", true),
            (kind("integer", "8kB"), "128MB", "16385", false),
            (kind("integer", "kB"), "1.5GB", "1536 MB", true),
            (kind("integer", "ms"), "1min", "60s", true),
            (kind("integer", "s"), "5min", "300", true),
            (kind("integer", "min"), "1d", "24h", true),
            (kind("integer", ""), "0x10", "16", true),
            (kind("integer", "kB"), "1gb", "1048576kB", false),
            (kind("real", ""), "1.10", "1.1", true),
            (kind("real", "ms"), "20ms", "0.02s", true),
            (kind("bool", ""), "on", "true", true),
            (kind("bool", ""), "of", "0", true),
            (kind("bool", ""), "o", "on", false),
            (kind("enum", ""), "Replica", "replica", true),
            (kind("string", ""), "1GB", "1024MB", false),
            (kind("", ""), "1GB", "1024MB", true),
            (kind("", ""), "1GB", "1024", false),
            (kind("", ""), "1s", "1kB", false),
            (kind("", ""), "yes", "on", true),
            (kind("", ""), "a", "A", false),
            (list.clone(), "a,b", "a, \"b\"", true),
            (list, "a,b", "b,a", false),
        ];
        for (kind, a, b, wanted) in table {
            assert_eq!(kind.same(a, b), wanted, "{kind:?} {a} {b}");
        }
    }

    #[test]
    fn what_the_server_would_refuse() {
        let bounded = Kind { least: Some("64".into()), most: Some("2147483647".into()), ..kind("integer", "kB") };
        let choice = Kind { choices: ["minimal", "replica", "logical"].map(Into::into).into(), ..kind("enum", "") };
        let table = [
            (bounded.clone(), "63kB", "`63kB` is below the least that it can be: 64 × kB"),
            (bounded.clone(), "4TB", "`4TB` is above the most that it can be: 2147483647 × kB"),
            (bounded.clone(), "64mb", "must be a size such as `64MB` (B, kB, MB, GB, TB), not `64mb`"),
            (bounded, "10s", "must be a size such as `64MB` (B, kB, MB, GB, TB), not `10s`"),
            (kind("integer", ""), "10s", "must be a number without a unit, not `10s`"),
            (kind("integer", "s"), "soon", "must be a time such as `30s` (us, ms, s, min, h, d), not `soon`"),
            (choice, "replika", "must be one of minimal, replica, logical, not `replika`; did you mean `replica`?"),
            (kind("bool", ""), "maybe", "must be on or off, not `maybe`"),
        ];
        for (kind, value, wanted) in table {
            assert_eq!(kind.check(value).unwrap_err(), wanted);
        }
        assert_eq!(kind("integer", "ms").check("1.5s"), Ok(()));
    }
}
