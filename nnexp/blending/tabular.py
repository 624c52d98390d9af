"""TabularMLP: the answer of several kinds of networks for a table, in one line."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import Tags, _safe_indexing
from sklearn.utils.validation import _num_features, _num_samples

from nnexp._errors import quoted
from nnexp._files import as_path
from nnexp._names import check_choice, check_number, is_integer
from nnexp.blending.blended import Blended, BlendedEstimator, Samples, blend
from nnexp.blending.contest import Contender, advance, best_half
from nnexp.blending.fitting import complete, samples_of
from nnexp.blending.recipes import RECIPES, Recipe, draw
from nnexp.blending.weights import Evidence
from nnexp.encoding import TableEncoder
from nnexp.estimator import BackpropMLP
from nnexp.fitting import Shared
from nnexp.fitting.plan import seed_sequence
from nnexp.fitting.settings import check_jobs
from nnexp.onnx_export import to_onnx_of_blend

Array = NDArray[Any]

# What `greedy_weights` picks.
_PICKS = 20
# Stacks of a bracket at most, and the shares of their steps after which the worse half is given up.
_BRACKET, _RUNGS = 8, (0.25, 0.5)
# Columns times pieces at most: a wide table is cut into fewer pieces, or none.
_MOST_PIECES = 2_000
# Candidates that cost more than is left, until nothing more is drawn.
_TOO_DEAR = 8


class TabularMLP(BlendedEstimator):
    """Several kinds of networks for a table, blended by what they say of samples that they have not learnt from.

    One line for any table: words, dates, gaps and numbers of any size; see `TableEncoder`. The samples are cut into
    ``n_networks`` folds. Each candidate is a stack of as many networks, each of which sets its own fold aside and stops by the
    others' folds. By the predictions of these folds weights are chosen, and probabilities are calibrated. What is predicted is the
    weighted average of all networks.

    Parameters
    ----------
    task : {"classification", "regression"}, default="classification"
        What y is; never guessed from it.
    n_networks : int, default=8
        Networks of a stack, which is also the number of folds. With less than 10 samples a fold there are fewer, and with less
        than 80 samples none: all candidates then count the same.
    effort : float, default=1
        How much is tried: the cost of training, in units of that of the default. Below 1, fewer candidates. Above 1, a contest:
        further candidates are drawn at random, up to eight at a time; the half with the higher loss out of fold is given up after
        a quarter of the steps, and once more after a half.
    max_seconds : float or None, default=None
        Time after which no further candidate begins. Results then depend on the machine.
    class_weight : mapping, "balanced" or None, default=None
        Weights of the classes, for training; see `BackpropMLP`.
    checkpoint : str, Path or None, default=None
        A folder that is there: trainings are kept in it, so that after a kill the same fit goes on where it was, to the same
        bits; with an int as ``random_state``. They are removed when the fit has ended.
    n_jobs : int or None, default=None
        Processes that stacks are shared out among, as joblib counts them; None is 1.
    random_state : int, numpy RandomState or None, default=None
        An int makes everything that is random repeatable.
    verbose : bool, default=False
        Whether to print a line for each candidate.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Classification only; of a multilabel one the numbers of the labels.
    n_features_in_ : int
    feature_names_in_ : array of str, shape (n_features,)
        Where X has names of columns that are all strings.
    blend_ : pandas.DataFrame
        What the answer consists of: a row for each stack whose weight is not 0, as in `cv_results_`.
    cv_results_ : pandas.DataFrame
        A row for each candidate: name, weight, loss out of fold (log loss, or the mean squared error in units of the variance of
        y), seconds, share of the steps after which it was given up, evaluations as in `BackpropMLP`, its parameters.
    weights_ : array of float
        The weight of each of `members_`.
    evaluations_ : int
        What all candidates have cost together, in evaluations as in `BackpropMLP`.
    members_ : list of pairs of str and BackpropMLP
        The stacks whose weight is not 0, each a fitted estimator.
    oof_prediction_ : array of shape (n_samples,) or (n_samples, n_outputs)
        For each sample the probabilities or values by the networks that have not learnt from it, with weights and calibration
        that were chosen without its fold; samples of weight 0 have the answer of the blend.
    oof_score_, oof_score_error_ : float
        Accuracy or R² of that, and half the width of its 95 % interval.
    temperature_ : float
        What calibrates the probabilities.

    See Also
    --------
    BackpropMLP : One kind of network.
    Blend : The same for estimators of any kind.

    References
    ----------
    Caruana, Niculescu-Mizil, Crew and Ksikes (2004), "Ensemble selection from libraries of models", ICML.
    Gorishniy, Rubachev and Babenko (2022), "On embeddings for numerical features in tabular deep learning", NeurIPS.
    Jamieson and Talwalkar (2016), "Non-stochastic best arm identification and hyperparameter optimization", AISTATS.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnexp import TabularMLP
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = TabularMLP(random_state=0).fit(X, y)
    >>> bool(model.oof_score_ > 0.9)
    True
    >>> bool(model.blend_["weight"].sum().round(6) == 1)
    True
    """

    def __init__(
        self,
        task: Literal["classification", "regression"] = "classification",
        *,
        n_networks: int = 8,
        effort: float = 1,
        max_seconds: float | None = None,
        class_weight: Any = None,
        checkpoint: str | Path | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.task = task
        self.n_networks = n_networks
        self.effort = effort
        self.max_seconds = max_seconds
        self.class_weight = class_weight
        self.checkpoint = checkpoint
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def task_of_parameters(self) -> str:
        """Return what y is as the parameters have it."""
        return str(self.task)

    def fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, groups: ArrayLike | None = None
    ) -> TabularMLP:
        """Train the candidates and blend them.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Arrays, data frames of pandas, polars or pyarrow, CSR.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes of any type, 0 and 1 for each of several labels, or numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Of training, of the choice of weights and of the score.
        groups : array-like of shape (n_samples,), default=None
            Samples of one group come into one fold.

        Returns
        -------
        TabularMLP
            Itself.

        Raises
        ------
        ValueError, TypeError
            For parameters or data that are impossible, each with a sentence.
        """
        self.check()
        X, y, sample_weight, probe = self.checked(X, y, sample_weight)
        seed, drawing = seed_sequence(self.random_state).generate_state(2).tolist()
        samples = samples_of(self.task, _num_samples(X), y, sample_weight, groups, self.n_networks, seed)
        data = {"X": X, "y": y, "sample_weight": sample_weight, "fold": samples.fold}
        if len(samples.numbers) < samples.n_given:  # once for all candidates
            parts = {name: data[name] for name in ("X", "y", "sample_weight")}
            data |= {name: _safe_indexing(part, samples.numbers) for name, part in parts.items()}
        contest = _Contest(
            self, replace(samples, numbers=np.arange(len(samples.numbers)), n_given=len(samples.numbers)), data
        )
        recipes = [*RECIPES.items()][: max(1, round(self.effort * len(RECIPES)))]
        rng = np.random.default_rng(drawing)
        contest.recipes(recipes, rng)
        if samples.fold is not None:
            contest.brackets(draw(rng), rng, self.effort)
        blended = contest.blended(samples)
        contest.remove()
        self.take(complete(blended, X), probe)
        return self

    def network(self, recipe: Recipe, seed: int, n_networks: int, has_folds: bool, n_columns: int) -> BackpropMLP:
        """Return the candidate of a recipe, not fitted, for a table of so many columns, or for a sparse one with 0."""
        encoding = recipe.get("encoding", "auto")
        if isinstance(encoding, Mapping):
            most = _MOST_PIECES // n_columns if n_columns else 0
            pieces = min(encoding.get("pieces", 0), most)
            encoding = TableEncoder(**{**encoding, "pieces": pieces if pieces > 1 else 0})
        given = {**recipe, "encoding": encoding, "class_weight": self.class_weight}
        # Of few samples the precision costs little, and what weighs twice is then the same as what is there twice.
        dtype = "float32" if has_folds else "float64"
        given["validation"] = "cross" if has_folds else "none"
        return BackpropMLP(self.task, n_networks=n_networks, dtype=dtype, random_state=seed, **given)

    def check(self) -> None:
        """Check the parameters, as far as that needs no data.

        Raises
        ------
        ValueError, TypeError
            For parameters that are impossible, each with a sentence.
        """
        check_choice("task", self.task, ["classification", "regression"])
        check_number("n_networks", self.n_networks, low=2, integer=True)
        check_number("effort", self.effort, low=0, open_low=True, high=10_000)
        if self.max_seconds is not None:
            check_number("max_seconds", self.max_seconds, low=0, open_low=True)
        if self.class_weight is not None and self.task == "regression":
            raise ValueError("class_weight is for task='classification'.")
        if self.checkpoint is not None:
            if not isinstance(self.checkpoint, str | Path):
                raise TypeError(f"checkpoint must be a path or None. Got {quoted(self.checkpoint)}.")
            if not is_integer(self.random_state):
                raise ValueError(
                    "checkpoint needs a random_state that is an int: with other random numbers a fit is another one, and cannot go "
                    "on."
                )
            if not as_path(self.checkpoint).is_dir():
                raise ValueError(f"checkpoint={quoted(str(self.checkpoint))}: there is no such folder.")
        check_jobs("n_jobs", self.n_jobs)

    @property
    def members_(self) -> list[tuple[str, BackpropMLP]]:
        """The name and the stack of each candidate whose weight is not 0."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError("members_ exists after fit.")
        return [(member.name, member.fitted[0]) for member in self.blended_.weighty]

    @property
    def evaluations_(self) -> int:
        """What all candidates have cost together, in evaluations as in `BackpropMLP`."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError("evaluations_ exists after fit.")
        return int(self.cv_results_["evaluations"].sum())

    def with_blended(self, blended: Blended, n_features: int, names: Array | None) -> TabularMLP:
        """Return this estimator as fitted, given what a fit has made."""
        self.take(
            blended,
            SimpleNamespace(n_features_in_=n_features, **({} if names is None else {"feature_names_in_": names})),
        )
        return self

    def save(self, path: str | Path) -> None:
        """Write the fitted model to a file of arrays and JSON, which `nnexp.load` reads. It holds no code.

        Parameters
        ----------
        path : str or Path
            Such as ``"model.nnexp"``. An existing file is replaced as a whole.

        Raises
        ------
        SavingError
            If the model is not fitted, or the file cannot be written.
        """
        from nnexp.blending.files import save_blend  # what reads files knows this class

        save_blend(path, self)

    def to_onnx(self, path: str | Path | None = None) -> Any:
        """Return the fitted model as an ONNX graph; see `BackpropMLP.to_onnx`, whose inputs and outputs it has.

        Parameters
        ----------
        path : str or Path, default=None
            Where to write it as well.

        Returns
        -------
        onnx.ModelProto

        Raises
        ------
        ImportError
            Without the package onnx.
        ValueError
            If the model is not fitted, or has columns that a graph cannot encode.
        """
        if not self.__sklearn_is_fitted__():
            raise ValueError("The model is not fitted: there is no network to export.")
        blended = self.blended_
        members = [(float(w), m.fitted[0]) for w, m in zip(blended.weights, blended.members, strict=True) if w]
        calibration = blended.calibration
        at = None if calibration is None else (calibration.temperature, calibration.lowest)
        return to_onnx_of_blend(members, blended.target, at, path)

    def __sklearn_tags__(self) -> Tags:
        return BackpropMLP.__sklearn_tags__(BackpropMLP(self.task))


class _Contest:
    """A fit of a `TabularMLP`: what has ended, what was given up, and when time is over."""

    def __init__(self, estimator: TabularMLP, samples: Samples, data: dict[str, Any]) -> None:
        self._estimator, self._samples, self._data = estimator, samples, data
        self._shared = Shared()
        self._folder = None if estimator.checkpoint is None else as_path(estimator.checkpoint)
        self._end = np.inf if estimator.max_seconds is None else time.perf_counter() + estimator.max_seconds
        self._n = estimator.n_networks if samples.fold is None else int(samples.fold.max()) + 1
        self._done: list[Contender] = []
        self._given_up: list[dict[str, Any]] = []
        self._files: set[Path] = set()
        self._cost = 0.0

    def _enter(self, name: str, recipe: Recipe, rng: np.random.Generator) -> Contender:
        n_columns = 0 if sparse.issparse(self._data["X"]) else _num_features(self._data["X"])
        seed, has_folds = int(rng.integers(2**32)), self._samples.fold is not None
        network = self._estimator.network(recipe, seed, self._n, has_folds, n_columns)
        return Contender.enter(name, recipe, network, self._data, self._shared)

    def _advance(self, contenders: list[Contender], share: float) -> None:
        self._cost -= sum(contender.cost for contender in contenders)
        self._files |= set(advance(contenders, share, self._folder, self._estimator.n_jobs))
        self._cost += sum(contender.cost for contender in contenders)

    def _is_over(self) -> bool:
        return bool(self._done) and time.perf_counter() > self._end

    def _ended(self, contenders: list[Contender]) -> None:
        for contender in contenders:
            if contender.has_failed:
                self._give_up(contender, 1.0)
                continue
            self._done.append(contender)
            self._say(contender, "")

    def _give_up(self, contender: Contender, share: float) -> None:
        loss = np.nan if contender.has_failed else self._loss(contender)
        row = {
            "name": contender.name,
            "weight": 0.0,
            "loss": loss,
            "seconds": contender.training.seconds,
            "share": share,
            "evaluations": _evaluations(contender),
        }
        self._given_up.append({**row, **_parameters(contender.recipe)})
        self._say(contender, f", given up after {share:.0%}")

    def _loss(self, contender: Contender) -> float:
        values = contender.member(self._samples).values
        if values is None:
            return float("nan")
        evidence = Evidence.of([values], self._samples.target, self._samples.expected, self._samples.weight)
        return float(evidence.losses(evidence.of_each)[0])

    def _say(self, contender: Contender, how: str) -> None:
        if self._estimator.verbose:
            print(
                f"{contender.name}: loss {self._loss(contender):.4f}, {contender.training.seconds:.1f} s{how}",
                flush=True,
            )

    def recipes(self, recipes: list[tuple[str, Recipe]], rng: np.random.Generator) -> None:
        """Train what is tried first."""
        at_once = 1 if np.isfinite(self._end) else len(recipes)
        for first in range(0, len(recipes), at_once):
            if self._is_over():
                return
            part = range(first, min(first + at_once, len(recipes)))
            contenders = [self._enter(*recipes[i], rng) for i in part]
            self._advance(contenders, 1.0)
            self._ended(contenders)

    def brackets(self, drawn: Iterator[tuple[str, Recipe]], rng: np.random.Generator, effort: float) -> None:
        """Let further candidates compete, some at a time, until all has cost ``effort`` times what the recipes did."""
        budget = effort * self._cost
        of_steps = self._cost / sum(
            contender.whole_cost for contender in self._done
        )  # they mostly stop before their last step
        while not self._is_over():
            going: list[Contender] = []
            left, too_dear = budget - self._cost, 0
            while len(going) < _BRACKET and too_dear < _TOO_DEAR:
                contender = self._enter(*next(drawn), rng)
                expected = _of_bracket(of_steps) * contender.whole_cost
                if expected > left:
                    too_dear += 1
                    continue
                left -= expected
                going.append(contender)
            if not going:
                return
            for share in _RUNGS:
                self._advance(going, share)
                kept = best_half(going, self._samples)
                for contender in going:
                    if contender not in kept:
                        self._give_up(contender, share)
                going = kept
                if self._is_over():
                    for contender in going:
                        self._give_up(contender, share)
                    return
            self._advance(going, 1.0)
            self._ended(going)

    def blended(self, samples: Samples) -> Blended:
        """Return the blend of all that has ended, given the samples with their numbers among all that were given."""
        if not self._done:
            raise ValueError("The error of every candidate became infinite or NaN: there is nothing to blend.")
        blended = blend(samples, [contender.member(self._samples) for contender in self._done], _PICKS)
        more = ({"share": 1.0, "evaluations": _evaluations(c), **_parameters(c.recipe)} for c in self._done)
        rows = [row | other for row, other in zip(blended.rows, more, strict=True)]
        return replace(blended, rows=(*rows, *self._given_up))

    def remove(self) -> None:
        """Remove what was kept for a fit that goes on after a kill."""
        for file in self._files:
            file.unlink(missing_ok=True)


def _evaluations(contender: Contender) -> int:
    return int(contender.training.evaluations.sum())


def _of_bracket(of_steps: float) -> float:
    """Return what a stack of a bracket costs, as a share of all its steps, where stacks stop by themselves after ``of_steps``.

    About two of three go on after a rung: those that are among the better half by all samples, or by all but a fold.
    """
    first, second = _RUNGS
    after = [min(of_steps, first), max(0.0, min(of_steps, second) - first), max(0.0, of_steps - second)]
    return float(after[0] + 0.65 * after[1] + 0.65**2 * after[2])


def _parameters(recipe: Recipe) -> dict[str, Any]:
    """Return the columns of a table that say what a candidate is."""
    encoding = recipe.get("encoding", {})
    given = {**{name: value for name, value in recipe.items() if name != "encoding"}, **encoding}
    return {f"param_{name}": value for name, value in given.items()}
