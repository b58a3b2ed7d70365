"""A pool of worker processes that outlives its workers: those that die or hang are replaced.

Knows nothing of what a job is. Kept free of torch and of the simulator, so that a worker starts in a second.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from worldmodel.system.errors import UserError
from worldmodel.system.scripts import workers_leave_script_alone

BUSY_POLL_S = 0.5
"""Seconds between two looks at a job that another command is working on."""
START_S = 120.0
"""Seconds that workers may take to start on a busy machine, with the import of the simulator."""
MAX_FAILURES = 2
"""How often in a row workers may die or hang without finishing a job."""
_START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"  # on Windows


class _Stalled(Exception):
    """No worker has shown progress for too long."""


@dataclass(frozen=True)
class Work:
    """The work of a pool. Its functions are called with one job, a range of episodes."""

    do: Callable[[range], bool]
    """Runs in a worker process, hence can be pickled; False where another command is working on the job."""

    is_done: Callable[[range], bool]
    """Runs in the parent: whether a job is done, by whomever."""

    preload: str
    """Module that workers import once, before they are forked."""


class WorkerPool:
    """Worker processes on this machine that finish jobs together with other commands anywhere."""

    def __init__(self, work: Work, num_workers: int, stall_s: float) -> None:
        """num_workers: processes; stall_s: seconds without progress after which workers are taken to hang."""
        self._work, self._num_workers, self._stall_s = work, num_workers, stall_s

    def run(self, jobs: list[range], bar: Any) -> None:
        """Return when all jobs are done, here or by another command; `bar` shows progress.

        Raises UserError when workers die or hang again and again, and whatever `work.do` raises.
        """
        failures = 0
        while jobs:
            try:
                self._run_once(jobs, bar)
            except (BrokenProcessPool, _Stalled) as error:
                before, jobs = len(jobs), self._missing(jobs)
                failures = failures + 1 if len(jobs) == before else 1
                if jobs and failures > MAX_FAILURES:
                    raise UserError(self._diagnosis(error, jobs[0])) from error
            jobs = self._missing(jobs)

    def _missing(self, jobs: list[range]) -> list[range]:
        return [job for job in jobs if not self._work.is_done(job)]

    def _diagnosis(self, error: Exception, job: range) -> str:
        what = f"hung for {self._stall_s:g} s" if isinstance(error, _Stalled) else "died"
        return (
            f"worker processes {what} {MAX_FAILURES + 1} times without finishing a shard (next: episodes {job.start} "
            f"to {job.stop - 1}); what is finished is kept. Try workers=1; look at the world, or the machine's memory"
        )

    def _run_once(self, jobs: list[range], bar: Any) -> None:
        """One set of processes, until all jobs are done or one of the processes ends."""
        # Inside a job of joblib the default is a method of its own, whose name new processes would look up in vain.
        if multiprocessing.get_start_method(allow_none=True) not in (None, *multiprocessing.get_all_start_methods()):
            multiprocessing.set_start_method(_START, force=True)
        context = multiprocessing.get_context(_START)
        if _START == "forkserver":
            context.set_forkserver_preload([self._work.preload])
        # of this set of processes: a worker of the last one may have died while it held the lock of its counter
        progress = context.Value("q", 0)
        not_ours = set(multiprocessing.active_children())  # of the script that called, such as a pool of its own
        num_workers = max(1, min(self._num_workers, len(jobs)))
        pool = ProcessPoolExecutor(num_workers, context, initializer=_start_worker, initargs=(progress,))
        try:
            while jobs:
                with workers_leave_script_alone():
                    waiting = {pool.submit(self._work.do, job): job for job in jobs}
                jobs = self._collect(waiting, progress, bar)  # what other commands are working on
                if jobs:
                    time.sleep(BUSY_POLL_S)
        except BaseException as error:
            for child in set(multiprocessing.active_children()) - not_ours:
                child.kill() if isinstance(error, _Stalled) else child.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _collect(self, waiting: dict["Future[bool]", range], progress: "Synchronized[int]", bar: Any) -> list[range]:
        """Wait for all jobs; returns those that another command is working on."""
        busy: list[range] = []
        moved, seen, patience = time.monotonic(), progress.value, max(self._stall_s, START_S)
        while waiting:
            finished, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            done = progress.value
            if finished or done != seen:
                moved, patience = time.monotonic(), self._stall_s
            elif time.monotonic() - moved > patience:
                raise _Stalled
            bar.update(done - seen)
            seen = done
            for future in finished:
                job = waiting.pop(future)
                if not future.result():
                    busy.append(job)
        return busy


def report_progress(amount: int) -> None:
    """Called by work in a worker process: move the parent's progress bar by `amount`."""
    if _progress is not None:
        with _progress.get_lock():
            _progress.value += amount


def _start_worker(progress: "Synchronized[int]") -> None:
    global _progress
    _progress = progress
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent cannot stop its workers; they notice that they were orphaned, at once."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
