"""Work on several processes: joblib starts them, on this machine or on a Dask cluster.

What all units of work share, such as the data, is sent to each process once. A process that is killed costs its unit
of work nothing but a second try.
"""

from __future__ import annotations

import contextlib
import multiprocessing.resource_tracker
import os
import signal
import tempfile
import uuid
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.backend import resource_tracker as loky_resource_tracker
from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from nnexp._errors import ExpectedError, reason
from nnexp._processes import Passed, leave_with_parent, let_workers_leave
from nnexp._signals import heed

# A unit whose process dies is tried again this often.
RETRIES = 2

# Processes that die are started again this often, all together.
_MOST_DEATHS = 100
# A Dask scheduler answers within this time.
ANSWER_WITHIN = "10s"
# A Dask cluster is sent its data again this often for one set of units.
_MOST_LOSSES = 10

# What numerical libraries read when they are loaded.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)

# Where a process finds what is shared, and the name of that.
Place = tuple[str, str]
Work = Callable[[Any, Any], Any]


class EngineError(ExpectedError, RuntimeError):
    """The processes that were asked for cannot be had; the message says why."""


class WorkerDiedError(RuntimeError):
    """The process of a unit was killed each time, as where memory runs out. That is no result of the unit."""

    def __init__(self) -> None:
        super().__init__(
            f"Its process was killed, {1 + RETRIES} times, perhaps for lack of memory. That is no result: "
            "the same command tries it again."
        )


class Engine:
    """Does units of work in any order.

    Parameters
    ----------
    n_jobs : int, default=1
        Processes; with 1 the work is done in this one. A Dask cluster has its own number.
    backend : {"loky", "dask"}, default="loky"
    scheduler : str or None, default=None
        The address of the Dask scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    EngineError
        If the scheduler does not answer, or Dask is not installed.

    Examples
    --------
    >>> with Engine() as engine:
    ...     dict(engine.run(lambda shared, unit: shared + unit, 10, [1, 2]))
    {0: 11, 1: 12}
    """

    def __init__(self, n_jobs: int = 1, backend: str = "loky", scheduler: str | None = None) -> None:
        self.n_jobs, self.backend = n_jobs, backend
        self._client: Any = None
        self._held: Any = None
        self._written: list[Passed] = []
        self._sent: tuple[Any, Any] | None = None
        if backend == "dask":
            self._client = _dask_client(scheduler)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def n_workers(self) -> int:
        """How many processes there are."""
        if self._client is not None:
            return max(1, sum(self._client.nthreads().values()))
        return self.n_jobs

    def close(self) -> None:
        """Give back what the processes were sent."""
        for passed in self._written:
            passed.close()
        self._written.clear()
        self._sent = None
        if self._client is not None:
            self._held = None
            self._client.close()
            self._client = None

    def run(self, work: Work, shared: Any, units: Sequence[Any], endless: bool = False) -> Iterator[tuple[int, Any]]:
        """Yield the number of each unit and what ``work(shared, unit)`` returned, as units are finished.

        A unit whose process was killed again and again has a `WorkerDiedError` for its result. ``endless`` says that units are
        processes which find their work themselves: each has a process of its own, which is begun again after a death.
        """
        with contextlib.closing(self._results(work, shared, units, endless)) as results:
            for result in results:
                heed()
                yield result

    def _results(
        self, work: Work, shared: Any, units: Sequence[Any], endless: bool
    ) -> Generator[tuple[int, Any], None, None]:
        if self.backend == "dask":
            yield from self._on_dask(work, shared, units)
        elif self.n_jobs == 1 or len(units) == 0:
            for number, unit in enumerate(units):
                yield number, work(shared, unit)
        elif endless:
            yield from self._lasting(work, self._send(shared), units)
        else:
            yield from self._on_this_machine(work, self._send(shared), units)

    def _send(self, shared: Any) -> Place:
        """Write what is shared to a file that each process reads once; return where it is."""
        if self._sent is None or self._sent[0] is not shared:
            try:
                self._written.append(Passed(lambda file: cloudpickle.dump(shared, file)))
            except OSError as error:
                raise EngineError(
                    f"The data for other processes cannot be written to {tempfile.gettempdir()}: {reason(error)}."
                ) from error
            self._sent = shared, self._written[-1].place
        return self._sent[1]

    def _lasting(self, work: Work, place: Place, units: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Give each unit a process of its own, so that the death of one does not end the others, as it does within a pool."""
        let_workers_leave()
        begin = _Begin(os.getpid())
        pools: dict[Future[tuple[int, Any]], tuple[ProcessPoolExecutor, int]] = {}
        deaths = 0

        def start(number: int) -> None:
            pool = ProcessPoolExecutor(max_workers=1, initializer=begin, env=_ONE_THREAD)
            pools[pool.submit(_with_file, work, place, number, units[number])] = pool, number

        try:
            for number in range(len(units)):
                start(number)
            while pools:
                for future in wait(pools, return_when=FIRST_COMPLETED).done:
                    pool, number = pools.pop(future)
                    pool.shutdown(wait=False)
                    try:
                        yield future.result()
                    except TerminatedWorkerError:
                        deaths += 1
                        if deaths <= _MOST_DEATHS:
                            start(number)
                        else:
                            yield number, WorkerDiedError()
        finally:
            for pool, _ in pools.values():
                pool.shutdown(wait=True, kill_workers=True)

    def _on_this_machine(self, work: Work, place: Place, units: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        waiting = list(range(len(units)))
        deaths = 0
        while waiting:
            begun: set[int] = set()
            finished: set[int] = set()
            try:
                for number, result in self._parallel(work, place, units, waiting, begun):
                    finished.add(number)
                    yield number, result
                return
            except TerminatedWorkerError:
                suspects = sorted(begun - finished)
                deaths += 1
                if deaths > _MOST_DEATHS:
                    yield from ((number, WorkerDiedError()) for number in waiting if number not in finished)
                    return
            waiting = [number for number in waiting if number not in finished and number not in suspects]
            for number in suspects:  # each by itself, so that none suffers from its neighbour
                for _ in range(RETRIES):
                    with contextlib.suppress(TerminatedWorkerError):
                        yield from self._parallel(work, place, units, [number], set())
                        break
                else:
                    yield number, WorkerDiedError()

    def _parallel(
        self, work: Work, place: Place, units: Sequence[Any], numbers: list[int], begun: set[int]
    ) -> Iterator[tuple[int, Any]]:
        def calls() -> Iterator[Any]:
            for number in numbers:
                begun.add(number)
                yield delayed(_with_file)(work, place, number, units[number])

        let_workers_leave()
        begin = _Begin(os.getpid())
        with parallel_config(backend="loky", inner_max_num_threads=1, initializer=begin):
            parallel = Parallel(
                n_jobs=self.n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
            )
            results = parallel(calls())
            try:
                yield from _without_warning(results)
            finally:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of what is given up: whoever stops knows
                    results.close()

    def _on_dask(self, work: Work, shared: Any, units: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        if self._sent is None or self._sent[0] is not shared:
            self._sent = shared, uuid.uuid4().hex
        holder = _Holder(self._sent[1], shared)
        groups = [list(range(len(units)))]
        losses = 0
        while groups:
            group = groups.pop()
            finished = set()
            try:
                # Held here as well, or the cluster forgets it between two calls.
                self._held = self._client.scatter([holder], broadcast=True)
                with parallel_config(backend="dask", client=self._client, scatter=[holder]):
                    parallel = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")
                    for number, result in parallel(delayed(_with_holder)(work, holder, i, units[i]) for i in group):
                        finished.add(number)
                        yield number, result
            except KilledWorker:  # the scheduler has tried it on several workers; which one it was shows by halves
                rest = [number for number in group if number not in finished]
                if len(rest) == 1:
                    yield rest[0], WorkerDiedError()
                else:
                    groups += [rest[len(rest) // 2 :], rest[: len(rest) // 2]]
            except FutureCancelledError as error:  # the cluster has lost what is shared; it is sent again
                losses += 1
                if losses > _MOST_LOSSES:
                    raise EngineError(f"The Dask cluster loses its data again and again: {error}") from error
                self._sent = shared, uuid.uuid4().hex
                holder = _Holder(self._sent[1], shared)
                groups.append([number for number in group if number not in finished])
            except OSError as error:
                raise EngineError(f"The Dask cluster no longer answers: {error}") from error


class _Holder:
    """What is shared, under a name of its own, so that Dask keeps it once."""

    def __init__(self, name: str, shared: Any) -> None:
        self.name, self.shared = name, shared

    def __dask_tokenize__(self) -> str:
        return self.name


_read: dict[str, Any] = {}


def _with_file(work: Work, place: Place, number: int, unit: Any) -> tuple[int, Any]:
    path, name = place
    if name not in _read:
        while len(_read) > 3:
            _read.pop(next(iter(_read)))
        _read[name] = cloudpickle.loads(Path(path).read_bytes())
    return number, work(_read[name], unit)


def _with_holder(work: Work, holder: _Holder, number: int, unit: Any) -> tuple[int, Any]:
    return number, work(holder.shared, unit)


def _dask_client(scheduler: str | None) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise EngineError("The backend 'dask' needs Dask: pip install 'nnexp[dask]'.") from error
    if scheduler is None:
        raise EngineError("The backend 'dask' needs the scheduler's address, such as tcp://127.0.0.1:8786.")
    try:
        return Client(scheduler, timeout=ANSWER_WITHIN, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise EngineError(f"The Dask scheduler {scheduler} does not answer: {error}") from error


def _without_warning(results: Any) -> Iterator[Any]:
    """Yield what a generator does, and say nothing of workers that were replaced, or of tasks left undone where it is stopped."""
    while True:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=r"\d+ tasks which were still being processed")
                warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")
                item = next(results)
        except StopIteration:
            return
        yield item


# Signals that end a command. They are for the process that was told to do the work; it ends the others.
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@dataclass(frozen=True)
class _Begin:
    """How a worker begins: it leaves signals to the parent, and does not outlive it. Equal ones share their workers."""

    parent: int

    def __call__(self) -> None:
        for pool in _ENDING:
            signal.signal(pool, signal.SIG_IGN)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        leave_with_parent(self.parent)

    @contextlib.contextmanager
    def around_start(self) -> Iterator[None]:
        """Hold what a worker inherits when it begins: nothing of the current folder is loaded, and no signal is heeded."""
        with _safe_path(), _workers_without_signals():
            yield


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """Keep Python from loading the modules of a worker from the current folder; what this process loads, the worker is told."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


@contextlib.contextmanager
def _workers_without_signals() -> Iterator[None]:
    """Leave Ctrl-C and its like to this process alone: a worker started here inherits that they are blocked.

    Without it each worker prints a traceback of its own while it starts.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Both unblock the signal when they start something of their own.
    loky_resource_tracker.ensure_running()
    multiprocessing.resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
