"""What of Windows can be tried elsewhere: the package without the modules, flags and calls that only POSIX has.

Windows itself has not been tried.
"""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, pkgutil, sys
from pathlib import Path
import h5py, msgspec, mujoco, numpy, torch, yaml, gymnasium, multiprocessing  # these find their own way on Windows

for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None  # importing them fails
for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "fork", "getuid", "sysconf"):
    delattr(os, name)
multiprocessing.get_all_start_methods = lambda: ["spawn"]

import worldmodel
rooms = ("cli", "data", "envs", "learning", "models", "planners", "runs", "settings", "system")
for name in rooms:
    room = __import__(f"worldmodel.{name}", fromlist=["_"])
    for module in pkgutil.iter_modules(room.__path__, f"worldmodel.{name}."):
        if not module.name.endswith("warp"):
            __import__(module.name)

from worldmodel.data import workers
from worldmodel.data.leases import lease, remove_leases
from worldmodel.runs import RunDirectory
from worldmodel.system.files import append_line, read_json, remove_all_leftovers, write_json

assert workers._START == "spawn"
here = Path(sys.argv[1])
write_json(here / "a.json", {"a": 1})
assert read_json(here / "a.json") == {"a": 1}
append_line(here / "log", "line")
remove_all_leftovers(here)
with lease(here, 3) as granted, RunDirectory(here / "run").locked():
    assert granted
remove_leases(here)
print("done")
"""


def test_the_package_does_without_what_only_posix_has(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr[-2000:]
