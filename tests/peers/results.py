"""What was measured, as tables and a plot."""
import json
import os
import platform
import re
import statistics
import subprocess
import time

import parts
from where import HERE, TARGET, TRUEUP, VENV

TITLES = {
    ("W0", "run"): "One trivial command", ("W1", "first"): "20 file tasks, first run", ("W1", "again"): "20 file tasks, again",
    ("W2", "noop"): "100 tasks, nothing to do", ("W2L", "noop"): "One task with a loop of 100, nothing to do",
    ("W3", "first"): "A 20 MiB file, first run", ("W3", "again"): "A 20 MiB file, again",
    ("W4", "first"): "A 200 MiB file, first run", ("W4", "again"): "A 200 MiB file, again",
    ("W5", "first"): "A tree of 5,000 small files, first run", ("W5", "again"): "A tree of 5,000 small files, again",
    ("W7", "first"): "1,000 file tasks, first run", ("W7", "again"): "1,000 file tasks, again",
    ("F0", "first"): "6 tasks on 200 hosts, first run", ("F0", "again"): "6 tasks on 200 hosts, again",
    ("F1", "first"): "The same with 10 bad hosts among them, first run", ("F1", "again"): "The same with 10 bad hosts among them, again",
    ("F2", "first"): "The same with a host that freezes, too, first run", ("F2", "again"): "The same with a host that freezes, too, again",
    ("S1", "run"): "`--version`", ("S2", "run"): "5 tasks on this machine, nothing to do",
    ("S3", "run"): "Read a project of 300 files", ("S4", "run"): "Read an inventory of 10,000 hosts",
    ("S5", "run"): "Render a template of 20,000 rounds",
    ("S6", "run"): "List the tasks of a real project (`PROJECT`)",
    ("W6", "noop"): "20 tasks, nothing to do, on hosts that are not there (what the controller costs)",
}


def load(a):
    """Records by link, workload, phase, N and peer; failed and noisy runs left out."""
    rows, dropped = {}, 0
    for file in a.files:
        for line in open(file):
            r = json.loads(line)
            if "error" in r or r["noise_cpu_pct"] > a.max_noise:
                dropped += 1
                continue
            rows.setdefault((r.get("link", "loopback"), r["w"], r["phase"], r["n"], r["peer"]), []).append(r)
    return rows, dropped


def median(records, key):
    return statistics.median(r[key] for r in records)


def spread(records):
    walls = sorted(r["wall"] for r in records)
    return f"{walls[0]:.2f}–{walls[-1]:.2f}" if len(walls) > 1 else "–"


def tables(rows, ratio):
    for link, w, phase in dict.fromkeys(k[:3] for k in sorted(rows, key=lambda k: (k[0] != "loopback", *k[:3]))):
        yield f"\n### {TITLES.get((w, phase), w + ' ' + phase)}{'' if link == 'loopback' else ', ' + link}\n"
        yield (f"| peer | N | runs | wall s | range | × {ratio} | control CPU ms/host | remote CPU ms/host | peak RSS MiB of a process | "
               "peak PSS MiB | noise % |\n|---|---|---|---|---|---|---|---|---|---|---|")
        keys = [k for k in rows if k[:3] == (link, w, phase)]
        for k in sorted(keys, key=lambda k: (k[3], median(rows[k], "wall"))):
            records, n = rows[k], k[3]
            ours = rows.get((*k[:4], ratio))
            factor = f"{median(records, 'wall') / median(ours, 'wall'):.1f}" if ours else "–"
            pss = median(records, "peak_pss_kb")
            yield (f"| {k[4]} | {n} | {len(records)} | {median(records, 'wall'):.3f} | {spread(records)} | {factor} | "
                   f"{1e3 * median(records, 'ctl_cpu') / n:.1f} | {1e3 * median(records, 'remote_cpu') / n:.0f} | "
                   f"{median(records, 'maxrss_kb') / 1024:.0f} | {f'{pss / 1024:.0f}' if pss else '–'} | {median(records, 'noise_cpu_pct'):.0f} |")


def short(rows):
    """The table for the project's README: seconds, and how many times Trueup's that is."""
    peers = ("ansible", "mitogen", "pyinfra", "ssh")
    yield "| | hosts | Trueup | " + " | ".join({"ssh": "ssh, scp, tar by hand"}.get(p, p) for p in peers) + " |"
    yield "|---" * (3 + len(peers)) + "|"
    for k in sorted(k for k in rows if k[0] == "loopback" and k[4] == "trueup" and k[1] not in ("W0", "W6")):
        ours = median(rows[k], "wall")

        def cell(peer):
            theirs = rows.get((*k[:4], peer))
            seconds = theirs and median(theirs, "wall")
            return f"{seconds:.3g} s (× {seconds / ours:.3g})" if seconds else "–"
        yield f"| {TITLES[k[1:3]]} | {k[3]} | {ours:.3g} s | " + " | ".join(map(cell, peers)) + " |"
    yield from links(rows)
    yield from floor(rows)
    many = [(k[3], rows[k]) for k in sorted(rows) if k[1] == "W6"]
    if many:
        yield "\nThe controller alone, 20 tasks with nothing to do: " + "; ".join(
            f"{n:,} hosts {median(r, 'wall'):.3g} s, {1e3 * median(r, 'ctl_cpu') / n:.2g} ms CPU and "
            f"{median(r, 'maxrss_kb') / n:.0f} kB a host" for n, r in many) + "."


def floor(rows):
    """How far from what the connections alone take."""
    bare = {k[3]: median(rows[k], "wall") for k in rows if k[:3] == ("loopback", "W2", "noop") and k[4] == "bare"}
    for peer, what in ("trueup", "100 tasks with nothing to do"), ("trueup-new", "the same on hosts that have no agent yet"):
        found = [(n, median(rows[k], "wall")) for n in bare if (k := ("loopback", "W2", "noop", n, peer)) in rows]
        if found:
            yield f"\nBeside `exec true` by the same client, {what}: " + "; ".join(
                f"{n} host{'s' * (n > 1)} × {wall / bare[n]:.3g}" for n, wall in sorted(found)) + "."


def links(rows):
    """On slow links: seconds, and how many round trips more than `exec true` that is."""
    names = sorted({k[0] for k in rows if k[0] != "loopback"})
    if names:
        yield "\nBehind a slow cable, seconds; in brackets how many round trips more than `exec true` by the same client:\n"
        yield "| | link | Trueup | mitogen | pyinfra | ssh, scp by hand |\n|---|---|---|---|---|---|"
    for link in names:
        bare = rows.get((link, "W0", "run", 1, "bare"))
        trip = re.match(r"(\d+) ms", link)

        def cell(k, peer):
            records = rows.get((*k, peer))
            if not records:
                return "–"
            more = f" ({1e3 * (median(records, 'wall') - median(bare, 'wall')) / int(trip[1]):.1f})" if bare and trip else ""
            return f"{median(records, 'wall'):.3g} s{more}"
        for k in sorted({k[:4] for k in rows if k[0] == link}):
            yield f"| {TITLES[k[1:3]]} | {link} | " + " | ".join(cell(k, p) for p in ("trueup", "mitogen", "pyinfra", "ssh")) + " |"


def report(a):
    rows, _ = load(a)
    print("\n".join(tables(rows, a.ratio)))


def write(a):
    """RESULTS.md and results.svg beside this file."""
    rows, dropped = load(a)
    noise = statistics.median(r["noise_cpu_pct"] for records in rows.values() for r in records)
    head = f"""# Trueup beside its peers

Written by `make bench`; see [README.md](README.md) for what is run and how it is measured. Times are wall-clock seconds of the whole
process, medians; all hosts share one machine with the controller, so ratios travel and times don't. A run that failed, or that
changed something the second time, is left out ({dropped} were, those of too much noise included). The median noise was {noise:.0f} % of one core:
above 20 % seconds are good for ratios within this page and for little else, and processor times hold.

{machine()}

![100 tasks with nothing to do, and 20 file tasks](results.svg)
"""
    summary = "\n".join(short(rows))
    (HERE / "RESULTS.md").write_text(f"{head}\n## In short\n\n{summary}\n" + "\n".join(parts.table()) + "\n\n## All of it\n" + "\n".join(tables(rows, a.ratio)) + "\n")
    print(summary)
    (HERE / "results.svg").write_text(plot(rows))


def output(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True).stdout.strip() or "?"
    except OSError:
        return "not installed"


def machine():
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    versions = output(str(VENV / "bin/pip"), "list", "--format=freeze").split()
    wanted = ("ansible-core", "mitogen", "pyinfra", "ClusterShell")
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr.strip()
    lines = [f"- {time.strftime('%Y-%m-%d')}, {os.cpu_count()} × {model}, Linux {platform.release()}",
             f"- {output(str(TRUEUP), '--version')} ({TRUEUP.stat().st_size >> 20} MiB)", f"- {ssh}, Python {platform.python_version()}"]
    lines += [f"- {v.replace('==', ' ')}" for v in versions if v.split("==")[0] in wanted]
    return "\n".join(lines + agents())


def agents():
    """How large the agents are that the program carries, and once they are unpacked."""
    packed = sorted(TARGET.glob("release/build/trueup-*/out/trueup-agent-*.zst"), key=lambda p: p.stat().st_mtime)
    newest = {p.name: p for p in packed}
    return [f"- {name.removesuffix('.zst')}: {p.stat().st_size / 1e3:.0f} kB compressed, {p.with_suffix('').stat().st_size / 1e3:.0f} kB "
            "as it is sent" for name, p in sorted(newest.items()) if p.with_suffix("").exists()]


def plot(rows):
    """Bars on a logarithmic scale, one group for each of a few workloads."""
    import math
    groups = [("W2", "noop", 1), ("W2", "noop", 50), ("W1", "first", 1), ("W1", "again", 1), ("W1", "again", 50)]
    colours = {"trueup": "#0a7d5a", "bare": "#888", "ssh": "#b58900", "pyinfra": "#268bd2", "mitogen": "#6c71c4", "ansible": "#dc322f"}
    bars, y = [], 10
    for w, phase, n in groups:
        found = [(p, median(rows[k], "wall")) for p in colours if (k := ("loopback", w, phase, n, p)) in rows]
        if not found:
            continue
        y += 18
        bars.append(f'<text x="4" y="{y}" font-weight="bold">{TITLES[w, phase]}, {n} host{"s" * (n > 1)}</text>')
        for peer, seconds in found:
            y += 18
            width = 130 * math.log10(max(seconds, 0.01) / 0.01)
            bars.append(f'<text x="80" y="{y}" text-anchor="end">{peer}</text><rect x="86" y="{y - 11}" width="{width:.0f}" height="13" '
                        f'fill="{colours[peer]}"/><text x="{92 + width:.0f}" y="{y}">{seconds:.3g} s</text>')
        y += 8
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="820" height="{y + 30}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(bars)}'
            f'<text x="4" y="{y + 20}" fill="#555">seconds, logarithmic from 0.01</text></svg>\n')
