"""How each peer is called for a workload on N hosts: an argument vector and what is added to the environment."""
import shutil

from where import BARE, BENCH, ETC, GEN, HOSTS, TREE, TRUEUP, VENV
from workloads import BLOBS


def trueup(verb, *more):
    def call(w, n):
        return [str(TRUEUP), verb, "--ssh-config", str(ETC / "ssh_config"), "-i", str(GEN / f"ansible/inv{n}"), *more,
                str(GEN / f"ansible/{w}.yml")], {}
    return call


def bare(w, n):
    """`exec true` on every host by Trueup's own SSH client: what no tool that uses it can beat."""
    return [str(BARE), str(ETC / "ssh_config"), str(GEN / f"hosts{n}")], {}


def ansible(config, facts=""):
    def call(w, n):
        return [str(VENV / "bin/ansible-playbook"), "-i", str(GEN / f"ansible/inv{n}"), str(GEN / f"ansible/{w}{facts}.yml")], {
            "ANSIBLE_CONFIG": str(GEN / f"ansible/{config}.cfg")}
    return call


def pyinfra(w, n):
    return [str(VENV / "bin/pyinfra"), "-y", str(GEN / f"pyinv{n}.py"), str(GEN / f"pyinfra/{w}.py")], {}


def ssh(w, n):
    """`ssh`, `scp` and `tar` by hand."""
    each = f"xargs -P 50 -I@ sh -c '%s' < {GEN}/hosts{n}"
    run = f"ssh -F {ETC}/ssh_config @"
    if w == "W0":
        line = f"{run} true"
    elif w in BLOBS:
        line = f"scp -q -F {ETC}/ssh_config {GEN}/files/{BLOBS[w][0]} @:{HOSTS}/@/{BLOBS[w][0]}"
    elif w == "W5":
        line = (f"tar -C {GEN}/files/{TREE} -cf - . | {run} \"umask 022; mkdir -p {HOSTS}/@/tree; chmod 755 {HOSTS}/@/tree; "
                f"tar -C {HOSTS}/@/tree -xf -\"")
    else:
        line = f"{run} sh -s @ < {GEN}/sh/{w}.sh"
    return ["sh", "-c", each % line], {}


def pssh(w, n):
    exe = shutil.which("parallel-ssh") or "pssh"
    return [exe, "-h", str(GEN / f"hosts{n}"), "-p", "50", "-x", f"-F {ETC}/ssh_config", "true"], {}


def clush(w, n):
    return [str(VENV / "bin/clush"), "--hostfile", str(GEN / f"hosts{n}"), "-f", "50", "-o", f"-F {ETC}/ssh_config", "true"], {}


ALL = "W0 W1 W2 W3 W4 W5 W7"
PEERS = {
    "trueup": (trueup("apply"), ALL + " W2L"),
    "trueup-new": (trueup("apply"), "W2"),  # as trueup, on hosts that have no agent yet
    "trueup-plan": (trueup("plan"), "W1 W2 W3 W5 W7"),
    "bare": (bare, "W0 W2"),
    "ansible": (ansible("ansible"), ALL + " W2L"),
    "ansible-facts": (ansible("ansible", "-facts"), ALL + " W2L"),
    "ansible-default": (ansible("ansible-default", "-facts"), ALL),
    "ansible-warm": (ansible("ansible"), ALL),  # ControlPersist masters kept from the run before
    "mitogen": (ansible("mitogen"), ALL + " W2L"),
    "mitogen-facts": (ansible("mitogen", "-facts"), ALL + " W2L"),
    "pyinfra": (pyinfra, ALL),
    "ssh": (ssh, ALL),
    "pssh": (pssh, "W0"),
    "clush": (clush, "W0"),
}
PHASES = {"W0": ["run"], "W1": ["first", "again"], "W2": ["noop"], "W2L": ["noop"], "W3": ["first", "again"],
          "W4": ["first", "again"], "W5": ["first", "again"], "W7": ["first", "again"]}
