//! Names, the distribution, the machine and its clock.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Facts, text};
use crate::builtin::command;
use crate::host::{Command, Error, Host};

/// What the host is called, what its kernel is, and who asks.
pub(super) fn identity(host: &dyn Host, facts: &mut Facts) -> Result<(), Error> {
    let node = text(host, "/proc/sys/kernel/hostname")?;
    let fqdn = fqdn(host, &node)?;
    let short = node.split('.').next().unwrap_or(&node);
    let machine = ask(host, "uname", &["-m"])?;
    let id = |flag| ask(host, "id", &[flag]);
    facts.extend(pairs(json!({
        "system": "Linux",
        "hostname": short,
        "nodename": node,
        "domain": fqdn.split_once('.').map_or("", |(_, domain)| domain),
        "fqdn": fqdn,
        "kernel": text(host, "/proc/sys/kernel/osrelease")?,
        "kernel_version": text(host, "/proc/sys/kernel/version")?,
        "machine": machine,
        "architecture": machine,
        "userspace_bits": "64",
        "userspace_architecture": machine,
        "machine_id": text(host, "/etc/machine-id")?,
        "user_id": id("-un")?,
        "user_uid": id("-u")?.parse::<u32>().ok(),
        "user_gid": id("-g")?.parse::<u32>().ok(),
        "env": environment(&ask(host, "env", &["-0"])?),
        "service_mgr": service_manager(host)?,
        "pkg_mgr": package_manager(host)?,
    })));
    Ok(())
}

/// The name with its domain, as the resolver has it.
fn fqdn(host: &dyn Host, node: &str) -> Result<String, Error> {
    let hosts = host.query(&Command::new("getent", ["hosts", "--", node]))?.stdout;
    let names = hosts.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let mut dotted = names.filter(|name| name.contains('.'));
    Ok(dotted.next().unwrap_or(node).to_owned())
}

fn environment(text: &str) -> Value {
    let entries = text.split('\0').filter_map(|entry| entry.split_once('='));
    entries.map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
}

fn service_manager(host: &dyn Host) -> Result<String, Error> {
    match host.stat(Path::new("/run/systemd/system"))? {
        Some(_) => Ok("systemd".into()),
        None => text(host, "/proc/1/comm"),
    }
}

fn package_manager(host: &dyn Host) -> Result<&'static str, Error> {
    for (path, name) in [
        ("/usr/bin/apt-get", "apt"),
        ("/usr/bin/dnf", "dnf"),
        ("/usr/bin/yum", "yum"),
        ("/usr/bin/zypper", "zypper"),
        ("/usr/bin/pacman", "pacman"),
        ("/sbin/apk", "apk"),
    ] {
        if host.stat(Path::new(path))?.is_some() {
            return Ok(name);
        }
    }
    Ok("unknown")
}

/// From os-release(5), with Ansible's names for distributions.
pub(super) fn distribution(host: &dyn Host, facts: &mut Facts) -> Result<(), Error> {
    let release = match text(host, "/etc/os-release")? {
        empty if empty.is_empty() => text(host, "/usr/lib/os-release")?,
        release => release,
    };
    let field = |name: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let id = field("ID");
    let (name, family) = match id.as_str() {
        "debian" => ("Debian", "Debian"),
        "ubuntu" => ("Ubuntu", "Debian"),
        "linuxmint" => ("Linux Mint", "Debian"),
        "raspbian" => ("Raspbian", "Debian"),
        "rhel" => ("RedHat", "RedHat"),
        "centos" => ("CentOS", "RedHat"),
        "rocky" => ("Rocky", "RedHat"),
        "almalinux" => ("AlmaLinux", "RedHat"),
        "fedora" => ("Fedora", "RedHat"),
        "ol" => ("OracleLinux", "RedHat"),
        "amzn" => ("Amazon", "RedHat"),
        "alpine" => ("Alpine", "Alpine"),
        "arch" => ("Archlinux", "Archlinux"),
        "sles" => ("SLES", "Suse"),
        "opensuse-leap" => ("openSUSE Leap", "Suse"),
        "opensuse-tumbleweed" => ("openSUSE Tumbleweed", "Suse"),
        other => (other, family_of(&field("ID_LIKE")).unwrap_or(other)),
    };
    // Debian's point release stands elsewhere; in testing it is a name.
    let point = text(host, "/etc/debian_version")?;
    let version = match id == "debian" && point.starts_with(|first: char| first.is_ascii_digit()) {
        true => point,
        false => field("VERSION_ID"),
    };
    facts.extend(pairs(json!({
        "distribution": name,
        "os_family": family,
        "distribution_major_version": version.split('.').next(),
        "distribution_minor_version": version.split('.').nth(1).unwrap_or_default(),
        "distribution_file_path": "/etc/os-release",
        "distribution_file_parsed": true,
        "distribution_file_variety": family,
        "distribution_version": version,
        "distribution_release": field("VERSION_CODENAME"),
    })));
    Ok(())
}

fn family_of(like: &str) -> Option<&'static str> {
    let families =
        [("debian", "Debian"), ("rhel", "RedHat"), ("fedora", "RedHat"), ("suse", "Suse"), ("arch", "Archlinux")];
    like.split_whitespace().find_map(|id| families.iter().find(|(known, _)| *known == id)).map(|(_, family)| *family)
}

/// Processors, memory, uptime.
pub(super) fn hardware(host: &dyn Host, facts: &mut Facts) -> Result<(), Error> {
    processors(host, facts)?;
    let memory = text(host, "/proc/meminfo")?;
    let mib = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib / 1024)
    };
    let uptime = text(host, "/proc/uptime")?;
    facts.extend(pairs(json!({
        "memory_mb": memory_mb(&mib),
        "memtotal_mb": mib("MemTotal"),
        "memfree_mb": mib("MemFree"),
        "swaptotal_mb": mib("SwapTotal"),
        "swapfree_mb": mib("SwapFree"),
        "uptime_seconds": uptime.split('.').next().and_then(|seconds| seconds.parse::<u64>().ok()),
    })));
    Ok(())
}

/// Sums of what /proc/meminfo has.
fn memory_mb(mib: &dyn Fn(&str) -> Option<u64>) -> Value {
    let less = |all: Option<u64>, part: Option<u64>| Some(all?.saturating_sub(part?));
    let free = mib("Cached").zip(mib("MemFree")).zip(mib("Buffers")).map(|((a, b), c)| a + b + c);
    json!({
        "real": {"total": mib("MemTotal"), "used": less(mib("MemTotal"), mib("MemFree")), "free": mib("MemFree")},
        "nocache": {"free": free, "used": less(mib("MemTotal"), free)},
        "swap": {
            "total": mib("SwapTotal"), "free": mib("SwapFree"), "used": less(mib("SwapTotal"), mib("SwapFree")),
            "cached": mib("SwapCached"),
        },
    })
}

/// Sockets, cores and threads as Ansible counts them in /proc/cpuinfo.
fn processors(host: &dyn Host, facts: &mut Facts) -> Result<(), Error> {
    let (mut named, mut vendors, mut models, mut processors, mut listed) = (Vec::new(), 0, 0, 0, 0);
    let (mut sockets, mut cores) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
    let (mut socket, mut core) = (String::new(), String::new());
    for line in text(host, "/proc/cpuinfo")?.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        let number = value.parse().unwrap_or(1);
        match name.trim() {
            "flags" => drop(facts.insert("flags".into(), value.split_whitespace().collect())),
            name @ ("model name" | "Processor" | "vendor_id" | "cpu" | "Vendor" | "processor") => {
                named.push(value.to_owned());
                listed += 1;
                match name {
                    "vendor_id" => vendors += 1,
                    "model name" => models += 1,
                    "processor" => processors += 1,
                    _ => {}
                }
            }
            "physical id" => {
                socket = value.into();
                sockets.entry(socket.clone()).or_insert(1);
            }
            "core id" => {
                core = value.into();
                cores.entry(core.clone()).or_insert(1);
            }
            "cpu cores" => drop(sockets.insert(socket.clone(), number)),
            "siblings" => drop(cores.insert(core.clone(), number)),
            _ => {}
        }
    }
    let arm = facts.get("architecture").and_then(Value::as_str);
    let arm = arm.is_some_and(|arm| ["armv", "aarch", "ppc"].iter().any(|start| arm.starts_with(start)));
    let count = match () {
        () if arm => processors,
        () if vendors > 0 && vendors == models => vendors,
        () => listed,
    };
    let count = if sockets.is_empty() { count } else { sockets.len() as u64 };
    let per_socket = sockets.values().next().copied().filter(|cores| *cores > 0).unwrap_or(1);
    // Python rounds a half to the even number.
    let threads = cores.values().next().map_or(if per_socket == 1 { 1 } else { 0 }, |siblings| siblings / per_socket);
    facts.extend(pairs(json!({
        "processor": named,
        "processor_count": count,
        "processor_cores": per_socket,
        "processor_threads_per_core": threads,
        "processor_vcpus": threads * count * per_socket,
        "processor_nproc": ask(host, "nproc", &[]).ok().and_then(|said| said.parse().ok()).unwrap_or(processors),
    })));
    let load = text(host, "/proc/loadavg")?;
    let load: Vec<f64> = load.split_whitespace().take(3).filter_map(|number| number.parse().ok()).collect();
    if let [one, five, fifteen] = load[..] {
        facts.insert("loadavg".into(), json!({"1m": one, "5m": five, "15m": fifteen}));
    }
    Ok(())
}

/// `date_time`: the host's clock in the host's zone, every part a text.
pub(super) fn clock(host: &dyn Host, facts: &mut Facts) -> Result<(), Error> {
    const PARTS: [(&str, &str); 15] = [
        ("date", "%Y-%m-%d"),
        ("time", "%H:%M:%S"),
        ("year", "%Y"),
        ("month", "%m"),
        ("day", "%d"),
        ("hour", "%H"),
        ("minute", "%M"),
        ("second", "%S"),
        ("weekday", "%A"),
        ("weekday_number", "%w"),
        ("weeknumber", "%W"),
        ("epoch", "%s"),
        ("tz", "%Z"),
        ("tz_offset", "%z"),
        ("iso8601_basic_short", "%Y%m%dT%H%M%S"),
    ];
    let format = PARTS.map(|(_, part)| part).join("|");
    let answer = ask(host, "date", &[&format!("+{format}")])?;
    let parts = PARTS.iter().zip(answer.split('|')).map(|((name, _), value)| ((*name).to_owned(), Value::from(value)));
    let mut parts: Map<String, Value> = parts.collect();
    if let Some(epoch) = parts.get("epoch").and_then(Value::as_str).and_then(|epoch| epoch.parse::<i64>().ok()) {
        let universal = command::moment(epoch.saturating_mul(1_000_000_000)).replace(' ', "T");
        parts.insert("epoch_int".into(), epoch.to_string().into());
        parts.insert("iso8601".into(), format!("{universal}Z").into());
        parts.insert("iso8601_micro".into(), format!("{universal}.000000Z").into());
        let short = parts["iso8601_basic_short"].as_str().unwrap_or_default();
        parts.insert("iso8601_basic".into(), format!("{short}000000").into());
        parts.insert("tz_dst".into(), parts["tz"].clone());
    }
    facts.insert("date_time".into(), parts.into());
    Ok(())
}

/// What a program prints; nothing, if it fails.
fn ask(host: &dyn Host, program: &str, args: &[&str]) -> Result<String, Error> {
    Ok(host.query(&Command::new(program, args.iter().copied()))?.stdout.trim_end().to_owned())
}

/// The entries of an object.
fn pairs(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
