//! The user, the system's settings, its hardware's names, its file systems and the facts that its administrator keeps.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Facts, text};
use crate::host::{Command, Error, Host, Kind};

/// Who asks, as passwd(5) has it.
pub(super) fn user(host: &dyn Host, facts: &mut Facts) -> Result<(), Error> {
    let Some(name) = facts.get("user_id").and_then(Value::as_str) else { return Ok(()) };
    let Ok(Some(user)) = host.user(name) else { return Ok(()) };
    facts.insert("user_gecos".into(), user.gecos.into());
    facts.insert("user_dir".into(), user.home.into());
    facts.insert("user_shell".into(), user.shell.into());
    for side in ["real", "effective"] {
        facts.insert(format!("{side}_user_id"), json!(user.uid));
        facts.insert(format!("{side}_group_id"), json!(user.gid));
    }
    Ok(())
}

/// What files under /etc and /proc say of names, keys and the kernel.
pub(super) fn settings(host: &dyn Host, facts: &mut Facts) -> Result<(), Error> {
    facts.insert("dns".into(), dns(&text(host, "/etc/resolv.conf")?).into());
    let line = text(host, "/proc/cmdline")?;
    facts.insert("cmdline".into(), cmdline(&line, false).into());
    facts.insert("proc_cmdline".into(), cmdline(&line, true).into());
    facts.insert("fips".into(), (text(host, "/proc/sys/crypto/fips_enabled")? == "1").into());
    let apparmor = host.stat(Path::new("/sys/kernel/security/apparmor"))?.is_some();
    facts.insert("apparmor".into(), json!({"status": if apparmor { "enabled" } else { "disabled" }}));
    let enforcing = text(host, "/sys/fs/selinux/enforce")?;
    let mode = match enforcing.as_str() {
        "" => json!({"status": "disabled"}),
        "1" => json!({"status": "enabled", "mode": "enforcing"}),
        _ => json!({"status": "enabled", "mode": "permissive"}),
    };
    facts.insert("selinux".into(), mode);
    facts.insert("lsb".into(), lsb(host, facts)?.into());
    for kind in ["dsa", "rsa", "ecdsa", "ed25519"] {
        let key = text(host, &format!("/etc/ssh/ssh_host_{kind}_key.pub"))?;
        if let [keytype, key, ..] = key.split_whitespace().collect::<Vec<_>>()[..] {
            facts.insert(format!("ssh_host_key_{kind}_public"), key.into());
            facts.insert(format!("ssh_host_key_{kind}_public_keytype"), keytype.into());
        }
    }
    Ok(())
}

/// resolv.conf(5).
fn dns(conf: &str) -> Map<String, Value> {
    let mut dns = Map::new();
    for line in conf.lines().filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split_whitespace();
        let Some(keyword) = words.next() else { continue };
        let rest: Vec<&str> = words.collect();
        match keyword {
            "nameserver" => {
                let servers = dns.entry("nameservers").or_insert_with(|| json!([]));
                servers.as_array_mut().into_iter().for_each(|list| list.extend(rest.iter().map(|&one| one.into())));
            }
            "domain" => dns.extend(rest.first().map(|&domain| ("domain".to_owned(), domain.into()))),
            "search" | "sortlist" => drop(dns.insert(keyword.into(), json!(rest))),
            "options" => {
                let option = |option: &&str| match option.split_once(':') {
                    Some((name, value)) => (name.to_owned(), Value::from(value)),
                    None => ((*option).to_owned(), true.into()),
                };
                dns.insert("options".into(), rest.iter().map(option).collect::<Map<_, _>>().into());
            }
            _ => {}
        }
    }
    dns
}

/// The kernel's arguments. Of one that is there several times, the last; or, with `all`, a list.
fn cmdline(line: &str, all: bool) -> Map<String, Value> {
    let mut args = Map::new();
    for piece in line.split_whitespace() {
        let (name, value) = piece.split_once('=').map_or((piece, true.into()), |(name, value)| (name, value.into()));
        match args.get_mut(name) {
            Some(Value::Array(known)) if all => known.push(value),
            Some(known) if all && piece.contains('=') => *known = json!([known.take(), value]),
            _ => drop(args.insert(name.into(), value)),
        }
    }
    args
}

/// What lsb_release(1) would say: from its file, else from os-release(5), where Debian's takes it from.
fn lsb(host: &dyn Host, facts: &Facts) -> Result<Map<String, Value>, Error> {
    let mut lsb = Map::new();
    for line in text(host, "/etc/lsb-release")?.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let name = match name {
            "DISTRIB_ID" => "id",
            "DISTRIB_RELEASE" => "release",
            "DISTRIB_DESCRIPTION" => "description",
            "DISTRIB_CODENAME" => "codename",
            _ => continue,
        };
        lsb.insert(name.into(), value.trim().trim_matches(['"', '\'', '\\']).into());
    }
    let release = lsb.get("release").and_then(Value::as_str).map(str::to_owned);
    if release.is_none() && host.stat(Path::new("/usr/bin/lsb_release"))?.is_some() {
        let os = text(host, "/etc/os-release")?;
        let field = |name: &str| {
            let value = os.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        lsb.insert("id".into(), facts.get("distribution").cloned().unwrap_or_default());
        lsb.insert("release".into(), field("VERSION_ID").into());
        lsb.insert("description".into(), field("PRETTY_NAME").into());
        lsb.insert("codename".into(), field("VERSION_CODENAME").into());
    }
    let major = lsb.get("release").and_then(Value::as_str).and_then(|release| release.split('.').next());
    let major = major.map(|major| ("major_release".to_owned(), Value::from(major)));
    lsb.extend(major);
    Ok(lsb)
}

/// What the firmware calls the machine; `NA` where it says nothing.
pub(super) fn firmware(host: &dyn Host, facts: &mut Facts) -> Result<(), Error> {
    const NAMES: [(&str, &str); 17] = [
        ("bios_date", "bios_date"),
        ("bios_vendor", "bios_vendor"),
        ("bios_version", "bios_version"),
        ("board_asset_tag", "board_asset_tag"),
        ("board_name", "board_name"),
        ("board_serial", "board_serial"),
        ("board_vendor", "board_vendor"),
        ("board_version", "board_version"),
        ("chassis_asset_tag", "chassis_asset_tag"),
        ("chassis_serial", "chassis_serial"),
        ("chassis_vendor", "chassis_vendor"),
        ("chassis_version", "chassis_version"),
        ("product_name", "product_name"),
        ("product_serial", "product_serial"),
        ("product_uuid", "product_uuid"),
        ("product_version", "product_version"),
        ("system_vendor", "sys_vendor"),
    ];
    for (name, file) in NAMES {
        // Serial numbers are for root alone.
        let said = text(host, &format!("/sys/class/dmi/id/{file}")).unwrap_or_default();
        facts.insert(name.into(), if said.is_empty() { "NA".into() } else { said.trim().into() });
    }
    facts.insert("virtualization_type".into(), "NA".into());
    facts.insert("virtualization_role".into(), "NA".into());
    if let Some(kind) = container(host)?.or_else(|| machine(facts)) {
        facts.insert("virtualization_type".into(), kind.into());
        facts.insert("virtualization_role".into(), "guest".into());
    } else if text(host, "/proc/modules")?.lines().any(|line| line.starts_with("kvm ")) {
        facts.insert("virtualization_type".into(), "kvm".into());
        facts.insert("virtualization_role".into(), "host".into());
    }
    Ok(())
}

fn container(host: &dyn Host) -> Result<Option<&'static str>, Error> {
    let there = |path: &str| Ok::<_, Error>(host.stat(Path::new(path))?.is_some());
    let environment = text(host, "/proc/1/environ").unwrap_or_default();
    let of_init = environment.split('\0').find_map(|entry| entry.strip_prefix("container="));
    Ok(match of_init {
        _ if there("/.dockerenv")? || there("/.dockerinit")? => Some("docker"),
        Some("lxc") => Some("lxc"),
        Some("podman") => Some("podman"),
        Some("systemd-nspawn") => Some("systemd-nspawn"),
        Some(_) => Some("container"),
        None if there("/run/.containerenv")? => Some("podman"),
        None => None,
    })
}

/// By the firmware's names.
fn machine(facts: &Facts) -> Option<&'static str> {
    let said = |name: &str| facts.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (product, vendor, bios) = (said("product_name"), said("system_vendor"), said("bios_vendor"));
    let by_product = [
        ("KVM", "kvm"),
        ("Bochs", "kvm"),
        ("Standard PC", "kvm"),
        ("RHEV", "RHEV"),
        ("oVirt", "oVirt"),
        ("VMware", "VMware"),
        ("VirtualBox", "virtualbox"),
        ("OpenStack", "openstack"),
        ("Parallels", "parallels"),
        ("HVM domU", "xen"),
    ];
    let by_vendor = [
        ("QEMU", "kvm"),
        ("oVirt", "oVirt"),
        ("Amazon EC2", "kvm"),
        ("DigitalOcean", "kvm"),
        ("Google", "kvm"),
        ("Scaleway", "kvm"),
        ("Nutanix", "kvm"),
        ("KubeVirt", "KubeVirt"),
        ("Parallels", "parallels"),
        ("OpenStack Foundation", "openstack"),
    ];
    let by = |table: &[(&str, &'static str)], said: &str| {
        table.iter().find(|(start, _)| said.starts_with(start)).map(|(_, kind)| *kind)
    };
    let hyper_v = vendor == "Microsoft Corporation" && product == "Virtual Machine";
    by(&by_product, &product)
        .or_else(|| by(&by_vendor, &vendor))
        .or_else(|| bios.starts_with("Xen").then_some("xen"))
        .or_else(|| hyper_v.then_some("VirtualPC"))
}

/// The mounted file systems that are of a device or of the network, with what is free.
pub(super) fn mounts(host: &dyn Host, seconds: u32, facts: &mut Facts) -> Result<(), Error> {
    let table = text(host, "/proc/self/mounts")?;
    let entries = table.lines().map(|line| line.split(' ').map(unescape).collect::<Vec<_>>());
    let real = |entry: &Vec<String>| {
        entry.len() >= 6 && (entry[0].starts_with('/') || entry[0].contains(":/")) && entry[2] != "none"
    };
    let entries: Vec<Vec<String>> = entries.filter(real).collect();
    let uuids = uuids(host)?;
    let mut mounts = Vec::new();
    for entry in &entries {
        let [device, mount, kind, options, dump, pass] = &entry[..6] else { continue };
        let mut told = json!({
            "device": device, "mount": mount, "fstype": kind, "options": options,
            "dump": dump.parse::<u32>().unwrap_or(0), "passno": pass.parse::<u32>().unwrap_or(0),
            "uuid": uuids.get(device.trim_start_matches("/dev/")).map_or("N/A", String::as_str),
        });
        // The sizes come from where they are asked for; a server that is gone must not hold this up for ever.
        let limit = seconds.to_string();
        let command = Command::new("timeout", [&limit, "stat", "-f", "-c", "%S %b %a %c %d", "--", mount]);
        let sizes = host.query(&command).map(|output| output.stdout).unwrap_or_default();
        let sizes: Vec<u64> = sizes.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        if let ([block, total, available, inodes, free], Some(told)) = (&sizes[..], told.as_object_mut()) {
            let numbers = [
                ("block_size", *block),
                ("block_total", *total),
                ("block_available", *available),
                ("block_used", total.saturating_sub(*available)),
                ("inode_total", *inodes),
                ("inode_available", *free),
                ("inode_used", inodes.saturating_sub(*free)),
                ("size_total", total.saturating_mul(*block)),
                ("size_available", available.saturating_mul(*block)),
            ];
            told.extend(numbers.map(|(name, number)| (name.to_owned(), number.into())));
        }
        mounts.push(told);
    }
    facts.insert("mounts".into(), mounts.into());
    Ok(())
}

/// The `\040` of fstab(5).
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |field, (escaped, plain)| field.replace(escaped, plain))
}

/// The names of file systems by device, as udev keeps them.
fn uuids(host: &dyn Host) -> Result<BTreeMap<String, String>, Error> {
    let dir = Path::new("/dev/disk/by-uuid");
    let mut uuids = BTreeMap::new();
    if host.stat(dir)?.is_none() {
        return Ok(uuids);
    }
    for path in host.list(dir)? {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        if let (Some(Kind::Link(target)), Some(uuid)) = (host.stat(&path)?.map(|stat| stat.kind), name(&path)) {
            uuids.extend(name(&target).map(|device| (device, uuid)));
        }
    }
    Ok(uuids)
}

/// `ansible_local`: the `*.fact` files of a directory. One that may be executed is run; both hold JSON, or else INI.
pub(super) fn local(host: &dyn Host, dir: &Path, warnings: &mut Vec<String>) -> Result<Value, Error> {
    let mut local = Map::new();
    if host.stat(&dir.join("."))?.is_none() {
        return Ok(local.into());
    }
    for path in host.list(dir)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(base) = name.strip_suffix(".fact").filter(|base| !base.starts_with('.')) else { continue };
        let shown = path.display().to_string();
        // A link is followed.
        let Some(stat) = host.stat(&path)? else { continue };
        let executable = match stat.kind {
            Kind::Link(_) if host.read(&path)?.is_none() => {
                let problem = format!("Could not stat fact ({shown}): [Errno 2] No such file or directory: '{shown}'");
                warnings.push(problem.clone());
                local.insert(base.into(), problem.into());
                continue;
            }
            Kind::Link(_) => host.access(&path)? & 1 != 0,
            _ => stat.mode & 0o100 != 0,
        };
        let read = match executable {
            true => run(host, &shown)?,
            false => match String::from_utf8(host.read(&path).ok().flatten().unwrap_or_default()) {
                Ok(text) => Ok(text),
                Err(_) => Err(format!("error loading fact - output of running \"{shown}\" was not utf-8")),
            },
        };
        let fact = read.and_then(|text| match serde_json::from_str(&text) {
            Ok(value) => Ok(value),
            Err(_) => ini(&text).map_err(|why| match why {
                Some(why) => format!("error loading facts as ini - please check content: {shown} ({why})"),
                None => format!("error loading facts as JSON or ini - please check content: {shown}"),
            }),
        });
        let fact = fact.unwrap_or_else(|problem| {
            warnings.push(problem.clone());
            problem.into()
        });
        local.insert(base.into(), fact);
    }
    Ok(local.into())
}

fn run(host: &dyn Host, path: &str) -> Result<Result<String, String>, Error> {
    Ok(match host.query(&Command::new(path, [""; 0])) {
        Ok(output) if output.success() => Ok(output.stdout),
        Ok(output) => {
            Err(format!("Failure executing fact script ({path}), rc: {}, err: {}", output.status, output.stderr))
        }
        Err(Error::Program { reason, .. }) => Err(format!("Could not execute fact script ({path}): {reason}")),
        Err(error) => return Err(error),
    })
}

/// Sections of options, as Python's `configparser` reads them: names in lower case, `=` or `:`, comments by `#` and `;`,
/// continued lines indented; `%%` is a percent sign, and a single one is an error, which is told.
fn ini(text: &str) -> Result<Value, Option<String>> {
    let mut sections: Map<String, Value> = Map::new();
    let mut section: Option<String> = None;
    let mut option: Option<String> = None;
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        if line.trim().is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.trim_end().strip_suffix(']')) {
            sections.entry(name).or_insert_with(|| json!({}));
            (section, option) = (Some(name.to_owned()), None);
            continue;
        }
        let open = section.as_ref().and_then(|section| sections.get_mut(section));
        let options = open.and_then(Value::as_object_mut).ok_or(None)?;
        if let (true, Some(option)) = (line.starts_with([' ', '\t']), &option) {
            let before = options.get(option).and_then(Value::as_str).unwrap_or_default().to_owned();
            options.insert(option.clone(), format!("{before}\n{}", line.trim()).into());
            continue;
        }
        let (name, value) = line.split_once(['=', ':']).ok_or(None)?;
        let name = name.trim().to_lowercase();
        options.insert(name.clone(), value.trim().into());
        option = Some(name);
    }
    for value in sections.values_mut().filter_map(Value::as_object_mut).flat_map(|options| options.values_mut()) {
        *value = percent(value.as_str().unwrap_or_default())?.into();
    }
    Ok(sections.into())
}

/// A value in which percent signs are written twice.
fn percent(text: &str) -> Result<String, Option<String>> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        let Some(behind) = after.strip_prefix('%') else {
            return Err(Some(format!("'%' must be followed by '%' or '(', found: '%{after}'")));
        };
        out = out + before + "%";
        rest = behind;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ini_is_read_as_python_does() {
        let table = [
            (
                "[a]\nX = 1\ny: two words\n  and more\n# no\n[b]\n",
                Ok(json!({"a": {"x": "1", "y": "two words\nand more"}, "b": {}})),
            ),
            ("", Ok(json!({}))),
            ("x = 1", Err(None)),
            ("[a]\nnothing", Err(None)),
            ("[a]\nx = 5%%", Ok(json!({"a": {"x": "5%"}}))),
            ("[a]\nx = 5 % of", Err(Some("'%' must be followed by '%' or '(', found: '% of'".to_owned()))),
        ];
        for (text, wanted) in table {
            assert_eq!(ini(text), wanted, "{text}");
        }
    }

    #[test]
    fn arguments_of_the_kernel() {
        let line = "ro quiet console=tty0 console=ttyS0 root=UUID=1";
        assert_eq!(
            Value::from(cmdline(line, false)),
            json!({"ro": true, "quiet": true, "console": "ttyS0", "root": "UUID=1"})
        );
        assert_eq!(cmdline(line, true)["console"], json!(["tty0", "ttyS0"]));
    }
}
