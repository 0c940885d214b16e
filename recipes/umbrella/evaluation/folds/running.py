"""Folds are run, several at once: each step is a process, whose words go into a log."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from umbrella.evaluation.folds.commands import FoldRun, choose_gpu, without_launcher
from umbrella.records.evaluations import read_metrics
from umbrella.rows.cpu_threads import share_cores
from umbrella.training.sigterm import PREEMPTED_EXIT_CODE

LOCK = ".lock"
SECONDS = 0.1  # between looks at the processes
MOST_LINES = 12  # of a log that are shown of a run that failed
TOLD_TO_END = (PREEMPTED_EXIT_CODE, -signal.SIGTERM, 128 + signal.SIGTERM)


class FoldRunner:
    """Runs folds, at most `jobs` at once. After a failure, or SIGTERM, none is started."""

    def __init__(self, jobs: int) -> None:
        self.jobs, self.free, self.running = jobs, list(range(jobs)), {}
        self.told_to_end, self.failed = False, []

    def run(self, runs: list[FoldRun]) -> list[FoldRun]:
        """Run what is not done of the folds. Returns those that another process is running.

        Raises ValueError for a run that failed, with the end of its log; SystemExit with train.py's code for one that
        was told to end.
        """
        todo, elsewhere = [one for one in runs if not one.is_done()], []
        for one in runs:
            if one not in todo:
                print(f"{one.fold.says()}: done before{_say_score(one)}", flush=True)
        with self._listening():
            while todo or self.running:
                while todo and self.free and not self.failed and not self.told_to_end:
                    one = todo.pop(0)
                    if not self._start(one, self.free[0], _claim(one)):
                        elsewhere.append(one)
                self._look()
                if (self.failed or self.told_to_end) and not self.running:
                    break
                if self.running:
                    time.sleep(SECONDS)
        if self.failed:
            one, step, code = self.failed[0]
            log = one.folder / f"{step}.log"
            raise ValueError(
                f"{one.fold.says()}: expected {step}.py to end well, found exit code {code}. The same command goes on "
                f"from here when the cause is mended. The end of {log}:\n{_read_end(log)}"
            )
        if self.told_to_end:
            print("told to end: the same command goes on from here", flush=True)
            raise SystemExit(PREEMPTED_EXIT_CODE)
        return elsewhere

    def _start(self, one: FoldRun, slot: int, lock: int | None) -> bool:
        """Start the next step of a fold; False where another process has the fold."""
        step = one.next_step()
        if lock is None:
            return False
        if step is None:  # another process has done it meanwhile
            os.close(lock)
            return True
        command = one.prepare(step)
        log = one.folder / f"{step}.log"
        n_gpus = torch.cuda.device_count()
        gpu = choose_gpu(slot, os.environ, n_gpus, one.plan.asked.launcher)
        threads = share_cores(self.jobs, os.environ, n_gpus > 0)
        with log.open("ab") as words:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                env=without_launcher(os.environ) | gpu | threads,
                pass_fds=(lock,),  # whoever kills this process alone leaves the fold to the one that still runs
            )
        print(f"{one.fold.says()}: {step}.py, see {log}", flush=True)
        if slot in self.free:
            self.free.remove(slot)
        self.running[slot] = (one, step, process, lock)
        return True

    def _look(self) -> None:
        """Go on where a process has ended."""
        for slot, (one, step, process, lock) in list(self.running.items()):
            code = process.poll()
            if code is None:
                continue
            del self.running[slot]
            self.free.insert(0, slot)
            if code:
                if code in TOLD_TO_END:
                    self.told_to_end = True
                else:
                    self.failed.append((one, step, code))
            else:
                one.finish(step)
                if one.is_done():
                    print(f"{one.fold.says()}: done{_say_score(one)}", flush=True)
                elif not self.told_to_end:
                    self._start(one, slot, lock)
                    continue
            os.close(lock)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Within the block SIGTERM is handed on to the runs, which save; Ctrl-C reaches them too."""

        def hand_on(number: int, frame: FrameType | None) -> None:
            self.told_to_end = True
            for _, _, process, _ in self.running.values():
                process.send_signal(number)

        previous = signal.signal(signal.SIGTERM, hand_on)
        try:
            yield
        except KeyboardInterrupt:
            for _, _, process, _ in self.running.values():
                process.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, previous)


def _claim(one: FoldRun) -> int | None:
    """A file that is locked as long as this process, or a run that it has started, lives; None: another has it."""
    one.folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(one.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _say_score(one: FoldRun) -> str:
    metrics = read_metrics(one.evaluation, ("metrics",))["metrics"]
    name = next(name for name in ("accuracy", "mae", "exact_match") if name in metrics)
    return f", {name} {metrics[name]['value']:.3f}"


def _read_end(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-MOST_LINES:])
