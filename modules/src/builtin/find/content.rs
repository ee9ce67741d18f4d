//! What `contains` is looked for in: a file as text, by its encoding.

use std::path::Path;

use crate::host::{Command, Error, Host};

/// The file's text; an error that names the file where it is not so encoded.
pub(super) fn text(host: &dyn Host, path: &Path, encoding: Option<&str>) -> Result<String, Error> {
    let content = match encoding.filter(|encoding| !is_utf8(encoding)) {
        None => String::from_utf8(host.read(path)?.unwrap_or_default()).ok(),
        Some(encoding) => converted(host, path, encoding)?,
    };
    content.ok_or_else(|| {
        let encoding = encoding.unwrap_or("None (default determined by the Python built-in function \"open\")");
        let shown = path.display();
        let reason = format!("Failed to read the file {shown} due to an encoding error. current encoding: {encoding}");
        Error::path("read", path, reason)
    })
}

fn is_utf8(encoding: &str) -> bool {
    ["utf-8", "utf8", "utf_8"].contains(&encoding.to_ascii_lowercase().as_str())
}

/// By the host's iconv(1), which knows as many encodings as Python does.
fn converted(host: &dyn Host, path: &Path, encoding: &str) -> Result<Option<String>, Error> {
    let shown = path.display().to_string();
    let said = host.query(&Command::new("iconv", ["-f", encoding, "-t", "UTF-8", "--", &shown]))?;
    match said.success() {
        true => Ok(Some(said.stdout)),
        // The C libraries say it in their own words.
        false if ["not supported", "failed to start conversion"].iter().any(|words| said.stderr.contains(words)) => {
            Err(Error::path("read", path, format!("unknown encoding: {encoding}")))
        }
        false => Ok(None),
    }
}
