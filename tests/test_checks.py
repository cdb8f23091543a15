"""Checks: every known mistake is recognised as that mistake, and no right solution is called wrong."""

import itertools

import numpy as np
import pytest

from cs231n.checks import TASKS, class_visualization, fooling, saliency
from cs231n.checks.task import Workings, distance, judge, measure_mismatch
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.observation import Observation, observe
from tests import learners, oracle

SEED = 7
SIZES = [(47, 39), (53, 62)]
SIZED = [(task, size) for task in (saliency.TASK, fooling.TASK) for size in SIZES]
SIZED.append((class_visualization.TASK, None))  # the notebook's function itself makes the image, of 224x224


def at_each_size(task, learners):
    """Return a parameter for each of a task's learners at each size."""
    return [
        pytest.param(*learner, task, size, id=f"{task.function}-{i}-{size}")
        for i, learner in enumerate(learners)
        for other, size in SIZED
        if other is task
    ]


RIGHT = [
    *at_each_size(saliency.TASK, [(function,) for function in learners.RIGHT_SALIENCY]),
    *at_each_size(fooling.TASK, [(function,) for function in learners.RIGHT_FOOLING]),
    *at_each_size(class_visualization.TASK, [(function,) for function in learners.RIGHT_VISUALIZATION]),
]
WRONG = [
    *at_each_size(saliency.TASK, learners.WRONG_SALIENCY),
    *at_each_size(fooling.TASK, learners.WRONG_FOOLING),
    *at_each_size(class_visualization.TASK, learners.WRONG_VISUALIZATION),
]


@pytest.fixture(scope="module")
def network():
    """Return a network in a graph of its own, in whose session the learners work."""
    with SqueezeNet.pretrained() as network, network.graph.as_default():
        learners.sess = network.sess
        yield network


@pytest.fixture(scope="module", params=["default weights", "random weights"])
def workings(request, network, weights):
    """Return the workings of the network with the default weights, then with random ones."""
    network.load(weights if request.param == "default weights" else oracle.random_weights(seed=1))
    return Workings(network)


def make_cases(task, size, workings, seed=SEED):
    """Return a task's cases with images of a size."""
    return task.make_cases(workings, seed) if size is None else task.make_cases(workings, seed, size=size)


def judge_at(size, task, function, workings):
    """Return the verdict on a function that is given images of a size."""

    def look(case):
        return observe(function, case.arguments, case.keywords, workings.model, case.seed)

    return judge(task, make_cases(task, size, workings), look, workings)


def compute_outcomes(task, case, workings):
    """Return the name and the outcome of each form of each mistake."""
    with np.errstate(all="ignore"):
        return [
            (mistake.name, task.solve(workings, case, **change))
            for mistake in task.mistakes
            for change in mistake.changes
        ]


def measure_difference(task, case, one, other):
    """Return the distance of two outcomes; of those that are followed no further only the steps are known."""
    if (one.result is None) != (other.result is None):
        return np.inf
    if other.result is None:
        return max(distance(task, case, b, a) for a, b in zip(one.fed, other.fed, strict=False))
    seen = Observation(other.result, fed=other.fed, num_fed=len(other.fed))
    return measure_mismatch(task, case, one, seen)


@pytest.mark.parametrize(("function", "task", "size"), RIGHT)
def test_right_solutions_are_called_right(workings, function, task, size):
    """However it is written, a right solution passes."""
    verdict = judge_at(size, task, function, workings)
    assert verdict.passed, verdict.explanation
    assert verdict.mistakes == ()


@pytest.mark.parametrize(("name", "function", "task", "size"), WRONG)
def test_each_mistake_is_named(workings, name, function, task, size):
    """A wrong solution fails, and is told what was done."""
    verdict = judge_at(size, task, function, workings)
    assert not verdict.passed
    assert ", ".join(verdict.mistakes) == name
    assert verdict.explanation


def test_half_the_regulariser_is_accepted(workings):
    """What tf.nn.l2_loss computes passes, and the remark says that it is half."""
    verdict = judge_at(None, class_visualization.TASK, learners.ACCEPTED_VISUALIZATION, workings)
    assert verdict.passed
    assert verdict.mistakes == ("half the regulariser",)


def test_every_known_mistake_is_tried():
    """There is a learner for each known mistake that is not accepted."""
    tried = [learners.WRONG_SALIENCY, learners.WRONG_FOOLING, learners.WRONG_VISUALIZATION]
    for task, wrong in zip(TASKS, tried, strict=True):
        known = {mistake.name for mistake in task.mistakes if not mistake.accepted}
        assert known <= {name for name, _ in wrong}


@pytest.mark.parametrize(("task", "size"), SIZED)
@pytest.mark.parametrize("seed", range(2))
def test_known_mistakes_can_be_told_apart(workings, seed, task, size):
    """Each mistake is ten times farther from the right answer than right ones may be.

    And mistakes are a hundred times farther from each other than what rounding makes, 1e-6. Forms of a
    mistake that change nothing for this input, as stopping after seven steps where five are enough, are none.
    """
    case = next(make_cases(task, size, workings, seed))
    right = task.solve(workings, case)
    wrong = [
        (name, outcome)
        for name, outcome in compute_outcomes(task, case, workings)
        if measure_difference(task, case, outcome, right) > 10 * task.tolerance
    ]
    assert {name for name, _ in wrong} == {mistake.name for mistake in task.mistakes}
    for (one, a), (other, b) in itertools.permutations(wrong, 2):
        if one != other:
            assert measure_difference(task, case, a, b) > 1e-4, (one, other)


@pytest.mark.parametrize(("task", "size"), SIZED)
def test_unchanged_parts_give_the_reference(workings, task, size):
    """The chain of parts that mistakes are put into is the kit's own function when none is."""
    case = next(make_cases(task, size, workings))
    reference = task.compute_reference(workings, case)
    # Twenty times what float32's rounding makes of it.
    assert distance(task, case, task.solve(workings, case).result, reference) < 1e-5
