"""Writes the tasks of the audited board: `python -m benchmarks.task_manifests`, half a minute of CPU time.

Episodes are simulated under the policy of each world's recipe, and each gives one pair of states. The files are
committed, so that every method has the same tasks whatever its own data; see docs/COMMANDS.md.
"""

from worldmodel.evaluation import write_manifests

if __name__ == "__main__":
    for path in write_manifests():
        print(path)
