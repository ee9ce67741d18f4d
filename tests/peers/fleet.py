"""200 hosts of which 5 % have a bad day: how long the others wait for them, and whether the end is told right."""
import json
import os
import re
import subprocess
import sys
import time

from measure import measure, wait_quiet
from where import BENCH, ETC, GEN, HERE, HOSTS, NET, PORT, TRUEUP, VENV, name

# A tool must get by with these: of 200 hosts, 10.
BAD = ["refused", "refused", "blackhole", "blackhole", "silent", "silent", "late", "late", "cut", "cut"]
LOST = [kind for kind in BAD if kind != "late"]
FIRST = 231


def tasks():
    def task(title, mod, **kw):
        return {"name": title, "ansible.builtin." + mod: kw}
    return [task("directory", "file", path="{{ base }}/etc", state="directory", mode="0755"),
            task("line", "lineinfile", path="{{ base }}/etc/app.conf", line="port = 1", create=True, mode="0644"),
            # Here the hosts die that do so in the middle.
            task("wait", "command", cmd="sleep 2"),
            dict(task("template", "template", src=str(GEN / "templates/t.j2"), dest="{{ base }}/etc/t.conf", mode="0644"),
                 vars={"letter": "a", "host_name": "{{ inventory_hostname }}"}),
            task("content", "copy", content="of {{ inventory_hostname }}\n", dest="{{ base }}/etc/name", mode="0644"),
            task("link", "file", src="app.conf", dest="{{ base }}/etc/current", state="link")]


def gen(good, bad):
    """Inventory and playbook; the bad hosts are spread among the others."""
    directory = BENCH / "fleet"
    directory.mkdir(parents=True, exist_ok=True)
    hosts = [f"{name(i)}" for i in range(1, good + 1)]
    config = (ETC / "ssh_config").read_text()
    known = (ETC / "known_hosts").read_text()
    key = (ETC / "hostkey.pub").read_text().split()
    for n, kind in enumerate(bad):
        at = f"{NET}.{FIRST + n}"
        config += f"Host bad{n}-{kind}\n  HostName {at}\n"
        known += f"[{at}]:{PORT} {key[0]} {key[1]}\n"
        hosts.insert(n * (good // max(len(bad), 1)), f"bad{n}-{kind}")
    config = re.sub(r"Host (\S+\.\*) h\*", r"Host \1 h* bad*", config).replace(str(ETC / "known_hosts"), str(directory / "known_hosts"))
    (directory / "ssh_config").write_text(config)
    (directory / "known_hosts").write_text(known)
    (directory / "hosts").write_text("\n".join(hosts) + "\n")
    play = {"hosts": "all", "gather_facts": False, "vars": {"base": f"{HOSTS}/{{{{ inventory_hostname }}}}"}, "tasks": tasks()}
    (directory / "fleet.yml").write_text(json.dumps([play], indent=1))
    cfg = (GEN / "ansible/ansible.cfg").read_text().replace(str(ETC / "ssh_config"), str(directory / "ssh_config"))
    (directory / "ansible.cfg").write_text(cfg)
    return directory, hosts


def call(peer, directory):
    if peer == "trueup":
        return [str(TRUEUP), "apply", "--ssh-config", str(directory / "ssh_config"), "-i", str(directory / "hosts"), str(directory / "fleet.yml")], {}
    return [str(VENV / "bin/ansible-playbook"), "-i", str(directory / "hosts"), str(directory / "fleet.yml")], {
        "ANSIBLE_CONFIG": str(directory / "ansible.cfg")}


def recap(log):
    """Of each host, what the last lines say."""
    found = {}
    for line in re.sub(r"\x1b\[[0-9;]*m", "", log).splitlines():
        m = re.match(r"^\s*(\S+)\s*:?\s+(.*\bok=\d+.*)$", line)
        if m:
            found[m[1]] = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", m[2])}
    return found


def verify(log, rc, hosts):
    """What is wrong with how it ended; nothing if all good hosts are done, and the others told of as lost."""
    found, wrong = recap(log), []
    for host in hosts:
        counts = found.get(host, {})
        lost = host.split("-")[-1] in LOST + ["frozen"]
        if bool(counts.get("unreachable")) != lost or (not lost and counts.get("ok") != len(tasks())):
            wrong.append(f"{host} {counts}")
    if (rc != 0) != any(host.split("-")[-1] in LOST + ["frozen"] for host in hosts):
        wrong.append(f"exit {rc}")
    return "; ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")


def clean(hosts):
    for host in hosts:
        subprocess.run(["rm", "-rf", str(HOSTS / host)], check=True)
        (HOSTS / host).mkdir(parents=True)


def run(a):
    (BENCH / "results/logs").mkdir(parents=True, exist_ok=True)
    for w, bad in (("F0", []), ("F1", BAD), ("F2", BAD + ["frozen"])):
        if w not in a.workloads.split(","):
            continue
        directory, hosts = gen(a.hosts - len(bad), bad)
        for peer in a.peers.split(","):
            # A host that freezes holds up Ansible, which does not ask whether it is still there, until somebody comes.
            if w == "F2" and peer != "trueup":
                continue
            wait_quiet(a.quiet, a.quiet_wait)
            clean(hosts)
            for phase in a.phases.split(","):
                one(a, w, peer, phase, directory, hosts, bad)


def one(a, w, peer, phase, directory, hosts, bad):
    log = BENCH / f"results/logs/{w}-{peer}-{phase}.log"
    argv = [sys.executable, str(HERE / "bad.py"), NET, str(PORT), f"{NET}.1", str(FIRST), *bad]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "ready\n"
        m = measure(*call(peer, directory), timeout=a.timeout, keep=True, log=log)
        server.stdin.close()
    record = dict(peer=peer, w=w, n=len(hosts), phase=phase, link="loopback", rep=0, load=os.getloadavg()[0], t=int(time.time()), **m)
    rc, record["rc"] = m["rc"], 0
    wrong = verify(log.read_text(errors="replace"), rc, hosts)
    if wrong:
        record["error"] = wrong
    with open(a.out, "a") as out:
        out.write(json.dumps(record) + "\n")
    print(f"{peer:8} {w} N={len(hosts):<4} {phase:5} wall {m['wall']:8.3f}s ctl {m['ctl_cpu']:7.3f}s {m['maxrss_kb'] / 1024:5.0f} MiB exit {rc}",
          record.get("error", ""), flush=True)
