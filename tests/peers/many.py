"""Ten thousand hosts that are not there: a server in one process answers as their agents would, with nothing to do."""
import json
import os
import subprocess
import time

from measure import TICK, fields, measure, wait_quiet
from where import BENCH, CANNED, GEN, TRUEUP

PORT = 2022


def play():
    """20 tasks as they come in practice: host variables, conditions, templates."""
    def task(title, mod, **kw):
        return {"name": title, "ansible.builtin." + mod: kw}

    tasks = [task(f"directory {d}", "file", path=f"/srv/{{{{ inventory_hostname }}}}/{d}", state="directory", mode="0755") for d in "abc"]
    tasks += [task(f"line {i}", "lineinfile", path="/srv/app.conf", line=f"setting_{i} = {{{{ port + {i} }}}}") for i in range(8)]
    tasks += [task(f"file {i}", "copy", dest=f"/srv/file_{i}", content="of {{ inventory_hostname }}\nport {{ port }}\n") for i in range(3)]
    tasks += [dict(task(f"template {t}", "template", src=str(GEN / "templates/t.j2"), dest=f"/srv/{t}.conf"),
                   vars={"letter": t, "host_name": "{{ inventory_hostname }}"}) for t in "ab"]
    tasks += [dict(task("never", "command", cmd="/bin/false"), when="port == 1")]
    tasks += [dict(task("sometimes", "file", path="/srv/x", state="absent"), when="inventory_hostname in groups['many']")]
    tasks += [task("service", "service", name="app", state="started"), task("package", "package", name=["a", "b"])]
    assert len(tasks) == 20
    return [{"hosts": "all", "gather_facts": False, "tasks": tasks}]


def run(a):
    many = BENCH / "many"
    many.mkdir(parents=True, exist_ok=True)
    (BENCH / "results").mkdir(exist_ok=True)
    (many / "many.yml").write_text(json.dumps(play(), indent=1))
    for n in map(int, a.hosts.split(",")):
        wait_quiet(a.quiet, a.quiet_wait)
        with subprocess.Popen([str(CANNED), str(many), str(PORT), str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout.readline() == "ready\n"
            call = [str(TRUEUP), "apply", "--ssh-config", str(many / "ssh_config"), "-i", str(many / "hosts.ini"), str(many / "many.yml")]
            before = cpu(server.pid)
            m = measure(call, {}, 600, True, BENCH / f"results/many-{n}.log")
            m["remote_cpu"] = round(cpu(server.pid) - before, 2)
            # What the server used is not noise.
            m["noise_cpu_pct"] = round(max(0, m["noise_cpu_pct"] - 100 * m["remote_cpu"] / m["wall"]), 1)
            server.stdin.close()
        log = (BENCH / f"results/many-{n}.log").read_text()
        record = dict(peer="trueup", w="W6", n=n, phase="noop", link="loopback", t=int(time.time()), load=os.getloadavg()[0], rep=0, **m)
        well = log.count("ok=19 ")
        if m["rc"] != 0 or well != n:
            record["error"] = f"exit {m['rc']}, {well} of {n} hosts well"
        with open(a.out, "a") as out:
            out.write(json.dumps(record) + "\n")
        print(f"many N={n:<6} wall {m['wall']:8.3f}s ctl {1e3 * m['ctl_cpu'] / n:7.3f} ms/host  {m['maxrss_kb'] / 1024:6.0f} MiB",
              record.get("error", ""), flush=True)


def cpu(pid):
    return sum(int(x) for x in fields(pid)[11:13]) / TICK
