"""A soak: faults at every operation on a file, signals and killed workers, each followed by the same command again.

After a fault and a second, undisturbed call the tables must be those of a twin that met no fault; what was finished before the
fault must be there unchanged and once; no command may print a traceback; and no process and no folder may be left.

    python -m tests.soak --cases 1000 --seed 0
"""

import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.soak.cases import FILES, kept, tables
from tests.soak.faults import KINDS, Fault

# Seconds within which whatever a killed command has started is gone.
PATIENCE = 10
_TIMEOUT = 120


@dataclass
class Case:
    """One fault.

    Attributes
    ----------
    number : int
    kind : str
        Of the command: "run", "deterministic" or "elastic".
    jobs : int
    faults : list of Fault
        Each in a call of its own, one after the other.
    kills : int
        Workers that are killed at random moments of the first call.
    """

    number: int
    kind: str
    jobs: int
    faults: list
    kills: int = 0

    def __str__(self):
        met = ", ".join(f"{own.kind} at {own.number}" for own in self.faults)
        return f"case {self.number}: {self.kind}, {self.jobs} jobs: {met or f'{self.kills} workers killed'}"


class Zygote:
    """A process that has loaded nnexp and forks a child for each command: loading takes longer than the work."""

    def __init__(self):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, request):
        self._process.stdin.write(repr(request) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def start(self, folder, place, arguments, fault, log):
        """Start a command in a folder, with a place for temporary files; return its process number."""
        return int(self.ask(("start", str(folder), str(place), arguments, (fault.kind, fault.number), str(log))))

    def wait(self, process, seconds):
        """Return its exit status, or None after so many seconds."""
        answer = self.ask(("wait", process, seconds))
        return None if answer == "None" else int(answer)

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def command(kind, jobs):
    if kind == "run":
        return ["run", "case.toml", "--results", "results", "--jobs", str(jobs)]
    return ["sweep", "case.toml", "--results", "results", "--workers", str(jobs)]


class Soak:
    def __init__(self, root, seed):
        self.root, self.seed = root, seed
        self.twins, self.operations = {}, {}
        zygote = Zygote()
        for kind in FILES:
            folder = self._folder(f"twin-{kind}")
            (folder / "case.toml").write_text(FILES[kind])
            status, said = self._call(zygote, folder, kind, 1, Fault())
            assert status == 0, said
            self.twins[kind] = tables(folder / "results" / "case")
            self.operations[kind] = int(said.rpartition("operations: ")[2].split()[0])
        zygote.close()

    def _folder(self, name):
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        return folder

    def _call(self, zygote, folder, kind, jobs, fault, kills=0, rng=None):
        log = folder / "log"
        process = zygote.start(folder, folder / "tmp", command(kind, jobs), fault, log)
        if kills:
            self._kill_workers(process, kills, rng)
        status = zygote.wait(process, _TIMEOUT)
        if status is None:
            os.kill(process, signal.SIGKILL)
            zygote.wait(process, 10)
            return "timeout", log.read_text(errors="replace")
        return status, log.read_text(errors="replace")

    def _kill_workers(self, process, kills, rng):
        until = time.monotonic() + 20
        while kills and time.monotonic() < until:
            time.sleep(rng.uniform(0.05, 1.5))
            with contextlib.suppress(psutil.Error):
                children = psutil.Process(process).children()
                workers = [own for own in children if "popen_loky_posix" in " ".join(own.cmdline())]
                if workers:
                    rng.choice(workers).kill()
                    kills -= 1

    def case(self, number):
        rng = random.Random(f"{self.seed} {number}")
        kind = rng.choice(list(FILES))
        if rng.random() < 0.05:
            return Case(number, kind, 2, [], kills=rng.randint(1, 4))
        jobs = 2 if rng.random() < 0.06 else 1
        most = self.operations[kind]
        faults = [Fault(rng.choice(KINDS), rng.randint(1, most)) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        return Case(number, kind, jobs, faults)

    def run(self, zygote, number):
        """Do a case; return the case and what went wrong."""
        case = self.case(number)
        rng = random.Random(f"{self.seed} {number} kills")
        folder = self._folder(f"case-{number}")
        (folder / "case.toml").write_text(FILES[case.kind])
        results = folder / "results" / "case"
        wrong, finished = [], None
        for fault in case.faults or [Fault()]:
            status, said = self._call(zygote, folder, case.kind, case.jobs, fault, case.kills, rng)
            wrong += self._said_wrong(said, status)
            wrong += self._left(folder)
            wrong += self._lost(finished, results)
            finished = kept(results)
        for _ in range(4):  # what the machine kept from a result is tried again
            status, said = self._call(zygote, folder, case.kind, case.jobs, Fault())
            wrong += self._said_wrong(said, status)
            if status == 0:
                break
        wrong += [] if status == 0 else [f"the undisturbed call ended with {status}: {said[-600:]}"]
        wrong += self._left(folder) + self._lost(finished, results)
        found = tables(results)
        wrong += [
            f"{name} differs from the twin's" for name, text in self.twins[case.kind].items() if found.get(name) != text
        ]
        wrong += [f"{key} ran {len(lines)} times" for key, lines in kept(results).runs.items() if len(lines) > 1]
        rubbish = [own.name for own in results.iterdir() if own.name.endswith(".nnexp-tmp") or ".tmp" in own.name]
        wrong += [f"left in the results: {rubbish}"] if rubbish else []
        if not wrong:
            shutil.rmtree(folder, ignore_errors=True)
        return case, wrong

    def _said_wrong(self, said, status):
        wrong = [f"a traceback: {said[-1500:]}"] if "Traceback" in said or "Exception ignored" in said else []
        return wrong + (["it hangs"] if status == "timeout" else [])

    def _lost(self, before, results):
        if before is None:
            return []
        after = kept(results)
        lost = [key for key, lines in before.runs.items() if not set(lines) <= set(after.runs.get(key, []))]
        lost += [number for number, own in before.trials.items() if after.trials.get(number) != own]
        return [f"lost: {lost}"] if lost else []

    def _left(self, folder):
        """Return what the command has left behind: processes that know its folder, and files where temporary ones go."""
        until = time.monotonic() + PATIENCE
        while (left := self._processes(folder)) and time.monotonic() < until:
            time.sleep(0.1)
        wrong = [f"processes left: {left}"] if left else []
        while (rubbish := [own.name for own in (folder / "tmp").iterdir()]) and time.monotonic() < until:
            time.sleep(0.1)
        return wrong + ([f"left in the place for temporary files: {rubbish}"] if rubbish else [])

    def _processes(self, folder):
        found = []
        for process in psutil.process_iter(["pid", "name", "cmdline"]):
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("TMPDIR") == str(folder / "tmp"):
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:80]}")
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first case, to do one again")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    begun = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(root, given.seed)
    print(f"{', '.join(f'{n} operations on files in a {kind}' for kind, n in soak.operations.items())}", flush=True)
    shares = [range(given.first + i, given.first + given.cases, given.workers) for i in range(given.workers)]
    counts, failures = collections.Counter(), []

    def work(numbers):
        zygote = Zygote()
        for number in numbers:
            case, wrong = soak.run(zygote, number)
            counts["cases"] += 1
            for fault in case.faults:
                counts[fault.kind] += 1
            counts["workers killed"] += case.kills
            if wrong:
                failures.append(number)
                print(f"{case}\n  " + "\n  ".join(wrong), flush=True)
            elif counts["cases"] % 50 == 0:
                print(f"{counts['cases']} of {given.cases}, {time.monotonic() - begun:.0f} s", flush=True)
        zygote.close()

    with ThreadPoolExecutor(given.workers) as pool:
        for done in [pool.submit(work, share) for share in shares]:
            done.result()
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if name != "cases")
    print(
        f"{counts['cases']} cases with seed {given.seed} ({told}) in {time.monotonic() - begun:.0f} s: {len(failures)} went wrong."
    )
    if not failures:
        shutil.rmtree(root, ignore_errors=True)
    else:
        print(
            f"Their folders are in {root}; `python -m tests.soak --seed {given.seed} --first N --cases 1` does one again."
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
