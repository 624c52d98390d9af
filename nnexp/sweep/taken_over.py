"""Studies of earlier versions, which kept them in Optuna's own formats.

They are read once, through Optuna's public functions, and written to the record.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnexp._errors import reason
from nnexp._files import next_free, parse_json, read_whole
from nnexp.sweep.samplers import quiet
from nnexp.sweep.store import JournalStore, Outcome, StoreError, Trial, ended_line, made_line
from nnexp.sweep.view import database_or_journal

# What earlier versions called their notes in an Optuna study.
_NOTES, _OWNER, _CURVES = "nnexp", "nnexp:owner", "nnexp:curves"


def take_over(store: JournalStore, log: Path) -> None:
    """Write the studies of an earlier version's file to the record, and give that file another name.

    Raises
    ------
    StoreError
        If the file cannot be read. It stays as it is.
    """

    def read() -> list[dict[str, Any]]:
        return [line for lines in studies_in(log).values() for line in lines] if log.is_file() else []

    if store.take_over(read):
        kept = next_free(log.with_name("study-before.log"))
        try:
            os.replace(log, kept)
        except OSError as error:
            raise StoreError(f"{log} cannot be given another name: {reason(error)}.") from error
        names = ", ".join(store.studies())
        store.lost = f"The studies of an earlier version are taken over: {names}. What was there is in {kept.name}."


def studies_in(place: Path | str) -> dict[str, list[dict[str, Any]]]:
    """Return the studies that an earlier version wrote to a file or a database, each as the lines of the record.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    import optuna

    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is experimental
            with _storage(place) as storage:
                return {
                    name: lines
                    for name in optuna.get_all_study_names(storage=storage)
                    if (lines := _lines(optuna.load_study(study_name=name, storage=storage, sampler=_any_sampler())))
                }
    except Exception as error:  # whatever Optuna raises over what it does not know
        sentence = (
            f"cannot be taken over: {type(error).__name__}: {reason(error) if isinstance(error, OSError) else error}."
        )
        if isinstance(place, Path):
            sentence = f"{place}, as of an earlier version, {sentence} Move it elsewhere to begin anew"
        else:
            sentence = f"what an earlier version kept {sentence}"
        raise StoreError(sentence.rstrip(".") + ".") from error


def _any_sampler() -> Any:
    import optuna

    return optuna.samplers.RandomSampler()


@contextlib.contextmanager
def _storage(place: Path | str) -> Iterator[Any]:
    import optuna
    from optuna.storages.journal import BaseJournalBackend

    class Whole(BaseJournalBackend):  # type: ignore[misc, unused-ignore]
        """A journal up to where it is damaged, which is not written to."""

        def __init__(self, path: Path) -> None:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                lines = read_whole(descriptor).split(b"\n")[:-1]
            finally:
                os.close(descriptor)
            self._logs: list[Any] = []
            for line in lines:
                try:
                    self._logs.append(parse_json(line))
                except ValueError:
                    break

        def read_logs(self, log_number_from: int) -> Any:
            yield from self._logs[log_number_from:]

        def append_logs(self, logs: Any) -> None:
            raise NotImplementedError

    if isinstance(place, Path):
        yield optuna.storages.JournalStorage(Whole(place))
        return
    with database_or_journal(place) as storage:
        yield storage


def _lines(study: Any) -> list[dict[str, Any]]:
    """Return a study as the lines of the record; none if it is not one of ours."""
    declared = study.user_attrs.get(_NOTES)
    if not isinstance(declared, dict):
        return []
    name = study.study_name
    lines = [made_line(name, [direction.name.lower() for direction in study.directions], declared)]
    number = 0
    for frozen in study.get_trials(deepcopy=False):
        noted = dict(frozen.system_attrs)
        owner, curve = noted.pop(_OWNER, None), noted.pop(_CURVES, None)
        if not isinstance(owner, dict):  # it was put there by others
            continue
        trial = Trial(
            number, "running", dict(frozen.params), owner=str(owner.get("owner", "")), tries=int(owner.get("tries", 1))
        )
        if frozen.state.is_finished():
            outcome = Outcome(
                number, frozen.state.name.lower(), list(frozen.values or []), frozen.user_attrs.get(_NOTES) or {},
                dict(frozen.intermediate_values), noted,
            )  # fmt: skip
            at = frozen.datetime_complete.timestamp() if frozen.datetime_complete else 0.0
            lines.append({**ended_line(name, trial, outcome, at), **({"curve": curve} if curve else {})})
        else:
            lines.append({"study": name, "begun": number, "params": trial.params, "owner": "", "tries": 0})
        number += 1
    return lines
