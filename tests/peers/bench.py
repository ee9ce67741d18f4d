#!/usr/bin/env python3
"""Runs the same desired state through Trueup and its peers against loopback sshd's, and tells how they compare.

  bench.py gen                 write inventories, playbooks, deploys, scripts
  bench.py run [options]       measure; appends one JSON line per run to --out
  bench.py report FILE...      medians as Markdown tables (--ratio PEER gives factors over PEER)
  bench.py results FILE...     RESULTS.md and results.svg from what was measured

Standard library only. See README.md.
"""
import argparse
import ctypes
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import fleet
import many
import parts
import results
import startup
from measure import measure, stop_tree, remote_idle, wait_quiet
from peers import PEERS, PHASES
from where import AGENTS, BENCH, HOSTS, name
from workloads import W2LINES, gen


def tree_hash(n):
    """Paths, modes and contents of all hosts' directories: every peer must leave the same behind."""
    h = hashlib.sha256()
    for i in range(1, n + 1):
        base = HOSTS / name(i)
        for p in sorted(base.rglob("*")):
            stat, path = p.lstat(), str(p.relative_to(base))
            if p.is_symlink():
                h.update(f"{path} L {os.readlink(p)}\n".encode())
            elif p.is_dir():
                h.update(f"{path} D {stat.st_mode & 0o7777:o}\n".encode())
            else:
                h.update(f"{path} F {stat.st_mode & 0o7777:o} {hashlib.sha256(p.read_bytes()).hexdigest()}\n".encode())
    return h.hexdigest()[:12]


def prepare(w, n, peer):
    for i in range(1, max(n, 10) + 1):
        base = HOSTS / name(i)
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir(parents=True)
        if w in ("W2", "W2L"):
            (base / "w2.conf").write_text("".join(l + "\n" for l in W2LINES))
    if peer == "trueup-new":
        shutil.rmtree(AGENTS, ignore_errors=True)


def run(a):
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: daemonised ssh masters stay ours to count
    (BENCH / "cp").mkdir(exist_ok=True)
    (BENCH / "results/logs").mkdir(parents=True, exist_ok=True)
    cells = [(n, w, peer) for n in map(int, a.hosts.split(",")) for w in a.workloads.split(",") for peer in a.peers.split(",")]
    with open(a.out, "a") as out:
        for n, w, peer in cells:
            if w in PEERS[peer][1].split():
                cell(a, out, n, w, peer)


def cell(a, out, n, w, peer):
    """One peer on one workload, repeated while the budget lasts."""
    call, spent, reps = PEERS[peer][0], 0.0, 0
    while reps < a.reps and (reps < a.min_reps or spent < a.budget):
        wait_quiet(a.quiet, a.quiet_wait)
        prepare(w, n, peer)
        keep = peer == "ansible-warm"
        if keep:  # Opens the masters.
            measure(*call("W0", n), timeout=a.timeout, keep=True)
        bad = False
        for phase in [p for p in PHASES[w] if p in a.phases.split(",")]:
            record = once(a, call(w, n), n, w, peer, phase, keep)
            record["rep"] = reps
            bad = bad or "error" in record
            spent += record["wall"]
            out.write(json.dumps(record) + "\n")
            out.flush()
            print("{peer:14} {w:3} N={n:<3} {phase:5} rep{rep} wall {wall:8.3f}s ctl {ctl_cpu:7.3f}s remote {remote_cpu:7.2f}s "
                  "noise {noise_cpu_pct:5.1f}% {state}".format(**record), record.get("error", ""), flush=True)
        if keep:
            stop_tree()
            remote_idle()
        reps += 1
        if bad:
            return


def once(a, call, n, w, peer, phase, keep):
    before = tree_hash(n) if phase in ("again", "noop") and not a.no_hash else None
    m = measure(*call, a.timeout, keep, BENCH / f"results/logs/{peer}-{w}-{n}-{phase}.log")
    after = tree_hash(n) if not a.no_hash else ""
    record = dict(peer=peer, w=w, n=n, phase=phase, link=a.link, state=after, load=os.getloadavg()[0], t=int(time.time()), **m)
    if before is not None and before != after:
        record["error"] = "a run again changed something"
    if m["rc"] != 0:
        record["error"] = f"exit {m['rc']}"
    return record


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(dest="cmd", required=True)
    sub.add_parser("gen").set_defaults(f=gen)
    r = sub.add_parser("run")
    r.add_argument("--peers", default="trueup,bare,ansible,mitogen,pyinfra,ssh")
    r.add_argument("--workloads", default="W0,W1,W2,W3")
    r.add_argument("--phases", default="run,first,again,noop")
    r.add_argument("--hosts", default="1,10,50")
    r.add_argument("--reps", type=int, default=3)
    r.add_argument("--min-reps", type=int, default=1)
    r.add_argument("--budget", type=float, default=120, help="stop repeating a cell after this many seconds")
    r.add_argument("--quiet", type=float, default=0, help="before each run wait for the machine to use less than this %% of one core")
    r.add_argument("--quiet-wait", type=float, default=60, help="... for at most so many seconds")
    r.add_argument("--timeout", type=float, default=1200)
    r.add_argument("--link", default="loopback", help="a name for the link, for the report")
    r.add_argument("--no-hash", action="store_true", help="do not compare what the runs leave behind")
    r.add_argument("--out", default=str(BENCH / "results/peers.jsonl"))
    r.set_defaults(f=run)
    m = sub.add_parser("many", help="hosts that are not there: what the controller costs")
    m.add_argument("--hosts", default="100,1000,10000")
    m.add_argument("--quiet", type=float, default=0)
    m.add_argument("--quiet-wait", type=float, default=60)
    m.add_argument("--out", default=str(BENCH / "results/peers.jsonl"))
    m.set_defaults(f=many.run)
    s = sub.add_parser("startup", help="what is paid before any host is reached")
    s.add_argument("--reps", type=int, default=9)
    s.add_argument("--quiet", type=float, default=0)
    s.add_argument("--quiet-wait", type=float, default=60)
    s.add_argument("--out", default=str(BENCH / "results/peers.jsonl"))
    s.set_defaults(f=startup.run)
    sub.add_parser("parts", help="what libraries of ansible-core's take for what Criterion has measured").set_defaults(f=parts.run)
    b = sub.add_parser("fleet", help="many hosts, some of them bad")
    b.add_argument("--hosts", type=int, default=200)
    b.add_argument("--workloads", default="F0,F1,F2")
    b.add_argument("--peers", default="trueup")
    b.add_argument("--phases", default="first,again")
    b.add_argument("--timeout", type=float, default=1200)
    b.add_argument("--quiet", type=float, default=0)
    b.add_argument("--quiet-wait", type=float, default=60)
    b.add_argument("--out", default=str(BENCH / "results/peers.jsonl"))
    b.set_defaults(f=fleet.run)
    for verb, f in ("report", results.report), ("results", results.write):
        p = sub.add_parser(verb)
        p.add_argument("files", nargs="+", type=Path)
        p.add_argument("--ratio", default="trueup")
        p.add_argument("--max-noise", type=float, default=1e9, help="leave out runs during which others used more than this %% of one core")
        p.set_defaults(f=f)
    return ap.parse_args()


if __name__ == "__main__":
    args = arguments()
    args.f(args)
