"""Laws of the figures: what is drawn where, in which colours, with which words, and that nothing leaks."""

import gc
import io
import itertools
import os
import subprocess
import sys
import weakref

import matplotlib
import nbformat
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from nbclient import NotebookClient
from PIL import Image

from cs231n.plotting import (
    ColorScale,
    check_figure_path,
    image_grid,
    image_title,
    plot_lines,
    plot_methods,
    plot_overlay,
    plot_saliency,
    save_figure,
)

LONG_NAMES = [
    "American Staffordshire terrier, Staffordshire terrier, American pit bull terrier, pit bull terrier",
    "black and gold garden spider, Argiope aurantia",
    "Floccinaucinihilipilification of an unbreakable name",
    "cost in $ and in $, x_1^2",
    "soft-coated wheaten terrier",
    "jeep, landrover",
    "tench, Tinca tinca",
]


def photographs(n, height=224, width=224):
    """Return `n` raw images of noise."""
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def saliency(n, height=224, width=224):
    """Return `n` maps with the heavy tail that gradients have."""
    return np.random.default_rng(1).exponential(size=(n, height, width)).astype(np.float32) ** 3


def predictions(n):
    """Return `n` predictions with long names."""
    return [(name, p) for name, p in zip(LONG_NAMES[::-1], np.linspace(0, 1, len(LONG_NAMES)), strict=True)][
        :n
    ]


def rendered(fig, dpi=100):
    """Return the pixels of a figure, uint8 (H, W, 3), row 0 at the top."""
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=dpi)
    return np.asarray(Image.open(file).convert("RGB"))


def drawn_in(ax, canvas):
    """Return the part of the rendered figure that an axes covers."""
    box = ax.get_window_extent()
    x0, x1 = round(box.x0), round(box.x1)
    y0, y1 = round(canvas.shape[0] - box.y1), round(canvas.shape[0] - box.y0)
    return canvas[y0:y1, x0:x1]


# Pictures


@pytest.mark.parametrize("n", [3, 5])
def test_images_and_maps_are_shown_pixel_for_pixel(n):
    """At 100 dots per inch each pixel of the network's input is one dot, and its map's pixel is below it."""
    X, maps = photographs(n), saliency(n)
    fig = plot_saliency(X, maps, titles=["jeep"] * n)
    canvas = rendered(fig, dpi=100)
    shown = [drawn_in(ax, canvas) for ax in fig.axes]
    np.testing.assert_array_equal(shown[:n], X)
    np.testing.assert_array_equal(shown[n:], ColorScale().rgb(maps))
    for image, map in zip(fig.axes[:n], fig.axes[n:], strict=True):
        assert image.get_position().x0 == pytest.approx(map.get_position().x0)
        assert image.get_position().y0 > map.get_position().y1


@pytest.mark.parametrize("scale", [1, 2])
def test_a_saved_figure_blurs_no_pixel(tmp_path, scale):
    """At 100 dots per inch a file has the pixels of the images, at 200 each of them as four."""
    X = photographs(3)
    fig = image_grid([X])
    save_figure(fig, tmp_path / "grid.png", dpi=100 * scale)
    fig.set_dpi(100 * scale)
    canvas = np.asarray(Image.open(tmp_path / "grid.png").convert("RGB"))
    np.testing.assert_array_equal(
        drawn_in(fig.axes[1], canvas), X[1].repeat(scale, axis=0).repeat(scale, axis=1)
    )


def test_more_images_than_columns_go_to_further_rows():
    """Seven images in columns of three: images, maps, images, maps, image, map."""
    fig = plot_saliency(photographs(7, 40, 40), saliency(7, 40, 40), columns=3)
    tops = [round(ax.get_position().y1, 6) for ax in fig.axes]
    assert [len(list(row)) for _, row in itertools.groupby(tops)] == [3, 3, 3, 3, 1, 1]
    assert tops == sorted(tops, reverse=True)


def test_a_grid_puts_each_picture_in_its_place():
    """Rows go down, columns go right, None leaves a hole, and a row may be shorter."""
    colours = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[9, 9, 9], [0, 99, 0], [1, 2, 3]]])
    solid = [[np.broadcast_to(colour, (20, 20, 3)) for colour in row] for row in colours]
    rows = [[solid[0][0], None, solid[0][2]], [solid[1][0], solid[1][1]]]
    fig = image_grid(rows, row_labels=["first", "second"], column_titles=["a", "b", "c"])
    canvas = rendered(fig)
    assert len(fig.axes) == 4
    for ax, colour in zip(
        fig.axes, [colours[0, 0], colours[0, 2], colours[1, 0], colours[1, 1]], strict=True
    ):
        assert (drawn_in(ax, canvas) == colour).all()
    x = [ax.get_position().x0 for ax in fig.axes]
    assert x[0] == x[2] < x[3] < x[1]


def test_methods_stand_in_columns_beside_their_images():
    """Row i is image i and its map by each method; columns bear the methods' names, rows the classes'."""
    X, maps = photographs(2), {"gradient": saliency(2), "grad_cam": saliency(2)[::-1]}
    fig = plot_methods(X, maps, LONG_NAMES[-2:])
    pictures = [ax.get_images()[0].get_array() for ax in fig.axes]
    scale = ColorScale()
    for i in range(2):
        expected = [X[i], scale.rgb(maps["gradient"])[i], scale.rgb(maps["grad_cam"])[i]]
        for picture, one in zip(pictures[3 * i : 3 * i + 3], expected, strict=True):
            np.testing.assert_array_equal(picture, one)
    texts = {text.get_text() for text in fig.texts}
    assert {"image", "gradient", "grad cam", "jeep", "tench"} <= texts


def test_lines_have_names_and_differ_in_colour_or_dashes():
    """Each line is its numbers, gaps where they are NaN; no two of twelve look the same."""
    lines = {f"line_{i}": [i, np.nan, 1] for i in range(12)}
    fig = plot_lines(["a", "b", "c"], lines, x_label="stage", y_label="value", y_range=(0, 12))
    [ax] = fig.axes
    drawn = ax.get_lines()
    assert [line.get_label() for line in drawn] == [f"line {i}" for i in range(12)]
    np.testing.assert_array_equal(drawn[3].get_ydata(), [3, np.nan, 1])
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 12
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_ylim()) == ("stage", "value", (0, 12))


@pytest.mark.parametrize(("height", "width"), [(30, 60), (60, 30), (50, 50)])
def test_pictures_keep_their_ratio(height, width):
    """A picture is as much taller than wide on the canvas as in pixels."""
    (ax,) = image_grid([photographs(1, height, width)]).axes
    box = ax.get_window_extent()
    assert box.height / box.width == pytest.approx(height / width)


# Colours


def test_colours_are_the_colour_map_of_the_scaled_value():
    """The colour of a value v is the colour map's at v over the map's 99th percentile, at most 1."""
    maps = saliency(2)
    picture = ColorScale().rgb(maps)
    for map, colours in zip(maps.astype(float), picture, strict=True):
        share = np.minimum(map / np.sort(map.ravel())[int(0.99 * (map.size - 1))], 1)
        expected = matplotlib.colormaps["inferno"](share)[..., :3] * 255
        # The percentile lies between two neighbouring pixels, so a value at the edge of two of the
        # map's 256 colours may get the other one; neighbours differ by up to 5 of 255.
        assert np.abs(colours - expected).max() <= 6


def test_hot_on_request_and_signed_maps_diverge():
    """Another colour map can be named; of signed maps zero is the centre, and the signs differ in hue."""
    maps = np.float32([[[0, 0.5, 1, 1]]])
    assert ColorScale("hot", percentile=100).rgb(maps)[0, 0, 2].tolist() == [255, 255, 255]
    negative, zero, positive = ColorScale(signed=True, percentile=100).rgb(np.float32([[[-2, 0, 2]]]))[0, 0]
    assert np.ptp(zero.astype(int)) <= 3  # grey, as nearly as the colour map has it
    assert negative[2] > negative[0] + 50
    assert positive[0] > positive[2] + 50


def test_a_few_extreme_pixels_do_not_darken_the_rest():
    """Of the brightest hundredth of the pixels only the rank matters, not by how much they are brighter."""
    maps = saliency(1)
    extreme = maps.copy()
    extreme[maps >= np.percentile(maps, 99.5)] *= 1000
    np.testing.assert_array_equal(ColorScale().rgb(extreme), ColorScale().rgb(maps))
    assert not np.array_equal(ColorScale(percentile=100).rgb(extreme), ColorScale(percentile=100).rgb(maps))


def test_each_map_has_its_own_scale():
    """A map's picture depends neither on the unit of its values nor on the other maps."""
    maps = saliency(3, 30, 30) * np.float32([1, 64, 2**-20])[:, None, None]  # powers of two: exact
    together = ColorScale().rgb(maps)
    for i in range(3):
        np.testing.assert_array_equal(ColorScale().rgb(maps[i : i + 1] * 16)[0], together[i])


@pytest.mark.filterwarnings("error")
def test_flat_and_sparse_maps_have_pictures_too():
    """All zero is the colour of zero; of a map that is zero nearly everywhere the rest is bright."""
    zero = ColorScale().rgb(np.zeros((1, 30, 30)))
    assert len(np.unique(zero.reshape(-1, 3), axis=0)) == 1
    sparse = np.zeros((1, 30, 30))
    sparse[0, 3, 4] = 1e-20
    picture = ColorScale().rgb(sparse)
    brightest = np.asarray(matplotlib.colormaps["inferno"](1.0))[:3] * 255
    np.testing.assert_allclose(picture[0, 3, 4], brightest, atol=1)
    np.testing.assert_array_equal(
        np.delete(picture.reshape(-1, 3), 3 * 30 + 4, axis=0), zero.reshape(-1, 3)[1:]
    )


def test_an_overlay_lies_between_the_grey_image_and_the_map():
    """With alpha 0 it is the image without colour, with 1 the map's picture, between them the mixture."""
    X, maps = photographs(2, 40, 50), saliency(2, 40, 50)
    scale = ColorScale()
    grey, mixture, map = (scale.overlay(X, maps, alpha).astype(float) for alpha in (0, 0.25, 1))
    assert np.ptp(grey, axis=-1).max() == 0
    luma = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in X])
    np.testing.assert_allclose(grey[..., 0], luma, atol=1)  # Pillow rounds otherwise
    np.testing.assert_array_equal(map, scale.rgb(maps))
    np.testing.assert_allclose(mixture, 0.75 * grey + 0.25 * map, atol=1)  # each was rounded


def test_the_colour_bar_says_what_the_colours_mean():
    """The bar names the cap, and has a tip on each side where values beyond it are clipped."""
    X, maps = photographs(3, 30, 30), saliency(3, 30, 30)
    bars = {
        "relative to each map's 99 % quantile": plot_saliency(X, maps, colorbar=True),
        "relative to each map's maximum": plot_saliency(X, maps, colorbar=True, percentile=100),
        "relative to the 99.5 % quantile of each map's magnitude": plot_overlay(
            X, maps - 1, colorbar=True, signed=True, percentile=99.5
        ),
    }
    for label, fig in bars.items():
        assert fig.axes[-1].get_xlabel().replace("\n", " ") == label
    assert len(plot_saliency(X, maps).axes) == 6  # without a bar unless asked


# Words


@pytest.mark.parametrize(
    ("label", "prediction", "title"),
    [
        ("tench, Tinca tinca", ("goldfish, Carassius auratus", 0.976), "tench|predicted: goldfish, 98 %"),
        ("tench", None, "tench"),
        (None, ("goldfish", 0.5), "predicted: goldfish, 50 %"),
        (None, ("goldfish", np.float32(0.9999)), "predicted: goldfish, > 99 %"),
        (None, ("goldfish", 0.001), "predicted: goldfish, < 1 %"),
        (None, None, ""),
    ],
)
def test_titles_name_the_label_and_the_prediction(label, prediction, title):
    """The first synonym of each, and a probability that never claims certainty."""
    assert image_title(label, prediction).replace("\n", "|").replace("\N{NO-BREAK SPACE}", " ") == title


@pytest.mark.parametrize("n", [1, 2, 5, 7])
@pytest.mark.parametrize("size", [None, (6, 5), (20, 3.5)])
def test_texts_never_overlap(n, size):
    """However long the names and whatever the figure's size: no text meets another or leaves the figure."""
    fig = Figure(figsize=size) if size else None
    X, maps = photographs(n, 40, 40), saliency(n, 40, 40)
    fig = plot_saliency(X, maps, LONG_NAMES[:n], predictions(n), columns=7, colorbar=True, fig=fig)
    assert_texts_are_apart(fig)


def test_texts_of_a_grid_never_overlap():
    """Neither do labels of rows and titles of columns, in grids of many columns."""
    X = photographs(2, 40, 40)
    for columns in (1, 9):
        names = (LONG_NAMES * 2)[:columns]
        rows = [[X[0]] * columns, [X[1]] * columns]
        assert_texts_are_apart(
            image_grid(
                rows,
                row_labels=LONG_NAMES[:2],
                column_titles=names,
                titles=[names, []],
                colorbar=ColorScale(),
            )
        )


def assert_texts_are_apart(fig):
    """Assert that the words of a figure with a bar lie inside it, off the pictures and off each other."""
    renderer = FigureCanvasAgg(fig).get_renderer()
    fig.draw(renderer)
    *panels, bar = fig.axes
    texts = [*fig.texts, *(ax.title for ax in panels), *bar.get_xticklabels(), bar.xaxis.label]
    texts = [text for text in texts if text.get_text()]
    boxes = {text: text.get_window_extent(renderer) for text in texts}
    pictures = [ax.get_window_extent(renderer) for ax in fig.axes]
    for text, box in boxes.items():
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= fig.bbox.x1, text
        assert box.y1 <= fig.bbox.y1, text
        for picture in pictures:
            assert not box.padded(-1).overlaps(picture), text  # a dot for the rounding to whole dots
    for a, b in itertools.combinations(boxes, 2):
        assert not boxes[a].overlaps(boxes[b]), (a, b)


def test_long_words_end_in_an_ellipsis():
    """What does not fit in three lines is cut, and what stands between dollar signs is no formula."""
    fig = plot_saliency(
        photographs(3, 30, 30), saliency(3, 30, 30), ["x" * 200, "word " * 99, r"$\no formula$"]
    )
    words = [ax.get_title() for ax in fig.axes[:3]]
    assert words[0].endswith("…")
    assert words[1].count("\n") == 2
    assert words[1].endswith("…")
    assert words[2] == r"$\no formula$"
    rendered(fig)


# Figures


def test_the_callers_figure_is_drawn_in_and_given_back():
    """`fig` may be a figure of any size or a part of one; panels are as large as fits."""
    X, maps = photographs(5), saliency(5)
    fig = Figure(figsize=(7, 4))
    left, right = fig.subfigures(1, 2)
    assert plot_saliency(X, maps, fig=left) is left
    assert plot_overlay(X, maps, fig=right, columns=2) is right
    assert len(left.axes) == 10
    for part in (left, right):
        for ax in part.axes:
            box = ax.get_window_extent()
            assert part.bbox.x0 <= box.x0 < box.x1 <= part.bbox.x1
            assert part.bbox.y0 <= box.y0 < box.y1 <= part.bbox.y1
    # Between panels and around them there are 0.08 inches; their heights are rounded to 0.01.
    assert 5 * left.axes[0].get_window_extent().width + 6 * 8 == pytest.approx(left.bbox.width, abs=1)
    assert 3 * right.axes[0].get_window_extent().height + 4 * 8 == pytest.approx(right.bbox.height, abs=3)


def test_an_overlay_is_drawn_in_the_callers_axes():
    """`ax` is one axes, or as many as there are images, in any arrangement."""
    X, maps = photographs(4, 30, 30), saliency(4, 30, 30)
    fig = Figure()
    axes = fig.subplots(2, 2)
    assert plot_overlay(X, maps, LONG_NAMES[:4], ax=axes, colorbar=True) is fig
    for ax, picture in zip(axes.ravel(), ColorScale().overlay(X, maps), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), picture)
        assert ax.get_title()
    single = Figure()
    assert plot_overlay(X[:1], maps[:1], ax=single.add_subplot()) is single


def test_pyplot_knows_nothing_of_our_figures():
    """No figure is registered with pyplot, and a dropped one is freed."""
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    figures = [plot_saliency(photographs(1, 20, 20), saliency(1, 20, 20)) for _ in range(3)]
    references = [weakref.ref(fig) for fig in figures]
    assert plt.get_fignums() == before
    del figures
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


def test_no_display_is_needed(tmp_path):
    """Drawing and saving do without pyplot, whose window could not be opened."""
    program = (
        "import sys, numpy as np; from cs231n.plotting import *;"
        "fig = plot_overlay(np.zeros((1, 30, 30, 3), 'u1'), np.ones((1, 30, 30)), ['jeep'], colorbar=True);"
        "save_figure(fig, sys.argv[1]); print('matplotlib.pyplot' in sys.modules)"
    )
    environment = {**os.environ, "MPLBACKEND": "TkAgg"}
    environment.pop("DISPLAY", None)
    command = [sys.executable, "-c", program, str(tmp_path / "figure.png")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")
    assert (tmp_path / "figure.png").stat().st_size > 0


def test_a_notebook_shows_each_figure_once(tmp_path):
    """A cell's value is shown with and without pyplot, and `plt.show()` shows what is drawn in its figure."""
    setup = (
        "import numpy as np; from cs231n.plotting import plot_saliency;"
        "X, maps = np.zeros((2, 30, 30, 3), 'u1'), np.ones((2, 30, 30))"
    )
    cells = [
        setup,
        "plot_saliency(X, maps)",
        "import matplotlib.pyplot as plt\n%matplotlib inline",
        "plot_saliency(X, maps)",
        "plot_saliency(X, maps, fig=plt.figure())\nplt.show()",
        "for _ in range(2):\n    display(plot_saliency(X, maps))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": os.getcwd()}}).execute()
    shown = [sum("image/png" in output.get("data", {}) for output in cell.outputs) for cell in notebook.cells]
    assert shown == [0, 1, 0, 1, 1, 2]


# Files


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        (".png", b"\x89PNG"),
        (".pdf", b"%PDF"),
        (".svg", b"<?xml"),
        (".jpg", b"\xff\xd8"),
        (".JPEG", b"\xff\xd8"),
        (".webp", b"RIFF"),
    ],
)
def test_the_suffix_says_the_format(tmp_path, suffix, start):
    """A figure is saved in the format of its name, into folders made for it."""
    path = tmp_path / "new" / f"figure{suffix}"
    save_figure(image_grid([photographs(1, 20, 20)]), path)
    assert path.read_bytes().startswith(start)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("name", ["figure.doc", "figure", "figure.png.exe"])
def test_an_unknown_suffix_gets_a_sentence(tmp_path, name):
    """The sentence lists what can be written, and nothing is."""
    with pytest.raises(ValueError, match=r"can be saved as \.png, \.pdf"):
        check_figure_path(name)
    with pytest.raises(ValueError, match=r"can be saved as \.png, \.pdf"):
        save_figure(image_grid([photographs(1, 20, 20)]), tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    """When writing fails half way, the older file of that name stays as it was."""
    path = tmp_path / "figure.png"
    path.write_text("older")
    fig = image_grid([photographs(1, 20, 20)])

    def fail(file, **options):
        with open(file, "wb") as half:
            half.write(b"half")
        raise OSError("the cable was pulled")

    monkeypatch.setattr(fig, "savefig", fail)
    with pytest.raises(OSError, match="cable"):
        save_figure(fig, path)
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == ["figure.png"]
    with pytest.raises(OSError, match="Cannot write"):
        save_figure(image_grid([photographs(1, 20, 20)]), path / "figure.png")


# Bad input

X, MAPS = photographs(2, 8, 8), saliency(2, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((X / 255, MAPS), "holds floats; expected raw pixels"),
        ((X.astype(int), MAPS), "dtype int64"),
        ((X[0], MAPS), "add the batch axis"),
        ((X[:0], MAPS[:0]), "holds no pixels"),
        ((X[..., 0], MAPS), "channels last"),
        ((X, MAPS[:1]), "a map of each image"),
        ((X, MAPS[:, :4]), "a map of each image"),
        ((X, np.stack([MAPS] * 3, axis=-1)), "reduce the channels first"),
        ((X, MAPS[0]), "one map for each image"),
        ((X, np.where(MAPS > 1, np.nan, MAPS)), "NaN or infinity"),
        ((X, -MAPS), "pass signed=True"),
        ((X, MAPS > 1), "dtype bool"),
        ((X, "maps"), "not an array of numbers"),
        ((X, MAPS, ["one"]), "titles has 1 entries for 2 images"),
        ((X, MAPS, "ab"), "titles is one string"),
        ((X, MAPS, None, [("jeep", 0.5)]), "predictions has 1 entries"),
        ((X, MAPS, None, [("jeep", 0.5), ("jeep", 50)]), "expected a number from 0 to 1"),
        ((X, MAPS, None, [("jeep", 0.5), ("jeep", np.nan)]), "expected a number from 0 to 1"),
    ],
)
@pytest.mark.parametrize("plot", [plot_saliency, plot_overlay])
def test_bad_images_and_maps_get_a_sentence(plot, arguments, sentence):
    """Both figures check what they are given before they draw."""
    with pytest.raises(ValueError, match=sentence):
        plot(*arguments)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cmap": "hottest"}, "cmap is 'hottest'"),
        ({"percentile": 0}, "percentile is 0"),
        ({"percentile": 101}, "percentile is 101"),
        ({"percentile": float("nan")}, "percentile is nan"),
        ({"columns": 0}, "columns is 0"),
        ({"fig": Figure(figsize=(0.5, 0.5))}, "too small"),
    ],
)
@pytest.mark.parametrize("plot", [plot_saliency, plot_overlay])
def test_bad_options_get_a_sentence(plot, options, sentence):
    """An option that makes no sense says what would."""
    with pytest.raises(ValueError, match=sentence):
        plot(X, MAPS, ["jeep", "jeep"], **options)


def test_bad_overlays_get_a_sentence():
    """The strength is a share, and there is an axes for each image."""
    with pytest.raises(ValueError, match=r"alpha is 1\.5"):
        plot_overlay(X, MAPS, alpha=1.5)
    with pytest.raises(ValueError, match="ax has 3 entries for 2 images"):
        plot_overlay(X, MAPS, ax=Figure().subplots(1, 3))


@pytest.mark.parametrize(
    ("rows", "options", "sentence"),
    [
        ([], {}, "no pictures"),
        ([[], [None]], {}, "no pictures"),
        ([[X[0] / 255]], {}, r"rows\[0\]\[0\] holds floats"),
        ([[None, MAPS[0]]], {}, r"rows\[0\]\[1\] holds floats"),
        ([[X]], {}, "expected"),
        ([X], {"row_labels": ["a", "b"]}, "row_labels has 2 entries for 1 rows"),
        ([X], {"row_labels": "a"}, "row_labels is one string"),
        ([X], {"column_titles": ["a"]}, "column_titles has 1 entries for 2 columns"),
        ([X], {"titles": [["a"]]}, r"titles\[0\] has 1 entries for 2 pictures"),
        ([X], {"titles": ["ab"]}, r"titles\[0\] is one string"),
    ],
)
def test_bad_grids_get_a_sentence(rows, options, sentence):
    """A picture that is none is named by its place, and numbers must match."""
    with pytest.raises(ValueError, match=sentence):
        image_grid(rows, **options)


def test_arguments_are_not_changed():
    """Images and maps may be read-only."""
    frozen_X, frozen_maps = X.copy(), MAPS.copy()
    frozen_X.flags.writeable = frozen_maps.flags.writeable = False
    rendered(plot_saliency(frozen_X, frozen_maps))
    rendered(plot_overlay(frozen_X, frozen_maps))
