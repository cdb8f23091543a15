"""Checks: every known mistake is recognised as that mistake, and no right solution is called wrong."""

import copy
import dataclasses
import functools
import itertools

import numpy as np
import pytest
from matplotlib import pyplot as plt

from cs231n.checks import (
    ASSIGNMENTS,
    check_class_visualization,
    check_saliency_maps,
    class_visualization,
    fooling,
    saliency,
)
from cs231n.checks.task import Workings, distance, judge, measure_mismatch
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.observation import Observation, observe
from cs231n.quiet_tensorflow import tf
from tests import learners, oracle

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others

SEED = 7
SIZES = [(47, 39), (53, 62)]
DEFAULT, RANDOM = "default weights", "random weights"
SETTINGS = [
    (weights, task, size)
    for weights, sizes in [(DEFAULT, SIZES), (RANDOM, SIZES[:1])]
    for task in (saliency.TASK, fooling.TASK)
    for size in sizes
]
# The notebook's function itself makes the image, of 224x224.
SETTINGS += [(weights, class_visualization.TASK, None) for weights in (DEFAULT, RANDOM)]
in_all_settings = pytest.mark.parametrize(
    ("workings", "task", "size"),
    [pytest.param(*setting, id=f"{setting[1].function}-{setting[0]}-{setting[2]}") for setting in SETTINGS],
    indirect=["workings"],
)


def in_each_setting(task, learners):
    """Return a parameter for each of a task's learners, with either weights and at two sizes.

    What no known mistake explains, or two together, is looked for in one setting alone: it takes longest.
    """
    settings = [setting for setting in SETTINGS if setting[1] is task]
    return [
        pytest.param(weights, task, size, *learner, id=f"{task.function}-{i}-{weights}-{size}")
        for i, learner in enumerate(learners)
        for weights, _, size in (settings[:1] if is_rare(learner[0]) else settings)
    ]


def is_rare(name):
    """Tell whether a learner's mistake is an unknown one, or two at once."""
    return isinstance(name, str) and (name == "unknown mistake" or ", " in name)


RIGHT = [
    *in_each_setting(saliency.TASK, [(function,) for function in learners.RIGHT_SALIENCY]),
    *in_each_setting(fooling.TASK, [(function,) for function in learners.RIGHT_FOOLING]),
    *in_each_setting(class_visualization.TASK, [(function,) for function in learners.RIGHT_VISUALIZATION]),
]
WRONG = [
    *in_each_setting(saliency.TASK, learners.WRONG_SALIENCY),
    *in_each_setting(fooling.TASK, learners.WRONG_FOOLING),
    *in_each_setting(class_visualization.TASK, learners.WRONG_VISUALIZATION),
]


@pytest.fixture(scope="module")
def network():
    """Return a network in a graph of its own, in whose session the learners work."""
    with SqueezeNet.pretrained() as network, network.graph.as_default():
        learners.sess = network.sess
        yield network


@pytest.fixture(scope="module")
def all_workings(network):
    """Return the workings of the network with either weights; they hold only while these are loaded."""
    return {DEFAULT: Workings(network), RANDOM: Workings(network)}


@pytest.fixture(scope="module")
def load(network, weights):
    """Return a function that loads either weights into the network, if others are in it."""
    known = {DEFAULT: weights, RANDOM: oracle.random_weights(seed=1)}
    loaded = []

    def load(asked):
        if loaded != [asked]:
            network.load(known[asked])
            loaded[:] = [asked]

    return load


@pytest.fixture
def workings(request, load, all_workings):
    """Return the workings of the network with the default weights, or with random ones if so asked."""
    asked = getattr(request, "param", DEFAULT)
    load(asked)
    return all_workings[asked]


def make_cases(task, size, workings, seed=SEED):
    """Return a task's cases with images of a size."""
    return task.make_cases(workings, seed) if size is None else task.make_cases(workings, seed, size=size)


def remember(function):
    """Return a function (workings, case, **parts) that computes each outcome once, for all learners."""
    known = {}

    def remembering(workings, case, **parts):
        # The objects themselves are kept, so that no other gets the identity of one.
        key = (id(case), *((name, id(part)) for name, part in sorted(parts.items())))
        if key not in known:
            known[key] = function(workings, case, **parts), case, parts
        return known[key][0]

    return remembering


@functools.cache
def prepare(function, size, workings, seed=SEED):
    """Return the task with a function's name, whose results are remembered, and its cases, to be copied."""
    (task,) = (task for tasks in ASSIGNMENTS.values() for task in tasks if task.function == function)
    solve, compute_reference = remember(task.solve), remember(task.compute_reference)
    (cases,) = itertools.tee(make_cases(task, size, workings, seed), 1)
    return dataclasses.replace(task, solve=solve, compute_reference=compute_reference), cases


def judge_at(size, task, function, workings):
    """Return the verdict on a function that is given images of a size."""

    def look(case):
        model = workings.model if workings else None
        return observe(function, case.arguments, case.keywords, model, case.seed, case.way)

    task, cases = prepare(task.function, size, workings)
    return judge(task, copy.copy(cases), look, workings)


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


def assert_mistakes_differ(task, case, workings):
    """Each mistake is ten times farther from the right answer than right ones may be.

    And mistakes are a hundred times farther from each other than what rounding makes, 1e-6. Forms of a
    mistake that change nothing for this input, as stopping after seven steps where five are enough, are none.
    """
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


@pytest.mark.parametrize(("workings", "task", "size", "function"), RIGHT, indirect=["workings"])
def test_right_solutions_are_called_right(workings, function, task, size):
    """However it is written, a right solution passes."""
    verdict = judge_at(size, task, function, workings)
    assert verdict.passed, verdict.explanation
    assert verdict.mistakes == ()


@pytest.mark.parametrize(("workings", "task", "size", "name", "function"), WRONG, indirect=["workings"])
def test_each_mistake_is_named(workings, name, function, task, size):
    """A wrong solution fails, and is told what was done."""
    verdict = judge_at(size, task, function, workings)
    assert not verdict.passed
    assert ", ".join(verdict.mistakes) == name
    assert verdict.explanation


@pytest.mark.parametrize("workings", [DEFAULT, RANDOM], indirect=True)
def test_half_the_regulariser_is_accepted(workings):
    """What tf.nn.l2_loss computes passes, and the remark says that it is half."""
    verdict = judge_at(None, class_visualization.TASK, learners.ACCEPTED_VISUALIZATION, workings)
    assert verdict.passed
    assert verdict.mistakes == ("half the regulariser",)


def test_every_known_mistake_is_tried():
    """There is a learner for each known mistake that is not accepted."""
    tried = [learners.WRONG_SALIENCY, learners.WRONG_FOOLING, learners.WRONG_VISUALIZATION]
    for task, wrong in zip(ASSIGNMENTS["NetworkVisualization"], tried, strict=True):
        known = {mistake.name for mistake in task.mistakes if not mistake.accepted}
        assert known <= {name for name, _ in wrong}


@pytest.mark.parametrize("workings", [RANDOM], indirect=True)
@pytest.mark.parametrize("seed", range(2))
def test_no_start_lets_right_visualisations_part(workings, seed):
    """Solutions that round differently stay together from whatever start: none is near a network's kink.

    Random weights have the most telling kinks: one in eight starts would let right solutions part.
    """
    task = class_visualization.TASK
    case = next(task.make_cases(workings, seed))
    reference = task.compute_reference(workings, case)
    for function in learners.RIGHT_VISUALIZATION:
        seen = observe(function, case.arguments, case.keywords, workings.model, case.seed)
        assert distance(task, case, seen.result, reference) < task.tolerance / 30


@in_all_settings
@pytest.mark.parametrize("seed", [SEED, 0])
def test_known_mistakes_can_be_told_apart(workings, seed, task, size):
    """Each mistake is far from the right answer and from each other one."""
    task, cases = prepare(task.function, size, workings, seed)
    assert_mistakes_differ(task, next(copy.copy(cases)), workings)


@in_all_settings
def test_unchanged_parts_give_the_reference(workings, task, size):
    """The chain of parts that mistakes are put into is the kit's own function when none is."""
    task, cases = prepare(task.function, size, workings)
    case = next(copy.copy(cases))
    reference = task.compute_reference(workings, case)
    # Twenty times what float32's rounding makes of it.
    assert distance(task, case, task.solve(workings, case).result, reference) < 1e-5


# --- What a check says besides, and to whom ---


@pytest.fixture
def learner_globals(random_model):
    """Return the globals of a notebook with a network in them."""
    model, _ = random_model
    return {"np": np, "tf": tf, "model": model, "sess": model.sess}


REBUILDS = """
def compute_saliency_maps(X, y, model):
    scores = tf.gather_nd(model.classifier, tf.stack([tf.range(len(X)), model.labels], axis=1))
    gradient = tf.gradients(scores, model.image)[0]
    return np.abs(sess.run(gradient, {model.image: X, model.labels: y})).max(axis=-1)
"""
RUNS_OFTEN = """
gradient = tf.gradients(model.classifier[0, model.labels[0]], model.image)[0]

def compute_saliency_maps(X, y, model):
    print("one by one")
    gradients = [sess.run(gradient, {model.image: X[i:i+1], model.labels: y[i:i+1]}) for i in range(len(X))]
    return np.abs(np.concatenate(gradients)).max(axis=-1)
"""


def test_learners_globals_are_used_as_they_are(learner_globals):
    """The check finds `model` and `sess` where the function itself does, and nothing has to be passed."""
    exec(REBUILDS, learner_globals)
    assert check_saliency_maps(learner_globals["compute_saliency_maps"]).passed


def test_growing_graph_gets_a_remark(learner_globals):
    """A function that builds the gradient in each call passes, and is told how many operations that adds."""
    exec(REBUILDS, learner_globals)
    function, model = learner_globals["compute_saliency_maps"], learner_globals["model"]
    report = check_saliency_maps(function)
    before = len(model.graph.get_operations())
    function(np.zeros((2, 31, 31, 3)), [1, 2], model)
    added = len(model.graph.get_operations()) - before
    assert report.verdict.remarks[0].startswith(f"Each call added {added} operations to the graph")


def test_many_runs_get_a_remark(learner_globals):
    """One run for each of four images is three too many; building the gradient once is not remarked upon."""
    exec(RUNS_OFTEN, learner_globals)
    report = check_saliency_maps(learner_globals["compute_saliency_maps"])
    assert report.passed
    (remark,) = report.verdict.remarks
    assert remark.startswith("A call ran the session 4 times; 1 would do.")


def test_check_leaves_no_trace(learner_globals, capsys):
    """What the function prints is held back, and NumPy's global generator goes on as if nothing had been."""
    exec(RUNS_OFTEN, learner_globals)
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.RandomState(3).rand()
    check_saliency_maps(learner_globals["compute_saliency_maps"])
    assert capsys.readouterr().out == ""
    assert np.random.rand() == expected  # noqa: NPY002


def test_pictures_of_a_visualisation_are_held_back(workings):
    """The figures that a function draws while it is checked are closed again."""
    before = plt.get_fignums()
    report = check_class_visualization(learners.RIGHT_VISUALIZATION[0], workings.model, workings.sess)
    assert report.passed
    assert plt.get_fignums() == before


def test_failed_check_is_shown_with_a_picture(workings):
    """A notebook gets the text, in words and not by colour alone, and a picture of three rows."""
    wrong = dict(learners.WRONG_SALIENCY)["no absolute value"]
    report = check_saliency_maps(wrong, workings.model, workings.sess)
    shown = report._repr_html_()
    assert "✗ compute_saliency_maps: no absolute value" in shown
    assert 'src="data:image/png;base64,' in shown
    assert "✗ compute_saliency_maps: no absolute value" in str(report)
    right = check_saliency_maps(learners.saliency_by_gather, workings.model, workings.sess)
    assert right.draw() is None
    assert "✓" in right._repr_html_()


def test_unknown_mistake_gets_numbers(workings):
    """Three times the right maps: the factor is 3, the correlation 1, the worst pixel the strongest one."""
    report = check_saliency_maps(
        learners.saliency_from(finish=lambda maps: 3 * maps), workings.model, workings.sess
    )
    assert "The correlation is 1.000." in report.verdict.explanation
    assert "yours is 3 times the expected" in report.verdict.explanation
    expected = report.verdict.expected
    strongest = ", ".join(map(str, np.unravel_index(expected.argmax(), expected.shape)))
    assert f"at [{strongest}]" in report.verdict.explanation


def test_text_of_a_learner_is_no_html(learner_globals):
    """What an error message holds is shown, not obeyed."""
    exec("def compute_saliency_maps(X, y, model):\n    raise ValueError('<script>')", learner_globals)
    shown = check_saliency_maps(learner_globals["compute_saliency_maps"])._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (np.zeros(3), r"takes the function itself and got ndarray"),
        (lambda X, y, model: X, r"There is no global `model`; run the cell that loads it"),
    ],
)
def test_misuse_gets_a_sentence(function, sentence):
    """A result in place of the function, and a function without a model, are refused in one sentence."""
    with pytest.raises(ValueError, match=sentence):
        check_saliency_maps(function)
