"""What is paid before any host is reached: starting, reading a large project or inventory, rendering."""
import json
import os
import shutil
from pathlib import Path

from measure import measure, wait_quiet
from where import BENCH, TRUEUP, VENV

DIR = BENCH / "startup"
PROJECT = os.environ.get("PROJECT")
# Loops, filters and conditions as they come in templates, 20,000 times.
TEXT = ("{% for i in range(20000) %}{{ 'even' if i % 2 == 0 else 'odd' }}-{{ port + i }}-{{ name | upper | replace('A', 'b') }}"
        "{{ ',' if not loop.last }}{% endfor %}")


def gen():
    shutil.rmtree(DIR, ignore_errors=True)
    DIR.mkdir(parents=True)
    for program in "ansible-inventory", "ansible-playbook":
        (DIR / program).symlink_to(TRUEUP)
    # 60 roles of 5 files each, and what is in them.
    for r in range(60):
        role = DIR / f"roles/role{r}"
        for part in ("tasks", "handlers", "defaults", "vars", "meta"):
            (role / part).mkdir(parents=True)
        tasks = [{"name": f"role {r} task {t}", "ansible.builtin.lineinfile": {"path": f"/srv/{r}/{t}", "line": f"{{{{ role{r}_a }}}} = {t}"},
                  "when": f"role{r}_b | default(true)", "notify": f"restart {r}"} for t in range(20)]
        parts = {"tasks": tasks, "defaults": {f"role{r}_a": "x", f"role{r}_list": list(range(50))}, "vars": {f"role{r}_c": "{{ role%d_a }}" % r},
                 "handlers": [{"name": f"restart {r}", "ansible.builtin.service": {"name": f"s{r}", "state": "restarted"}}],
                 "meta": {"dependencies": []}}
        for part, content in parts.items():
            (role / part / "main.yml").write_text(json.dumps(content, indent=1))
    (DIR / "project.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": [f"role{r}" for r in range(60)]}]))
    (DIR / "hosts.ini").write_text("".join(f"[g{g}]\n" + "".join(f"h{g}-{i} port={i}\n" for i in range(100)) + f"[g{g}:vars]\nzone=z{g}\n"
                                           for g in range(100)))
    tasks = [{"ansible.builtin.file": {"path": str(DIR / f"d{i}"), "state": "directory", "mode": "0755"}} for i in range(5)]
    (DIR / "local.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    render = {"ansible.builtin.set_fact": {"text": TEXT}}
    (DIR / "template.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": {"port": 1, "name": "abc"},
                                                   "tasks": [render]}]))


def cases():
    t, a = str(TRUEUP), lambda program: str(VENV / "bin" / program)
    local = ["-i", "localhost,"]
    cases = {
        "S1": {"trueup": [t, "--version"], "ansible": [a("ansible-playbook"), "--version"], "pyinfra": [a("pyinfra"), "--version"]},
        "S2": {"trueup": [t, "apply", *local, str(DIR / "local.yml")],
               "ansible": [a("ansible-playbook"), *local, "-c", "local", str(DIR / "local.yml")]},
        "S3": {"trueup": [t, "graph", *local, str(DIR / "project.yml")],
               "ansible": [a("ansible-playbook"), "--list-tasks", *local, str(DIR / "project.yml")]},
        "S4": {"trueup": [str(DIR / "ansible-inventory"), "-i", str(DIR / "hosts.ini"), "--list"],
               "ansible": [a("ansible-inventory"), "-i", str(DIR / "hosts.ini"), "--list"]},
        "S5": {"trueup": [t, "apply", *local, str(DIR / "template.yml")],
               "ansible": [a("ansible-playbook"), *local, "-c", "local", str(DIR / "template.yml")]},
    }
    if PROJECT:
        # A real project, which is not ours to bring along: a playbook that both can read.
        call = ["-i", "h1,", "--list-tasks", PROJECT]
        cases["S6"] = {"trueup": [str(DIR / "ansible-playbook"), *call], "ansible": [a("ansible-playbook"), *call]}
    return cases


def run(a):
    gen()
    environment = {"ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3"}
    with open(a.out, "a") as out:
        for w, peers in cases().items():
            for peer, call in peers.items():
                if not Path(call[0]).exists():
                    continue
                reps = a.reps if peer == "trueup" else 2
                for rep in range(-1, reps):
                    wait_quiet(a.quiet, a.quiet_wait if rep < 0 else 0)
                    m = measure(call, environment, 120, True, BENCH / f"results/{w}-{peer}.log")
                    record = dict(peer=peer, w=w, n=1, phase="run", link="loopback", rep=rep, **m)
                    if m["rc"] != 0:
                        record["error"] = f"exit {m['rc']}"
                    # The first makes what the others find, and warms the caches.
                    if rep >= 0:
                        out.write(json.dumps(record) + "\n")
                print(f"{w} {peer:8} wall {1e3 * m['wall']:9.1f} ms, CPU {1e3 * m['ctl_cpu']:9.1f} ms", record.get("error", ""), flush=True)
