"""What a check is made of: a task, the mistakes that are known of it, and how an answer is judged.

A task's solution is a chain of named parts: which score is differentiated, how the channels are reduced, and
so on. A known mistake puts something else in the place of one part; its output is computed with the same
gradients as the right one's, and a learner's output that equals it was made by that mistake.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cs231n import session
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import image_gradient
from cs231n.observation import AS_RELU_RULE, ON_ARRAYS, ON_TENSORS, Observation
from cs231n.quiet_tensorflow import tf

_CHANGES_ARGUMENT = (
    "The array that was passed in is another one after the call. Whoever calls your function still needs "
    "it; work on a copy."
)
_NOT_REPEATABLE = (
    "A second call with the same arguments gave another result. Does something outlive the call, or is "
    "something random drawn that the given lines do not draw?"
)
_ALL_ZERO = (
    "Your result is zero everywhere. Does what you compute reach the array that you return, and is it the "
    "gradient of a score that the network gives?"
)
_RETURNS_NUMBERS = (
    "Your function computes numbers, by NumPy or by running the session. It is to return a tensor: what that "
    "describes is differentiated and run later, for other images."
)
_NOT_A_SCALAR = (
    "Your loss is a tensor of several numbers, or of one number in brackets. Which axes are still to be "
    "added up?"
)
_RETURNS_TENSOR = (
    "Your function returned a Tensor, which is a plan of a computation and holds no numbers yet. Who carries "
    "plans out?"
)
_ZERO = 1e-6
"""What is zero up to rounding, relative to the right result's largest number."""


class Workings:
    """Gradients and scores of one model in one session, each computed once.

    Parameters
    ----------
    model : SqueezeNet
    sess : tf.Session, optional
        Default: the model's session, else the default session.
    """

    def __init__(self, model: SqueezeNet, sess: tf.Session | None = None) -> None:
        self.model = model
        self.sess = session.choose_session(model.graph, sess, model.sess)
        self._known: dict[tuple, tuple[np.ndarray, np.ndarray]] = {}

    def differentiate(
        self, score: Callable[[SqueezeNet], tf.Tensor], X: np.ndarray, y: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient of a score with respect to images, (N, H, W, 3), and the scores, (N, 1000).

        Parameters
        ----------
        score : function of the model
            As `image_gradient` takes it.
        X : ndarray of float, shape (N, H, W, 3)
            Preprocessed images.
        y : sequence of N int
            Labels.
        """
        key = (score, X.shape, X.tobytes(), tuple(y))
        if key not in self._known:
            fetches = [image_gradient(self.model, score).gradient, self.model.classifier]
            feed = {self.model.image: X, self.model.labels: y}
            self._known[key] = tuple(session.run(self.sess, fetches, feed))
        return self._known[key]


@dataclass(frozen=True)
class Case:
    """Arguments to call a learner's function with.

    Attributes
    ----------
    name : str
        For cases after the first: what a function is restricted to that is right for this one only.
    arguments : tuple
        What comes before the model: arrays and numbers. For functions on tensors: of each call its
        arguments, all of them; the second call's images are larger than the first's by one pixel each way,
        and nothing else in it makes for more operations.
    keywords : dict
        What comes after the model.
    seed : int
        What NumPy's global generator is seeded with.
    way : str
        How the function is called, as `observe` says.
    """

    name: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    way: str = ON_ARRAYS

    @property
    def on_tensors(self) -> bool:
        """Whether the function is given tensors, and returns one."""
        return self.way in (ON_TENSORS, AS_RELU_RULE)


@dataclass(frozen=True)
class Outcome:
    """What a solution with a mistake in it comes to.

    Attributes
    ----------
    result : ndarray or None
        What it returns; None if it goes on for longer than it is followed.
    fed : tuple of ndarray
        For functions that go step by step: the images that it shows to the network, as far as it is
        followed. A wrong step is recognised by them, for the errors of rounding grow from step to step.
    """

    result: np.ndarray | None
    fed: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Mistake:
    """A known mistake.

    Attributes
    ----------
    name : str
    explanation : str
        What was done, and what to think about, in one or two sentences that do not give the code away.
    changes : tuple of dict
        What it puts in the place of which part of the solution; several if it has several forms.
    accepted : bool
        Whether the answer counts as right nevertheless; the explanation is then a remark.
    """

    name: str
    explanation: str
    changes: tuple[Mapping[str, Any], ...]
    accepted: bool = False


@dataclass(frozen=True)
class Task:
    """One function that learners write, and all that is needed to judge it.

    Attributes
    ----------
    title : str
        "Saliency maps".
    function : str
        The function's name.
    points : int
        What it is worth when graded.
    make_cases : function (workings, seed) -> iterator of Case
        Inputs for which all known mistakes have different outputs. The first case decides; a function
        that fails there but is right for another one works only for inputs of that kind.
    compute_reference : function (workings, case) -> ndarray
        The right output, by the kit's own function.
    solve : function (workings, case, **parts) -> Outcome
        The right one if no part is given, else what it is with other parts.
    mistakes : tuple of Mistake
    tolerance : float
        Outputs are the same if their distance relative to the right one is at most this.
    cheap_parts : frozenset of str, optional
        Parts for which no further gradient has to be computed. Mistakes in these are also looked for
        together with another one. Default: all parts are.
    subtract_input : bool
        Whether it is the difference from the first argument that is compared: for functions that change
        an image a little.
    count_runs : function (workings, case) -> int
        How often the session has to be run.
    signed : bool
        Whether the result is an attribution, whose values have a sign, and no image.
    needs_model : bool
        Whether a model takes part; if not, `workings` is None.
    """

    title: str
    function: str
    points: int
    make_cases: Callable[..., Iterator[Case]]
    compute_reference: Callable[[Workings, Case], np.ndarray]
    solve: Callable[..., Outcome]
    mistakes: tuple[Mistake, ...]
    tolerance: float
    cheap_parts: frozenset[str] | None = None
    count_runs: Callable[[Workings, Case], int] = lambda workings, case: 0
    subtract_input: bool = False
    signed: bool = False
    needs_model: bool = True


@dataclass(frozen=True)
class Verdict:
    """What is to be said about a learner's function.

    Attributes
    ----------
    task : Task
    passed : bool
    mistakes : tuple of str
        Names of what was recognised; empty if the answer is right, or wrong in an unknown way.
    explanation : str
        One or more sentences; empty if there is nothing to explain.
    remarks : tuple of str
        What is not wrong but could be better.
    result, expected : ndarray, optional
        The learner's output and the right one, if there is something to compare.
    """

    task: Task
    passed: bool
    mistakes: tuple[str, ...]
    explanation: str
    remarks: tuple[str, ...] = ()
    result: np.ndarray | None = None
    expected: np.ndarray | None = None

    @property
    def headline(self) -> str:
        """What was recognised, in a few words."""
        names = ", ".join(self.mistakes)
        return ("right" + (f" ({names})" if names else "")) if self.passed else names


def judge(
    task: Task, cases: Iterable[Case], observe: Callable[[Case], Observation], workings: Workings | None
) -> Verdict:
    """Return what is to be said about a function that was observed.

    Parameters
    ----------
    task : Task
    cases : iterable of Case
        As the task's `make_cases` returned them.
    observe : function (case) -> Observation
        What the learner's function does with a case. Called for the first, and for others when needed.
    workings : Workings, optional
        The model with which the cases were observed, if the task needs one.
    """
    special = iter(cases)
    main = next(special)
    seen = observe(main)
    if seen.kind == "missing":
        return Verdict(task, False, ("missing",), seen.error)
    if seen.is_stub:
        return Verdict(task, False, ("not done yet",), f"{task.function} is still to be written.")
    expected = task.compute_reference(workings, main)
    remarks = _remarks_on_graph(main, seen)
    mistakes, explanation, passed = _recognise(task, main, seen, workings, expected)
    if passed:
        remarks += _remarks_on_runs(seen, task.count_runs(workings, main))
    elif not mistakes and (seen.error or (seen.result is not None and seen.result.shape != expected.shape)):
        mistakes, explanation = _find_restriction(task, main, seen, special, observe, workings)
    if not passed and not mistakes:
        mistakes, explanation = _describe(main, seen, expected)
    return Verdict(task, passed, mistakes, explanation, remarks, seen.result, expected)


def find_mistakes(task: Task, case: Case, seen: Observation, workings: Workings) -> tuple[Mistake, ...]:
    """Return the known mistake, or the two made at once, that explain what was seen; if none does, none.

    If several do within the tolerance, it is the one that comes nearest.
    """
    for number in (1, 2):
        nearest, found = task.tolerance, ()
        for mistakes in itertools.combinations(task.mistakes, number):
            for changes in itertools.product(*(mistake.changes for mistake in mistakes)):
                if not _can_combine(changes, task.cheap_parts):
                    continue
                parts = dict(itertools.chain.from_iterable(change.items() for change in changes))
                try:
                    with np.errstate(all="ignore"):  # mistakes may divide by zero
                        outcome = task.solve(workings, case, **parts)
                except ValueError:  # two mistakes may make arrays that do not fit together
                    continue
                mismatch = measure_mismatch(task, case, outcome, seen)
                if mismatch <= nearest:
                    nearest, found = mismatch, mistakes
        if found:
            return found
    return ()


def measure_mismatch(task: Task, case: Case, outcome: Outcome, seen: Observation) -> float:
    """Return the largest `distance` of an outcome from what was seen: the result, the images it showed."""
    steps = zip(outcome.fed, seen.fed, strict=False)
    mismatches = [distance(task, case, theirs, ours) for ours, theirs in steps]
    if outcome.result is not None:
        mismatches.append(distance(task, case, seen.result, outcome.result))
    elif seen.num_fed < len(outcome.fed):
        return np.inf
    return max(mismatches)


def is_same(task: Task, case: Case, result: np.ndarray, expected: np.ndarray) -> bool:
    """Tell whether two outputs are the same up to the task's tolerance."""
    return distance(task, case, result, expected) <= task.tolerance


def distance(task: Task, case: Case, result: np.ndarray, expected: np.ndarray) -> float:
    """Return ``||result - expected||_2``, relative to `expected` or, if smaller, to its change of the input.

    Infinity if shapes or the places of NaN differ.
    """
    finite = np.isfinite(expected)
    if result.shape != expected.shape or not np.array_equal(np.isfinite(result), finite):
        return np.inf
    with np.errstate(over="ignore"):  # wrong numbers may be huge
        difference = _norm(result[finite].astype(np.float64) - expected[finite])
    scale = _norm(expected[finite])
    if task.subtract_input and expected.size == case.arguments[0].size:
        change = expected - case.arguments[0].reshape(expected.shape)
        scale = min(scale, _norm(change[finite]))
    if scale == 0:
        return 0.0 if difference == 0 else np.inf
    return float(difference / scale)


def _norm(values: np.ndarray) -> float:
    """Return the Euclidean norm; for hundreds of images NumPy's own spends its time on starting threads."""
    return float(np.sqrt(np.square(values, dtype=np.float64).sum()))


def _can_combine(changes: Sequence[Mapping[str, Any]], cheap_parts: frozenset[str] | None) -> bool:
    """Tell whether mistakes can be made together, and whether that is cheap to find out."""
    parts = [part for change in changes for part in change]
    are_different = len(parts) == len(set(parts))
    return are_different and (cheap_parts is None or len(set(parts) - cheap_parts) <= 1)


def _recognise(
    task: Task, case: Case, seen: Observation, workings: Workings, expected: np.ndarray
) -> tuple[tuple[str, ...], str, bool]:
    """Return the known mistakes' names, the explanation, and whether the answer counts as right."""
    if seen.kind == "numbers":
        return ("returns numbers",), _RETURNS_NUMBERS, False
    if seen.kind == "Tensor" and not case.on_tensors:
        return ("returns a Tensor",), _RETURNS_TENSOR, False
    if seen.result is None:
        return (), "", False
    if not seen.repeatable:
        return ("not repeatable",), _NOT_REPEATABLE, False
    is_right = is_same(task, case, seen.result, expected)
    # Zeros have too many causes: other labels' scores may have no gradient.
    is_telling = not is_right and seen.result.any()
    found = find_mistakes(task, case, seen, workings) if is_telling else ()
    names = [mistake.name for mistake in found]
    explanations = [mistake.explanation for mistake in found]
    passed = is_right or (bool(found) and all(mistake.accepted for mistake in found))
    if seen.changed and (passed or found):
        names.append("changes its argument")
        explanations.append(_CHANGES_ARGUMENT)
        passed = False
    return tuple(names), " ".join(explanations), passed


def _find_restriction(
    task: Task,
    main: Case,
    seen: Observation,
    special: Iterable[Case],
    observe: Callable[[Case], Observation],
    workings: Workings,
) -> tuple[tuple[str, ...], str]:
    """Return which inputs a function is restricted to that is right for these alone, and the explanation."""
    for case in special:
        result = observe(case).result
        if result is not None and is_same(task, case, result, task.compute_reference(workings, case)):
            what = f"raised {seen.error}" if seen.error else f"is wrong, of shape {seen.result.shape}"
            return (f"works only for {case.name}",), (
                f"Your function is right for {case.name}, but for an input of shape "
                f"{main.arguments[0].shape} it {what}. Take every size from the arguments."
            )
    return (), ""


def _describe(case: Case, seen: Observation, expected: np.ndarray) -> tuple[tuple[str, ...], str]:
    """Return what can be said about an answer that no known mistake explains."""
    if seen.error:
        return ("raises an error",), f"Your function raised {seen.error}."
    if seen.kind == "NoneType":
        return ("returns nothing",), "Your function returned None. Does every way through it end in a return?"
    if seen.result is None:
        wanted = "a tensor" if case.on_tensors else "an array of numbers"
        return ("wrong type",), f"Your function returned a {seen.kind}; {wanted} is expected."
    if seen.result.shape != expected.shape:
        if case.on_tensors and expected.ndim == 1:
            return ("not a scalar",), _NOT_A_SCALAR
        what = f"results for {len(case.arguments)} inputs have" if case.on_tensors else "result has"
        return ("wrong shape",), f"Your {what} shape {seen.result.shape}; expected {expected.shape}."
    if not np.isfinite(seen.result).all():
        share = 1 - np.isfinite(seen.result).mean()
        return ("NaN",), (
            f"{share:.1%} of your numbers are NaN or infinite. Where is something divided by zero, or a "
            "logarithm taken of it?"
        )
    # Rounding leaves something of what cancels out: the sum of all softmax probabilities is always 1.
    if np.abs(seen.result).max() <= _ZERO * np.abs(expected).max():
        return ("all zero",), _ALL_ZERO
    numbers = describe_difference(seen.result, expected)
    if case.on_tensors and len(case.arguments) > 1:
        numbers += f" (The first index counts the {len(case.arguments)} inputs that were tried.)"
    return ("unknown mistake",), f"This is not right, and no known mistake. {numbers}"


def describe_difference(result: np.ndarray, expected: np.ndarray) -> str:
    """Return numbers about how two arrays of the same shape differ, as sentences."""
    with np.errstate(over="ignore", invalid="ignore"):
        return " ".join(_difference_sentences(result, expected))


def _difference_sentences(result: np.ndarray, expected: np.ndarray) -> list[str]:
    a, b = result.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    if expected.ndim == 0:
        return [f"Yours is {a[0]:.4g}, expected {b[0]:.4g}."]
    where = int(np.abs(a - b).argmax())
    index = ", ".join(str(int(i)) for i in np.unravel_index(where, expected.shape))
    sentences = [f"The largest difference is at [{index}]: yours {a[where]:.4g}, expected {b[where]:.4g}."]
    if a.std() > 0 and b.std() > 0:
        sentences.append(f"The correlation is {np.corrcoef(a, b)[0, 1]:.3f}.")
    if a.any() and b.any():
        sentences.append(f"Scaled to fit best, yours is {a @ b / (b @ b):.4g} times the expected.")
    opposite = float((a * b < 0).mean())
    if opposite:
        sentences.append(f"{opposite:.1%} of your numbers have the wrong sign.")
    return sentences


def _remarks_on_graph(case: Case, seen: Observation) -> tuple[str, ...]:
    if case.on_tensors:
        return _remarks_on_building(seen)
    if not seen.operations:
        return ()
    return (
        f"Each call added {seen.operations} operations to the graph, so each is slower than the last. Which "
        "of your lines build the graph, and which only run it?",
    )


def _remarks_on_building(seen: Observation) -> tuple[str, ...]:
    """Return remarks on the tensors that a function builds."""
    remarks = []
    if seen.operations:
        remarks.append(
            f"For an image with one row and one column more your function adds {seen.operations} operations "
            "more to the graph: it loops over pixels. Can a few operations work on the whole tensor at once?"
        )
    if seen.unsized_error:
        remarks.append(
            "Where height and width are not known while the graph is built, as those of model.image are not, "
            f"your function raises {seen.unsized_error}. Can it do without them, or take them from tf.shape?"
        )
    return tuple(remarks)


def _remarks_on_runs(seen: Observation, needed: int) -> tuple[str, ...]:
    if seen.runs <= needed:
        return ()
    return (
        f"A call ran the session {seen.runs} times; {needed} would do. One run can fetch several tensors, "
        "for all images at once.",
    )
