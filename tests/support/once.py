"""What is made once for all of pytest's processes, not once in each."""

import fcntl
import os
import shutil


def made_once(tmp_path_factory, name, make):
    """Return a folder that `make`, called with its path, has filled in one of the processes.

    The others wait for it. Tests read what is there and change none of it.
    """
    root = tmp_path_factory.getbasetemp()  # the process's own
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # of all processes of this run
    folder = root / name
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = root / f"{name}.done"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
