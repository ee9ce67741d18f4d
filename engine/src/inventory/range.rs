//! Names of hosts with ranges and ports: `web[01:10:2].example.com:2222`, `db[a:f]`.

/// The names that one stands for, and the port behind it.
pub(super) fn expand(written: &str) -> Result<(Vec<String>, Option<u32>), String> {
    let (name, port) = split_port(written);
    Ok((ranges(name)?, port))
}

/// `host:port`, `[::1]:port`; other colons belong to the name.
fn split_port(written: &str) -> (&str, Option<u32>) {
    if let Some(rest) = written.strip_prefix('[')
        && let Some((address, tail)) = rest.split_once(']')
        && address.parse::<std::net::Ipv6Addr>().is_ok()
    {
        return (address, tail.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    let Some((name, port)) = written.rsplit_once(':') else { return (written, None) };
    match port.parse() {
        // As in Ansible, port 0 is none.
        Ok(port) if !name.is_empty() && written.parse::<std::net::Ipv6Addr>().is_err() => {
            (name, Some(port).filter(|port| *port > 0))
        }
        _ => (written, None),
    }
}

/// Every `[from:to:step]`, from the left.
fn ranges(name: &str) -> Result<Vec<String>, String> {
    let Some((head, rest)) = name.split_once('[') else { return Ok(vec![name.to_owned()]) };
    let (range, tail) = rest.split_once(']').ok_or("a `[` is not closed")?;
    let tails = ranges(tail)?;
    let names = items(range)?;
    Ok(names.iter().flat_map(|item| tails.iter().map(move |tail| format!("{head}{item}{tail}"))).collect())
}

/// More hosts than anybody means to write in one line.
const MAX: usize = 100_000;

fn items(range: &str) -> Result<Vec<String>, String> {
    let bounds: Vec<&str> = range.split(':').collect();
    let (from, to, step) = match bounds[..] {
        [from, to] => (from, to, "1"),
        [from, to, step] => (from, to, step),
        _ => return Err(format!("`[{range}]` is not a range: write `[from:to]` or `[from:to:step]`")),
    };
    let from = if from.is_empty() { "0" } else { from };
    let step: usize =
        step.parse().ok().filter(|step| *step > 0).ok_or(format!("the step `{step}` is not a number above 0"))?;
    if to.is_empty() {
        return Err(format!("`[{range}]` has no end"));
    }
    if let (Some(from), Some(to)) = (letter(from), letter(to)) {
        if from > to {
            return Err(format!("`[{range}]` ends before it begins"));
        }
        return Ok((from..=to).step_by(step).map(|at| LETTERS[at..=at].to_owned()).collect());
    }
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is neither a number nor a letter"));
    let (first, last) = (number(from)?, number(to)?);
    if first > last {
        return Err(format!("`[{range}]` ends before it begins"));
    }
    let width = if from.starts_with('0') && from.len() > 1 { from.len() } else { 0 };
    if width > 0 && width != to.len() {
        return Err(format!(
            "`{from}` and `{to}` must have the same number of digits, because the first begins with 0"
        ));
    }
    if (last - first) / step >= MAX {
        return Err(format!("`[{range}]` stands for more than {MAX} hosts"));
    }
    Ok((first..=last).step_by(step).map(|n| format!("{n:0width$}")).collect())
}

/// As in Python's `string.ascii_letters`.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn letter(text: &str) -> Option<usize> {
    if text.len() == 1 { LETTERS.find(text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_ports() {
        let table: &[(&str, &str, Option<u32>)] = &[
            ("web", "web", None),
            ("web:2222", "web", Some(2222)),
            ("web:0", "web", None),
            ("web:99999", "web", Some(99999)),
            ("web[1:3]", "web1 web2 web3", None),
            ("web[01:10:3].x:22", "web01.x web04.x web07.x web10.x", Some(22)),
            ("db[a:c]", "dba dbb dbc", None),
            ("n[:2]", "n0 n1 n2", None),
            ("r[1:2]c[a:b]", "r1ca r1cb r2ca r2cb", None),
            ("::1", "::1", None),
            ("[::1]:22", "::1", Some(22)),
            ("10.0.0.1", "10.0.0.1", None),
        ];
        for (written, names, port) in table {
            let want = names.split(' ').map(str::to_owned).collect();
            assert_eq!(expand(written), Ok((want, *port)), "{written}");
        }
        for wrong in
            ["a[1:2", "a[1]", "a[3:1]", "a[c:a]", "a[1:]", "a[01:100]", "a[x1:2]", "a[1:9:0]", "a[0:999999999]"]
        {
            assert!(expand(wrong).is_err(), "{wrong}");
        }
    }
}
