//! The Python that Ansible would use here. Nothing of ours needs one; playbooks ask which there is.

use std::path::Path;

use serde_json::json;

use super::Facts;
use crate::host::{Command, Error, Host};

/// Where Ansible looks first, of what is left of its list on today's systems.
const PLACES: [&str; 3] = ["/usr/bin/python3", "/usr/libexec/platform-python", "/usr/local/bin/python3"];

/// `-I -S` leaves out what only takes time.
const ASK: [&str; 4] = ["-I", "-S", "-c", "import sys; print(*sys.version_info, sys.implementation.name)"];

/// `python` and `python_version`; neither where there is none.
pub(super) fn facts(host: &dyn Host, facts: &mut Facts) -> Result<(), Error> {
    for place in PLACES {
        if host.stat(Path::new(place))?.is_none() {
            continue;
        }
        let told = host.query(&Command::new(place, ASK))?.stdout;
        let words: Vec<&str> = told.split_whitespace().collect();
        let [major, minor, micro, level, serial, kind] = words[..] else { continue };
        let number = |text: &str| text.parse::<u32>().unwrap_or_default();
        let [one, two, three, last] = [major, minor, micro, serial].map(number);
        let version = json!({"major": one, "minor": two, "micro": three, "releaselevel": level, "serial": last});
        let python = json!({
            "version": version,
            "version_info": [one, two, three, level, last],
            "executable": place,
            "type": kind,
            "has_sslcontext": true,
        });
        facts.insert("python".into(), python);
        facts.insert("python_version".into(), format!("{major}.{minor}.{micro}").into());
        break;
    }
    Ok(())
}
