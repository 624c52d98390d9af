"""How a study is, and what can be mended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from nnexp.sweep.store import Change, Outcome, Store, is_gone
from nnexp.sweep.study import LEASE


@dataclass(frozen=True)
class Health:
    """How a study is.

    Attributes
    ----------
    summary : str
    problems : list of str
        A sentence for each process that is silent but has trials, with what was done about it.
    """

    summary: str
    problems: list[str]


def examine(store: Store, study: str, mend: bool = False, lease: float = LEASE, give_up: bool = False) -> Health:
    """Look at a study; free the trials of silent processes, or end those that are given up for now, if asked to.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from nnexp.sweep.store import JournalStore
    >>> store = JournalStore(Path(tempfile.mkdtemp()) / "study.log")
    >>> store.create_study("empty", ["maximize"], {})
    >>> examine(store, "empty").summary
    'no trial yet'
    """
    ago = store.seen(study)
    trials = store.trials(study)
    states = Counter(trial.state for trial in trials)
    summary = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no trial yet"
    seen = {owner: -seconds for owner, seconds in ago.items()}
    silent: dict[str, list[int]] = {}
    for trial in trials:
        if not (trial.is_finished or trial.is_given_up) and is_gone(trial.owner, seen, 0.0, lease):
            silent.setdefault(trial.owner, []).append(trial.number)
    problems = []
    lost = [trial for trial in trials if trial.is_given_up]
    if lost:
        done = " They have failed now." if give_up else ""
        which = ", ".join(str(trial.number) for trial in lost[:8]) + (", …" if len(lost) > 8 else "")
        problems.append(
            f"{len(lost)} trials ({which}) have no result, and the next call tries them again: "
            f"{lost[0].problem or 'their processes were killed'}{done}"
        )
    if give_up and lost:

        def end(change: Change) -> None:
            for trial in change.trials:
                if trial.is_given_up:
                    problem = f"Given up by nnexp doctor --give-up. {trial.problem or 'Its process was killed.'}"
                    record: dict[str, Any] = {"scores": {}, "evaluations": None, "problem": problem, "seconds": 0.0}
                    change.finish(Outcome(trial.number, "fail", [], record))

        store.transact(study, end)
    for owner, numbers in silent.items():
        heard = f"was last heard of {ago[owner]:.0f} s ago" if owner in ago else "has said nothing"
        done = " They are free now." if mend else ""
        shown = ", ".join(map(str, numbers[:8])) + (", …" if len(numbers) > 8 else "")
        problems.append(f"The process {owner or '(none)'} {heard} and has {len(numbers)} trials ({shown}).{done}")
    if mend and silent:

        def free(change: Change) -> None:
            for owner, numbers in silent.items():
                for number in numbers:
                    trial = change.trials[number]
                    if not trial.is_finished and trial.owner == owner:
                        change.take(number, "", trial.tries)

        store.transact(study, free)
    return Health(summary, problems)
