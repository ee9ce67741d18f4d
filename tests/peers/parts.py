"""What the parts of a run cost, each by itself: Trueup's by Criterion (`tests/benches/parts.rs`), and beside them the libraries
that do the same for ansible-core. `parts.py` as a program measures those, in the peers' environment."""
import difflib
import json
import subprocess
import sys
import time

from where import BENCH, HERE, TARGET, VENV

OUT = BENCH / "results/parts.json"
ROUNDS = ("{% for i in range(1000) %}{{ 'even' if i % 2 == 0 else 'odd' }}-{{ port + i }}-{{ name | upper }}\n{% endfor %}")


def run(_):
    """Has both measured; a failure of one is told, and leaves its column empty."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.unlink(missing_ok=True)
    subprocess.run([str(VENV / "bin/python"), __file__], check=False, cwd=HERE)


def load():
    """Seconds by part: Trueup's, and those of the others by library."""
    ours = {}
    for estimates in sorted((TARGET / "criterion").glob("*/new/estimates.json")):
        title = json.loads((estimates.parent / "benchmark.json").read_text())["title"]
        ours[title] = json.loads(estimates.read_text())["median"]["point_estimate"] / 1e9
    return ours, json.loads(OUT.read_text()) if OUT.exists() else {}


def table():
    ours, theirs = load()
    if not ours:
        return
    yield "\n## Parts\n"
    yield ("One part of a run at a time, on one core, medians: Trueup's by Criterion, and what a library of ansible-core's takes for "
           "the same text where there is one.\n")
    yield "| | Trueup | library | | × |\n|---|---|---|---|---|"
    for title, seconds in ours.items():
        others = theirs.get(title, {}) or {"–": None}
        for library, other in others.items():
            more = f"{show(other)} | {other / seconds:.3g}" if other else "– | –"
            yield f"| {title} | {show(seconds)} | {library} | {more} |"


def show(seconds):
    for unit, factor in ("s", 1), ("ms", 1e3), ("µs", 1e6):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def playbook():
    """As `playbook(300)` in parts.rs."""
    return "- hosts: all\n  tasks:\n" + "".join(
        f"    - name: Line {n}\n      lineinfile:\n        path: /srv/{n}.conf\n        line: \"port = {{{{ port + {n} }}}}\"\n"
        f"      when: zone is defined and zone != 'z{n}'\n      register: result_{n}\n" for n in range(300))


def timed(what):
    """The median of as many runs as fit into a second, five at least."""
    what()
    times, end = [], time.perf_counter() + 1
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        what()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def main():
    import yaml
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    loader, text = DataLoader(), playbook()
    templar = Templar(loader, variables={"port": 1, "name": "abc"})
    rounds = trust_as_template(ROUNDS)
    condition = trust_as_template("name == 'abc' and port > 0")
    assert templar.template(rounds).splitlines()[::999] == ["even-1-ABC", "odd-1000-ABC"]
    assert templar.evaluate_conditional(condition) is True
    old = [f"line {n} = old\n" for n in range(2000)]
    new = [f"line {n} = {'new' if n % 200 == 0 else 'old'}\n" for n in range(2000)]
    found = {
        "parse 300 tasks": {"ansible-core (DataLoader)": timed(lambda: loader.load(text)),
                            "PyYAML (in C)": timed(lambda: yaml.load(text, yaml.CSafeLoader)),
                            "PyYAML": timed(lambda: yaml.load(text, yaml.SafeLoader))},
        "template of 1000 rounds": {"ansible-core (Jinja2)": timed(lambda: templar.template(rounds))},
        "condition": {"ansible-core (Jinja2)": timed(lambda: templar.evaluate_conditional(condition))},
        "diff of 2000 lines": {"difflib": timed(lambda: list(difflib.unified_diff(old, new)))},
    }
    OUT.write_text(json.dumps(found, indent=1))
    for part, others in found.items():
        print(part, {library: show(seconds) for library, seconds in others.items()})


if __name__ == "__main__":
    sys.exit(main())
