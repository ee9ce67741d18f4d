"""Where things are; every one can be set from outside."""
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
# All that is made: generated files, the daemons' configuration, the hosts' directories, results. Outside the sources.
BENCH = Path(os.environ.get("BENCH", TARGET / "peers"))
VENV = Path(os.environ.get("PEERS_VENV", BENCH / "venv"))
GEN, ETC, HOSTS = BENCH / "gen", BENCH / "etc", BENCH / "hosts"
NET = os.environ.get("NET", "127.0.1")
PORT = int(os.environ.get("PORT", "2222"))
# The programs under test.
TRUEUP = Path(os.environ.get("TRUEUP", TARGET / "release/trueup"))
BARE = Path(os.environ.get("BARE", TARGET / "release/trueup-bare-exec"))
CANNED = Path(os.environ.get("CANNED", TARGET / "release/trueup-canned-hosts"))
# Where an agent is left behind by a run (`ansible_remote_tmp` is not set).
AGENTS = Path("/var/tmp/trueup-0")
TREE = "tree"


def name(i):
    """The i-th host."""
    return f"h{i:03d}"
