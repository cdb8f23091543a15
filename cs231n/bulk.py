"""Attribution of many images: computed in a stream, written in shards, resumed after whatever ended it.

A shard is a function of the source, the parameters and the weights alone, whoever computes it and when. That
is why a killed run can go on, why processes on several machines can share the work, and why the result is the
same to the last bit: batches always start where the shard starts, and each runs in one thread.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cs231n import __version__, session
from cs231n.attribution import METHODS, saliency_map
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import build_once, image_gradient, label_score, max_abs
from cs231n.image_sources import Batch, ImageSource, open_images
from cs231n.image_utils import preprocess_image
from cs231n.imagenet import class_names
from cs231n.paths import checkpoint_prefix
from cs231n.progress import hidden_progress, progress_bar
from cs231n.quiet_tensorflow import tf
from cs231n.session import DEFAULT_BATCH_SIZE, run_ahead
from cs231n.shards import (
    DTYPES,
    LABELS,
    Manifest,
    Maps,
    Part,
    begin,
    digest_of_entries,
    locked,
    pack_maps,
    skipped_entries,
    write_shard,
)
from cs231n.validation import check_positive_integer
from cs231n.weights import fingerprint, read_weights

SALIENCY = "saliency"
BULK_METHODS = (SALIENCY, *(name for name in METHODS if name != "gradient"))
"""What a run may compute; one value per pixel of the gradient is the saliency map."""


@dataclass(frozen=True)
class Job:
    """What to compute, from which images, to which folder. Worker processes are given this and no more.

    Attributes
    ----------
    source : str
        Images, as `image_sources.open_images` takes them.
    out : str
        The output's folder.
    method : str
        A name in `BULK_METHODS`. The methods have their default parameters.
    labels : {"given", "predicted"}
        Explain the source's label of each image, or the network's first choice. Of a source with labels,
        images that have none are skipped; with `strict` they are an error.
    dtype : {"float16", "float32"}
        Of the maps in the files; see `shards.pack_maps`.
    preprocessing, size, ground_truth, strict
        As for `open_images`.
    weights : str, optional
        As for `SqueezeNet`. Default: the installed weights.
    batch_size : int
        Images per run of the session.
    shard_size : int
        The source's entries per file.
    """

    source: str
    out: str
    method: str = SALIENCY
    labels: str = "given"
    dtype: str = "float16"
    preprocessing: str = "standard"
    size: int = 224
    ground_truth: str | None = None
    strict: bool = False
    weights: str | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    shard_size: int = 1000

    def __post_init__(self) -> None:
        for name, choices in (("method", BULK_METHODS), ("labels", LABELS), ("dtype", DTYPES)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(choices)}.")
        check_positive_integer(self.batch_size, "batch_size")
        check_positive_integer(self.shard_size, "shard_size")

    def with_absolute_paths(self) -> Job:
        """Return the job as a process in another folder can take it."""
        names = ("source", "out", "ground_truth", "weights")
        paths = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(self, **{name: os.path.abspath(path) for name, path in paths.items()})


def attribute(job: Job, *, resume: bool = False, dask: str | None = None) -> Maps:
    """Compute a map for each image of a source and write them in shards.

    Parameters
    ----------
    job : Job
    resume : bool
        Go on with what an earlier run of the same job left; damaged shards are computed again. A job that
        is finished needs nothing and is returned as it is.
    dask : str, optional
        The address of a Dask scheduler, or `local:N` for N processes on this machine; see `docs/cluster.md`.

    Returns
    -------
    Maps
        The output, to be read.

    Raises
    ------
    ValueError, FileNotFoundError
        If the job makes no sense, the output's folder holds something else, or has an unfinished output
        and `resume` is false.
    OSError
        If the folder is another run's, or a file can't be written. What is finished stays.
    ConnectionError
        If Dask's scheduler cannot be reached, or is lost.
    """
    job = job.with_absolute_paths()
    _check_out_is_elsewhere(job)
    with contextlib.ExitStack() as stack:
        if dask is not None:
            from cs231n import cluster  # only now, for Dask is an extra

            client = stack.enter_context(cluster.connect(dask))
        plan = Plan(job)
        manifest = plan.manifest
        stack.enter_context(locked(job.out))
        with progress_bar(manifest.num_entries, "image", "checking") as bar:
            shards = begin(job.out, manifest, resume, bar.update)
        if job.strict:
            _check_nothing_was_skipped(job.out, manifest, set(range(manifest.num_shards)) - set(shards))
        if shards:
            todo = sum(len(manifest.entries(shard)) for shard in shards)
            done = manifest.num_entries - todo
            bar = stack.enter_context(progress_bar(manifest.num_entries, "image", job.method, done))
            if dask is not None:
                cluster.write(client, job, manifest, shards, bar.update)
            else:
                computation = stack.enter_context(Computation(plan, session.num_callers()))
                computation.write(shards, bar.update)
        return Maps(job.out)


class Plan:
    """A job with its source open and its weights read, and the manifest that follows.

    Parameters
    ----------
    job : Job

    Attributes
    ----------
    job : Job
    source : ImageSource
    weights : dict of str to ndarray
    manifest : Manifest

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no such source, it lacks the labels to be explained, or there are no weights.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.source = open_images(
            job.source,
            preprocessing=job.preprocessing,
            size=job.size,
            ground_truth=job.ground_truth,
            strict=job.strict,
        )
        if job.labels == "given":
            _check_labels(self.source)
        self.weights = read_weights(checkpoint_prefix() if job.weights is None else job.weights)
        self.manifest = Manifest(
            method=job.method,
            parameters=_parameters(job.method),
            labels=job.labels,
            dtype=job.dtype,
            preprocessing=job.preprocessing,
            size=job.size,
            batch_size=job.batch_size,
            shard_size=job.shard_size,
            num_entries=len(self.source),
            ids=digest_of_entries(self.source.ids, self.source.labels),
            weights=fingerprint(self.weights),
            kit=__version__,
            tensorflow=importlib.metadata.version("tensorflow"),
            source=json.loads(json.dumps(self.source.description)),  # as it comes back from the manifest
        )


class _Work(NamedTuple):
    """A batch, and the shard that it belongs to."""

    shard: int
    batch: Batch


class Computation:
    """A network in a session of its own that writes a plan's shards: for a `with` statement, or to be closed.

    Parameters
    ----------
    plan : Plan
    num_threads : int
        How many operations run at once. Each of them runs in one thread, so that its rounding does not depend
        on how many there are.
    """

    def __init__(self, plan: Plan, num_threads: int) -> None:
        self.plan = plan
        graph = tf.Graph()
        config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=num_threads)
        self._sess = tf.Session(graph=graph, config=config)
        with graph.as_default():
            self._model = SqueezeNet(sess=self._sess)
        self._model.load(plan.weights)

    def write(self, shards: Iterable[int], advance: Callable[[int], object] = lambda entries: None) -> None:
        """Compute shards, in the order given, and write each when it is done; `session.callers` work on it.

        Parameters
        ----------
        shards : iterable of int
        advance : function, optional
            Called now and then with the number of the source's entries that are done since.
        """
        manifest, out = self.plan.manifest, self.plan.job.out

        def counted(results: Iterable[tuple[_Work, Part]]) -> Iterator[Part]:
            for _, part in results:
                yield part
                advance(len(part.ids) + len(part.skipped))

        # The callers go on with the next shard while this one is written.
        with contextlib.closing(run_ahead(self._compute, self._batches(shards))) as results:
            for shard, of_shard in itertools.groupby(results, key=lambda result: result[0].shard):
                write_shard(out, manifest, shard, counted(of_shard))

    def close(self) -> None:
        """Close the session."""
        self._sess.close()

    def __enter__(self) -> Computation:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _batches(self, shards: Iterable[int]) -> Iterator[_Work]:
        for shard in shards:
            entries = self.plan.manifest.entries(shard)
            for batch in self.plan.source.batches(self.plan.job.batch_size, entries.start, entries.stop):
                yield _Work(shard, batch)

    def _compute(self, work: _Work) -> Part:
        batch = work.batch
        if self.plan.job.labels == "given":
            batch = _without_unlabelled(batch)
        if not batch.ids:
            none = np.zeros(0, np.int32)
            return Part([], none, none, none, none, [], batch.skipped)
        # The batch is this caller's: what it calls neither shares it out again nor shows a bar for it.
        with session.callers(1), hidden_progress():
            maps, predictions, scores = self._attribute(preprocess_image(batch.images), batch.labels)
        packed = pack_maps(maps, self.plan.job.dtype)
        return Part(batch.ids, batch.labels, predictions, scores, *packed, batch.skipped)

    def _attribute(self, X: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each image's map, the network's first choice, and the score that was explained."""
        job, model = self.plan.job, self._model
        if job.method == SALIENCY:
            # All in one run. The labels are fed in either case, and looked at if they are to be explained.
            explained = label_score if job.labels == "given" else first_choice_score
            return image_gradient(
                model, explained, reduce=max_abs, outputs=[first_choice(model), explained(model)]
            )(X, labels, sess=self._sess, batch_size=len(X))
        scores = model.compute_scores(X, batch_size=len(X))
        predictions = scores.argmax(axis=1).astype(np.int32)
        y = labels if job.labels == "given" else predictions
        maps = saliency_map(METHODS[job.method](X, y, model, batch_size=len(X)))
        return maps, predictions, scores[np.arange(len(X)), y]


def first_choice(model: SqueezeNet) -> tf.Tensor:
    """Return the class with the highest score of each image, int32 of shape (N,)."""
    return build_once(
        model.graph,
        ("first choice", model),
        lambda: tf.argmax(model.classifier, axis=1, output_type=tf.int32),
    )


def first_choice_score(model: SqueezeNet) -> tf.Tensor:
    """Return the highest score of each image, shape (N,).

    It is computed once more from the class's own column, for a gradient through all of them takes longer.
    """
    return build_once(
        model.graph, ("first choice's score", model), lambda: model.score_of(first_choice(model))
    )


def _check_out_is_elsewhere(job: Job) -> None:
    """Raise ValueError with a sentence if the maps would lie among the images."""
    if Path(os.path.realpath(job.out)).is_relative_to(os.path.realpath(job.source)):
        raise ValueError(
            f"{job.out} lies in the folder of images, where a resumed run would take the maps for images; "
            "give a folder elsewhere."
        )


def _check_nothing_was_skipped(out: str, manifest: Manifest, finished: Iterable[int]) -> None:
    """Raise ValueError with a sentence if an earlier run, which was not strict, skipped images."""
    skipped = skipped_entries(out, manifest, sorted(finished))
    if skipped:
        raise ValueError(f"An earlier run skipped {len(skipped):,} of the images: {skipped[0][1]}")


def _check_labels(source: ImageSource) -> None:
    """Raise ValueError with a sentence if an image has no label, or labels are not the network's classes."""
    if source.class_names != class_names():
        raise ValueError(
            f"The images' labels are of {len(source.class_names)} classes of their own, not of the network's "
            "1000; explain the network's first choices with --labels predicted."
        )
    unknown = int((source.labels < 0).sum())
    if unknown == len(source) or (unknown and source.strict):
        raise ValueError(
            f"{unknown:,} of {len(source):,} images have no label; explain the network's first choices with "
            "--labels predicted."
        )


def _without_unlabelled(batch: Batch) -> Batch:
    """Return a batch in which images without a label are skipped: others among the validation set's, say."""
    has_label = batch.labels >= 0
    if has_label.all():
        return batch
    named = list(zip(batch.ids, has_label, strict=True))
    return Batch(
        [name for name, has_one in named if has_one],
        batch.images[has_label],
        batch.labels[has_label],
        batch.skipped + [(name, f"{name} has no label.") for name, has_one in named if not has_one],
    )


def _parameters(method: str) -> dict[str, object]:
    """Return a method's parameters with their defaults, and how its result becomes one value per pixel."""
    parameters = {"reduction": "max_abs"}
    if method != SALIENCY:
        for name, parameter in inspect.signature(METHODS[method]).parameters.items():
            if parameter.default is not parameter.empty and name not in ("sess", "batch_size"):
                parameters[name] = parameter.default
    return parameters
