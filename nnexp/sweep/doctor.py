"""How a study is, and what can be mended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from nnexp.sweep.store import Change, Store, is_gone
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


def examine(store: Store, study: str, mend: bool = False, lease: float = LEASE) -> Health:
    """Look at a study; free the trials of silent processes if asked to.

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
        if not trial.is_finished and is_gone(trial.owner, seen, 0.0, lease):
            silent.setdefault(trial.owner, []).append(trial.number)
    problems = []
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
