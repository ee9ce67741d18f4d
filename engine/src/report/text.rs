//! Foreign text made fit for a terminal, and numbers made fit for people.

use std::borrow::Cow;

/// The text without anything that could drive a terminal: control characters other than newline and tab become their
/// pictures (`␛`), so that they are seen for what they are.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let picture = |c: char| match u32::from(c) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(|c| if harmless(c) { c } else { picture(c) }).collect())
}

/// Each line behind a prefix; ends with a newline unless the text is empty.
pub fn indent(text: &str, prefix: &str) -> String {
    text.lines().map(|line| format!("{prefix}{line}").trim_end().to_owned() + "\n").collect()
}

/// A size: `512 B`, `22.5 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    // Exact enough: what is shown has one decimal.
    let mut size = count as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// A duration in seconds: `1.5 s`, `2 min 05 s`.
pub fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    format!("{} min {:02} s", whole / 60, whole % 60)
}

/// `1 host`, `3 hosts`.
pub fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_drives_the_terminal() {
        let table =
            [("plain\ttext\n", "plain\ttext\n"), ("\x1b[2J", "␛[2J"), ("a\r\n", "a␍\n"), ("\u{9b}\x7f", "\u{fffd}␡")];
        for (text, wanted) in table {
            assert_eq!(printable(text), wanted);
        }
    }

    #[test]
    fn sizes() {
        let table =
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (23_592_960, "22.5 MiB"), ((1 << 30) - 1, "1.0 GiB")];
        for (size, wanted) in table {
            assert_eq!(bytes(size), wanted);
        }
    }

    #[test]
    fn durations() {
        for (seconds, wanted) in [(1.46, "1.5 s"), (125.0, "2 min 05 s")] {
            assert_eq!(duration(seconds), wanted);
        }
    }
}
