"""Checks: every known mistake is recognised as that mistake, and no right solution is called wrong."""

import itertools

import numpy as np
import pytest

from cs231n.checks import saliency
from cs231n.checks.task import Workings, distance, judge
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.observation import observe
from tests import learners, oracle

SEED = 7
SIZES = [(47, 39), (53, 62)]


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


def judge_at(size, task, function, workings):
    """Return the verdict on a function that is given images of a size."""
    return judge(
        task,
        task.make_cases(workings, SEED, size=size),
        lambda case: observe(function, case.arguments, case.keywords, workings.model, case.seed),
        workings,
    )


def compute_outputs(task, case, workings):
    """Return the name and the output of the right solution and of each form of each mistake."""
    outputs = [("right", task.solve(workings, case))]
    for mistake in task.mistakes:
        outputs += [(mistake.name, task.solve(workings, case, **change)) for change in mistake.changes]
    return outputs


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("function", learners.RIGHT_SALIENCY)
def test_right_saliency_maps_are_called_right(workings, function, size):
    """However it is written, a right solution passes."""
    verdict = judge_at(size, saliency.TASK, function, workings)
    assert verdict.passed, verdict.explanation
    assert verdict.mistakes == ()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "function"), learners.WRONG_SALIENCY)
def test_each_mistake_in_saliency_maps_is_named(workings, name, function, size):
    """A wrong solution fails, and is told what was done."""
    verdict = judge_at(size, saliency.TASK, function, workings)
    assert not verdict.passed
    assert ", ".join(verdict.mistakes) == name
    assert verdict.explanation


def test_every_known_mistake_is_tried():
    """There is a learner for each known mistake."""
    tried = {name for name, _ in learners.WRONG_SALIENCY}
    assert {mistake.name for mistake in saliency.TASK.mistakes} <= tried


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(2))
def test_known_mistakes_can_be_told_apart(workings, seed, size):
    """Outputs of different mistakes are ten times farther apart than what counts as the same."""
    task = saliency.TASK
    case = next(task.make_cases(workings, seed, size=size))
    for (one, a), (other, b) in itertools.combinations(compute_outputs(task, case, workings), 2):
        if one != other and a.shape == b.shape:
            difference, scale = np.linalg.norm(a - b), max(np.linalg.norm(a), np.linalg.norm(b))
            assert difference > 10 * task.tolerance * scale, (one, other)


@pytest.mark.parametrize("size", SIZES)
def test_unchanged_parts_give_the_reference(workings, size):
    """The chain of parts that mistakes are put into is the kit's own function when none is."""
    task = saliency.TASK
    case = next(task.make_cases(workings, SEED, size=size))
    reference = task.compute_reference(workings, case)
    # Twenty times what float32's rounding makes of noise images.
    assert distance(task, case, task.solve(workings, case), reference) < 1e-5
