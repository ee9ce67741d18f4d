"""One run of one command: seconds, processor time on both sides, memory, and how noisy the machine was."""
import os
import resource
import signal
import subprocess
import time

from where import ETC

TICK = os.sysconf("SC_CLK_TCK")


def fields(pid):
    stat = open(f"/proc/{pid}/stat").read()
    return stat[stat.rindex(")") + 2:].split()


def procs():
    """The parent of every process, zombies left out."""
    out = {}
    for d in filter(str.isdigit, os.listdir("/proc")):
        try:
            f = fields(d)
        except OSError:
            continue
        if f[0] != "Z":
            out[int(d)] = int(f[1])
    return out


def descendants(root):
    kids = {}
    for p, parent in procs().items():
        kids.setdefault(parent, []).append(p)
    out, todo = [], [root]
    while todo:
        found = kids.get(todo.pop(), [])
        out += found
        todo += found
    return out


def pss_kb(pids):
    """Proportional set size: shared pages counted once."""
    total = 0
    for p in pids:
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                total += next((int(l.split()[1]) for l in f if l.startswith("Pss:")), 0)
        except OSError:
            pass
    return total


def sshd_masters():
    return [int(p.read_text()) for p in ETC.glob("sshd.*.pid")]


def remote_cpu():
    return sum(int(x) for p in sshd_masters() for x in fields(p)[11:15]) / TICK


def remote_idle(timeout=20):
    """Waits until no session is left: the daemons have reaped, and so counted, every child."""
    end, masters = time.time() + timeout, set(sshd_masters())
    while time.time() < end and any(parent in masters for parent in procs().values()):
        time.sleep(0.02)


def total_cpu():
    v = [int(x) for x in open("/proc/stat").readline().split()[1:]]
    return (sum(v[:3]) + sum(v[5:8])) / TICK  # user nice system irq softirq steal


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def stop_tree():
    """Ends what a command left behind, such as ControlPersist masters; the runner is a child subreaper."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(40):
            left = descendants(os.getpid())
            for p in left:
                try:
                    os.kill(p, sig)
                except OSError:
                    pass
            reap()
            if not left:
                return
            time.sleep(0.05)


def measure(argv, env, timeout, keep=False, log=None):
    """Runs it to its end. With `keep` what it leaves running stays."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")} | env
    if not keep:
        remote_idle()
    before = remote_cpu(), resource.getrusage(resource.RUSAGE_CHILDREN), total_cpu(), sum(os.times()[:2])
    with open(log or os.devnull, "wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd="/tmp")
        status, usage, peak, count = watch(process, start + timeout)
        wall = time.perf_counter() - start
    if not keep or status != 0:
        stop_tree()
        remote_idle()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = time.perf_counter() - start
    control = children.ru_utime + children.ru_stime - before[1].ru_utime - before[1].ru_stime
    remote = remote_cpu() - before[0]
    own = sum(os.times()[:2]) - before[3]
    other = total_cpu() - before[2] - control - remote - own
    return dict(rc=status, wall=round(wall, 4), ctl_cpu=round(control, 4), remote_cpu=round(remote, 2), maxrss_kb=usage, peak_pss_kb=peak,
                nproc=count, noise_cpu_pct=round(100 * max(0, other) / spent, 1))


def watch(process, deadline):
    """Waits for the end; looks at memory once a second, and after 0.2 s first."""
    peak = count = 0
    look = time.perf_counter() + 0.2
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        now = time.perf_counter()
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss, peak, count
        if now > deadline:
            return -9, 0, peak, count
        if now > look:
            found = descendants(os.getpid())
            count, peak, look = max(count, len(found)), max(peak, pss_kb(found)), now + 1
        time.sleep(0.001)


def wait_quiet(percent, limit):
    """Waits, at most `limit` seconds, for two seconds in which the machine used less than `percent` of one core."""
    end = time.time() + limit
    while percent and time.time() < end:
        used = total_cpu()
        time.sleep(2)
        if (total_cpu() - used) / 2 * 100 < percent:
            return
