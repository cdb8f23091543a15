"""Laws of reading, scaling and preprocessing images."""

import io
import struct
import warnings
import zlib

import loopback
import numpy as np
import pytest
from PIL import Image

from cs231n import image_utils
from cs231n.image_utils import (
    blur_image,
    center_crop_square,
    deprocess_image,
    image_from_url,
    load_image,
    preprocess_image,
    read_rgb,
    resize,
    resize_shorter_side,
    square_image,
)

LOSSLESS = {"png": {}, "tiff": {}, "bmp": {}, "webp": {"lossless": True}}
ALL_FORMATS = {**LOSSLESS, "gif": {}, "jpeg": {"quality": 95, "subsampling": 0}}


@pytest.fixture
def blocks():
    """Return an image without symmetry, of 8x8 blocks of one colour each, which JPEG keeps closely."""
    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return colours.repeat(8, axis=0).repeat(8, axis=1)


def encode(image, format, **options):
    """Return the bytes of a file of `image`, an array or a Pillow image."""
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    file = io.BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def png(width, height, bits, colour_type, rows):
    """Return a PNG file made by hand; `rows` are its bytes, without the filter byte before each row."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff_16_bit_rgb(pixels):
    """Return a little-endian, uncompressed TIFF file made by hand of uint16 pixels (H, W, 3)."""
    height, width = pixels.shape[:2]
    data = pixels.astype("<u2").tobytes()
    short, long, at = 3, 4, 8 + 2 + 9 * 12 + 4
    tags = [
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, 3, at),  # bits per sample, too long to stand in the tag itself
        (259, short, 1, 1),
        (262, short, 1, 2),
        (273, long, 1, at + 6),
        (277, short, 1, 3),
        (278, long, 1, height),
        (279, long, 1, len(data)),
    ]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + struct.pack("<HHH", 16, 16, 16) + data


# Preprocessing


def test_preprocessing_is_the_formula():
    """Preprocessed is (raw/255 - mean)/std, per channel."""
    raw = np.random.default_rng(1).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    for c, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        # 2.8 is the largest value and float32 keeps 24 bits of it.
        np.testing.assert_allclose(preprocess_image(raw)[..., c], (raw[..., c] / 255 - mean) / std, atol=1e-6)
    assert preprocess_image(raw).dtype == np.float32


def test_deprocessing_undoes_preprocessing():
    """Preprocess, then deprocess, is the identity on all 256 levels of each channel."""
    raw = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, axis=-1)
    np.testing.assert_array_equal(deprocess_image(preprocess_image(raw)), raw)
    np.testing.assert_array_equal(deprocess_image(preprocess_image(raw).astype(np.float64)), raw)


def test_raw_floats_are_preprocessed_like_bytes():
    """The dtype of raw pixels does not matter, only their value."""
    raw = np.random.default_rng(2).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(preprocess_image(raw.astype(np.float64)), preprocess_image(raw))
    np.testing.assert_array_equal(preprocess_image(raw.astype(np.int64)), preprocess_image(raw))


def test_deprocessing_clips():
    """Values outside the range of pixels become black or white."""
    assert (deprocess_image(np.full((2, 2, 3), -9.0)) == 0).all()
    assert (deprocess_image(np.full((2, 2, 3), 9.0)) == 255).all()


def test_rescaling_fills_the_range_of_each_image():
    """With rescale, each image's least pixel is 0 and its greatest 255, and the order of pixels stays."""
    X = np.random.default_rng(3).normal(0, [[[[0.1]]], [[[50]]]], (2, 6, 6, 3))
    stretched = deprocess_image(X, rescale=True)
    assert stretched.min(axis=(1, 2, 3)).tolist() == [0, 0]
    assert stretched.max(axis=(1, 2, 3)).tolist() == [255, 255]
    for one, of_batch in zip(X, stretched, strict=True):
        np.testing.assert_array_equal(deprocess_image(one, rescale=True), of_batch)
        assert (np.diff(of_batch[..., 0].ravel()[np.argsort(one[..., 0], axis=None)].astype(int)) >= 0).all()


def test_rescaling_leaves_a_flat_image_alone():
    """An image that is the same everywhere has no range to stretch."""
    raw = np.full((3, 3, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(deprocess_image(preprocess_image(raw), rescale=True), raw)


@pytest.mark.parametrize("rescale", [False, True])
def test_the_argument_is_not_changed(rescale):
    """Neither direction writes to its argument."""
    raw = np.random.default_rng(4).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    raw.flags.writeable = False
    X = preprocess_image(raw)
    X.flags.writeable = False
    deprocess_image(X, rescale=rescale)


@pytest.mark.parametrize(
    ("img", "sentence"),
    [
        (np.zeros((8, 8)), "channels last"),
        (np.zeros((3, 8, 8)), "channels last"),
        (np.zeros((0, 0, 3)), "channels last"),
        (np.full((8, 8, 3), np.nan), "from 0 to 255"),
        (np.full((8, 8, 3), -0.5), "preprocessed already"),
        (np.full((8, 8, 3), 256), "from 0 to 255"),
        (np.full((8, 8, 3), 0.5), "multiply by 255"),
        (np.zeros((8, 8, 3), dtype=bool), "dtype bool"),
        ("cat.jpg", "not an array"),
        ([[1, 2], [3]], "rows of unequal length"),
    ],
)
def test_what_is_no_raw_image_is_not_preprocessed(img, sentence):
    """What can't be raw pixels gets a sentence, not a wrong result."""
    with pytest.raises(ValueError, match=sentence):
        preprocess_image(img)


@pytest.mark.parametrize(
    ("img", "sentence"),
    [
        (np.zeros((8, 8, 3), dtype=np.uint8), "expected floats"),
        (np.zeros((8, 8)), "channels last"),
        (np.full((8, 8, 3), np.nan), "NaN or infinity"),
        (np.full((8, 8, 3), np.inf), "NaN or infinity"),
    ],
)
def test_what_is_not_preprocessed_is_not_deprocessed(img, sentence):
    """NaN would become an arbitrary pixel, and raw pixels would come out wrong."""
    with pytest.raises(ValueError, match=sentence):
        deprocess_image(img)


# Blur


def test_blur_of_an_impulse_is_a_gaussian():
    """One bright value becomes the product of two Gaussians, in its own image and channel only."""
    X = np.zeros((2, 31, 31, 3), dtype=np.float32)
    X[1, 15, 15, 2] = 1
    weights = np.exp(-0.5 * (np.arange(-8, 9) / 2.0) ** 2)  # cut off at four standard deviations
    weights /= weights.sum()
    expected = np.zeros_like(X)
    expected[1, 7:24, 7:24, 2] = np.outer(weights, weights)
    np.testing.assert_allclose(blur_image(X, sigma=2), expected, atol=1e-7)  # float32 of values under 0.04


def test_blur_keeps_the_mean_and_the_argument():
    """Blurring moves light about but neither adds nor removes any, at the borders too."""
    X = np.random.default_rng(5).normal(size=(2, 9, 12, 3)).astype(np.float32)
    X.flags.writeable = False
    blurred = blur_image(X)
    np.testing.assert_allclose(blurred.mean(axis=(1, 2)), X.mean(axis=(1, 2)), atol=1e-6)
    assert blurred.std() < X.std()
    assert blurred.dtype == np.float32


@pytest.mark.parametrize("sigma", [0, -1, np.nan, np.inf, "1"])
def test_blur_needs_a_positive_sigma(sigma):
    """A Gaussian has a positive standard deviation."""
    with pytest.raises(ValueError, match="sigma is"):
        blur_image(np.zeros((1, 4, 4, 3)), sigma=sigma)


# Sizes


@pytest.mark.parametrize(("height", "width"), [(10, 16), (16, 10), (11, 16), (7, 7)])
def test_the_crop_is_the_centred_square(height, width):
    """The crop is a square as large as the shorter side, with equal margins but for an odd pixel."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    crop = center_crop_square(np.stack([rows, columns, rows], axis=-1))
    side = min(height, width)
    assert crop.shape == (side, side, 3)
    assert crop[0, 0, 0] + crop[-1, -1, 0] in (height - 1, height - 2)
    assert crop[0, 0, 1] + crop[-1, -1, 1] in (width - 1, width - 2)


def test_shrinking_does_not_alias():
    """A checkerboard too fine for the smaller image becomes grey, not another pattern."""
    checkerboard = (np.indices((120, 120)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = resize(np.stack([checkerboard] * 3, axis=-1), 17, 17)
    assert np.ptp(small.astype(int)) <= 6  # the kernel's ripple, of 255
    assert abs(small.mean() - 127.5) < 2


def test_resizing_to_the_same_size_is_the_identity(blocks):
    """Nothing to scale, nothing changed; and the result is no view of the argument."""
    same = resize(blocks, *blocks.shape[:2])
    np.testing.assert_array_equal(same, blocks)
    assert not np.shares_memory(same, blocks)


def test_a_network_input_is_square(blocks):
    """Every image becomes 224x224 unless told otherwise."""
    assert square_image(blocks).shape == (224, 224, 3)
    assert square_image(blocks, size=16).shape == (16, 16, 3)
    np.testing.assert_array_equal(square_image(blocks, size=32), center_crop_square(blocks))


@pytest.mark.parametrize(("height", "width"), [(60, 100), (100, 60), (60, 60), (61, 97)])
@pytest.mark.parametrize("size", [20, 60, 90])
def test_size_is_that_of_the_shorter_side(tmp_path, height, width, size):
    """Portrait and landscape alike: the shorter side gets `size`, the ratio stays to within a pixel."""
    Image.new("RGB", (width, height)).save(tmp_path / "image.png")
    scaled_height, scaled_width, _ = load_image(tmp_path / "image.png", size=size).shape
    assert min(scaled_height, scaled_width) == size
    assert abs(scaled_height * width - scaled_width * height) <= max(height, width) / 2


def test_portrait_is_landscape_turned(blocks):
    """Scaling commutes with swapping height and width."""
    landscape = resize_shorter_side(blocks, 20).astype(int)
    portrait = resize_shorter_side(blocks.transpose(1, 0, 2), 20).astype(int)
    assert np.abs(landscape - portrait.transpose(1, 0, 2)).max() <= 1  # rounded after each of the two passes


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "64"])
def test_sizes_are_whole_and_positive(blocks, size):
    """A size that is none gets a sentence."""
    for scale in (lambda: square_image(blocks, size), lambda: resize_shorter_side(blocks, size)):
        with pytest.raises(ValueError, match="expected a whole number"):
            scale()


def test_a_size_beyond_memory_is_refused():
    """A long thin image scaled by its shorter side must not fill the memory."""
    with pytest.raises(ValueError, match="megapixels"):
        resize_shorter_side(np.zeros((1, 5000, 3), dtype=np.uint8), 224)


# Files as people have them


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_files_are_read_exactly(tmp_path, blocks, format):
    """A path (of any kind) and an open file give the pixels that were written."""
    path = tmp_path / f"image.{format}"
    path.write_bytes(encode(blocks, format, **LOSSLESS[format]))
    np.testing.assert_array_equal(read_rgb(path), blocks)
    np.testing.assert_array_equal(read_rgb(str(path)), blocks)
    with open(path, "rb") as file:
        file.read(5)
        np.testing.assert_array_equal(read_rgb(file), blocks)
        assert not file.closed


def test_jpeg_and_gif_are_read_closely(blocks):
    """Blocks of one colour survive JPEG to within its rounding, and 24 colours fit GIF's palette."""
    jpeg = read_rgb(io.BytesIO(encode(blocks, "jpeg", **ALL_FORMATS["jpeg"]))).astype(int)
    assert np.abs(jpeg - blocks).max() <= 3  # quantisation of the blocks' mean in YCbCr
    paletted = Image.fromarray(blocks).quantize(32, Image.Quantize.FASTOCTREE)
    gif = read_rgb(io.BytesIO(encode(paletted, "gif")))
    np.testing.assert_array_equal(gif, np.asarray(paletted.convert("RGB")))


# How a camera stores a picture under each EXIF orientation, so that turning it as told gives A.
STORED = {
    1: lambda A: A,
    2: lambda A: A[:, ::-1],
    3: lambda A: A[::-1, ::-1],
    4: lambda A: A[::-1],
    5: lambda A: A.transpose(1, 0, 2),
    6: lambda A: np.rot90(A, 1),
    7: lambda A: np.rot90(A, 2).transpose(1, 0, 2),
    8: lambda A: np.rot90(A, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "webp"])
def test_exif_rotation_is_undone(blocks, format, orientation):
    """A photograph stored rotated, with the EXIF tag that says so, equals the upright one."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](blocks))
    rotated = read_rgb(io.BytesIO(encode(stored, format, exif=exif, **ALL_FORMATS[format])))
    upright = read_rgb(io.BytesIO(encode(blocks, format, **ALL_FORMATS[format])))
    np.testing.assert_array_equal(rotated, upright)


def test_broken_exif_does_not_spoil_the_picture(blocks):
    """EXIF data that can't be read says nothing about the rotation; the pixels are there all the same."""
    exif = b"Exif\0\0MM\0\x2a\xff\xff\xff\xff no directory here"
    file = encode(blocks, "jpeg", exif=exif, **ALL_FORMATS["jpeg"])
    np.testing.assert_array_equal(
        read_rgb(io.BytesIO(file)), read_rgb(io.BytesIO(encode(blocks, "jpeg", **ALL_FORMATS["jpeg"])))
    )


def test_grey_has_three_equal_channels():
    """Grey of 8 bits, and of 1 bit, becomes RGB with equal channels."""
    grey = np.random.default_rng(6).integers(0, 256, (9, 11), dtype=np.uint8)
    np.testing.assert_array_equal(read_rgb(io.BytesIO(encode(grey, "png"))), np.stack([grey] * 3, axis=-1))
    black_and_white = np.where(grey > 127, 255, 0).astype(np.uint8)
    one_bit = Image.fromarray(black_and_white).convert("1", dither=Image.Dither.NONE)
    for format in ("png", "tiff", "bmp"):
        np.testing.assert_array_equal(read_rgb(io.BytesIO(encode(one_bit, format)))[..., 1], black_and_white)


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_16_bit_grey_is_scaled_not_clipped(format):
    """16-bit grey equals the 8-bit grey that it is 257 times of."""
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    file = encode(Image.fromarray(grey.astype(np.uint16) * 257), format)
    np.testing.assert_array_equal(read_rgb(io.BytesIO(file))[..., 0], grey)


def test_16_bit_colour_is_scaled_not_clipped(blocks):
    """16-bit RGB equals the 8-bit RGB that it is 257 times of, in PNG and TIFF."""
    wide = blocks.astype(np.uint16) * 257
    rows = [row.astype(">u2").tobytes() for row in wide]
    np.testing.assert_array_equal(read_rgb(io.BytesIO(png(48, 32, 16, 2, rows))), blocks)
    np.testing.assert_array_equal(read_rgb(io.BytesIO(tiff_16_bit_rgb(wide))), blocks)


def test_transparency_is_laid_on_white():
    """A pixel of alpha a is a parts its colour and 1 - a parts white, whatever hides under alpha 0."""
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0, :, 0] = 200
    rgba[0, :, 3] = 255, 102, 0
    expected = [[200, 0, 0], [233, 153, 153], [255, 255, 255]]  # 0.4 * colour + 0.6 * 255
    for format in ("png", "tiff"):
        assert read_rgb(io.BytesIO(encode(rgba, format)))[0].tolist() == expected
    grey_alpha = Image.fromarray(rgba[..., 0]).convert("LA")
    grey_alpha.putalpha(Image.fromarray(rgba[..., 3]))
    assert read_rgb(io.BytesIO(encode(grey_alpha, "png")))[0, :, 0].tolist() == [200, 233, 255]


@pytest.mark.parametrize("format", ["png", "gif"])
def test_a_palette_with_a_transparent_colour_is_laid_on_white(format):
    """The palette's colours come through, and its transparent entry is white, not its hidden colour."""
    paletted = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    paletted.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
    img = read_rgb(io.BytesIO(encode(paletted, format, transparency=2)))
    assert img[0].tolist() == [[255, 0, 0], [0, 255, 0], [255, 255, 255]]


def test_transparent_colour_of_an_rgb_png():
    """A PNG may name one RGB colour transparent instead of storing alpha."""
    img = read_rgb(io.BytesIO(encode(np.uint8([[[1, 2, 3], [9, 9, 9]]]), "png", transparency=(1, 2, 3))))
    assert img[0].tolist() == [[255, 255, 255], [9, 9, 9]]


@pytest.mark.parametrize("format", ["jpeg", "tiff"])
def test_cmyk_red_is_red(format):
    """No cyan, full magenta, full yellow, no black is red, in a file for print as well."""
    red = read_rgb(io.BytesIO(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), format)))
    assert np.abs(red.astype(int) - [255, 0, 0]).max() <= 2  # JPEG's rounding
    black = read_rgb(io.BytesIO(encode(Image.new("CMYK", (16, 16), (0, 0, 0, 255)), format)))
    assert black.max() <= 2


def test_ycck_red_is_red():
    """Adobe's YCCK JPEGs store the inverted ink amounts as luma and chroma; red is red there too."""
    # Red's ink is (0, 255, 255, 0). As RGB that is cyan, in YCbCr (179, 171, 1); no black is stored as 255.
    stored = (179, 171, 1, 255)
    # Pillow inverts what it writes, and marks it as plain CMYK (0), which we change to YCCK (2).
    file = encode(Image.new("CMYK", (16, 16), tuple(255 - value for value in stored)), "jpeg", quality=95)
    at = file.index(b"Adobe") + 11
    assert file[at] == 0
    red = read_rgb(io.BytesIO(file[:at] + b"\x02" + file[at + 1 :]))
    assert np.abs(red.astype(int) - [255, 0, 0]).max() <= 4  # rounding of the chroma, times 1.8


@pytest.mark.parametrize("format", ["gif", "tiff", "webp", "png", "mpo"])
def test_of_several_frames_the_first_is_read(format):
    """An animation, a document of pages and a phone's double picture give their first frame."""
    colours = ["white", "black", "red"]
    frames = [Image.new("RGB", (24, 16), colour) for colour in colours]
    img = read_rgb(io.BytesIO(encode(frames[0], format, save_all=True, append_images=frames[1:])))
    assert img.shape == (16, 24, 3)
    assert img.min() >= 254  # WebP's and JPEG's rounding


def test_an_image_from_the_web_is_the_file(blocks):
    """What an address gives, after redirects, is read like a file, and an error page is no image."""
    answers = {
        "/moved.png": loopback.redirect("/image.png"),
        "/image.png": loopback.data(encode(blocks, "png"), "image/png"),
        "/page.png": loopback.html(),
        "/text.png": loopback.data(b"no image at all"),
    }
    with loopback.serve(answers) as address:
        np.testing.assert_array_equal(image_from_url(f"{address}/moved.png"), blocks)
        with pytest.raises(ValueError, match=r"/page\.png sent a web page"):
            image_from_url(f"{address}/page.png")
        with pytest.raises(ValueError, match=r"/text\.png is not an image"):
            image_from_url(f"{address}/text.png")
        with pytest.raises(ConnectionError, match="404"):
            image_from_url(f"{address}/gone.png")


# Files that are none


def test_what_is_not_there_or_no_file(tmp_path):
    """A missing file, a folder, an impossible name and something that is no path each get a sentence."""
    with pytest.raises(FileNotFoundError, match=r"There is no file .*missing\.jpg; check"):
        read_rgb(tmp_path / "missing.jpg")
    with pytest.raises(IsADirectoryError, match="is a folder; expected an image"):
        read_rgb(tmp_path)
    with pytest.raises(OSError, match="can't be opened: file name too long"):
        read_rgb(tmp_path / ("x" * 300))
    with pytest.raises(ValueError, match="is a NoneType; expected a path"):
        read_rgb(None)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>301 Moved</body></html>", "is not an image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "is not an image"),
        (b"\xff\xd8\xff\xe0", "is not an image"),
        (b"\x89PNG\r\n\x1a\n", "is not an image"),
        (bytes(1000), "is not an image"),
    ],
)
def test_what_is_no_image_gets_one_sentence(tmp_path, content, sentence):
    """The sentence names the file, whatever the file calls itself."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"photo\.jpg {sentence}") as caught:
        read_rgb(path)
    assert str(caught.value).count("\n") == 0
    with pytest.raises(ValueError, match=sentence):
        read_rgb(io.BytesIO(content))


@pytest.mark.parametrize("format", ["ppm", "eps", "ico", "pcx"])
def test_other_formats_are_not_even_tried(blocks, format):
    """Pillow would read these files, through decoders that nobody here needs."""
    with pytest.raises(ValueError, match="expected a whole JPEG, PNG, GIF, BMP, TIFF or WEBP file"):
        read_rgb(io.BytesIO(encode(blocks, format)))


def test_32_bit_pixels_are_not_guessed_at():
    """Floats and 32-bit integers have no agreed range."""
    for dtype in (np.float32, np.int32):
        with pytest.raises(ValueError, match="save it with 8 or 16 bits"):
            read_rgb(io.BytesIO(encode(Image.fromarray(np.ones((4, 4), dtype=dtype)), "tiff")))


@pytest.mark.parametrize("format", ALL_FORMATS)
def test_a_cut_file_is_never_read_as_a_different_picture(blocks, format):
    """Every beginning of a file gives the whole picture (its last bytes may not matter) or ValueError."""
    file = encode(blocks, format, **ALL_FORMATS[format])
    whole = read_rgb(io.BytesIO(file))
    for length in range(0, len(file), 7):
        try:
            img = read_rgb(io.BytesIO(file[:length]))
        except ValueError:
            assert length < len(file) - 1
        else:
            np.testing.assert_array_equal(img, whole, err_msg=f"cut after {length} of {len(file)} bytes")
    with pytest.raises(ValueError, match="damaged"):
        read_rgb(io.BytesIO(file[: len(file) * 2 // 3]))


@pytest.mark.parametrize("format", ALL_FORMATS)
def test_damaged_files_raise_nothing_but_a_sentence(blocks, format):
    """Whatever bytes are changed, the result is an RGB image or ValueError, and no warning is printed."""
    rng = np.random.default_rng(7)
    file = np.frombuffer(encode(blocks, format, **ALL_FORMATS[format]), dtype=np.uint8)
    for _ in range(150):
        damaged = file.copy()
        at = rng.integers(0, min(len(file), rng.choice([40, len(file)])), size=3)
        damaged[at] = rng.integers(0, 256, size=3)
        try:
            img = read_rgb(io.BytesIO(damaged.tobytes()))
        except ValueError as error:
            assert str(error).startswith("The image ")  # noqa: PT017 (an error is allowed, not required)
        else:
            assert img.dtype == np.uint8
            assert img.shape[2:] == (3,)


@pytest.mark.parametrize("side", [8_001, 12_000, 60_000])
def test_a_bomb_is_refused_by_its_header(side):
    """A file that declares too many pixels is refused before its pixels are looked at.

    The pixels are missing, so decoding them would give another sentence: that the file is cut short.
    The larger sizes are beyond the limits at which Pillow itself warns, and refuses.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="more than 64 megapixels; scale it down"):
            read_rgb(io.BytesIO(png(side, side, 8, 2, rows=[])))
    with pytest.raises(ValueError, match="cut short"):
        read_rgb(io.BytesIO(png(100, 100, 8, 2, rows=[])))


def test_the_limit_counts_pixels(monkeypatch):
    """An image of exactly as many pixels as allowed is read, one of a row more is not."""
    monkeypatch.setattr(image_utils, "MAX_MEGAPIXELS", 0.0012)
    assert read_rgb(io.BytesIO(encode(Image.new("L", (30, 40)), "png"))).shape == (40, 30, 3)
    with pytest.raises(ValueError, match="30x41 pixels"):
        read_rgb(io.BytesIO(encode(Image.new("L", (30, 41)), "png")))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".PNG"])
def test_what_is_saved_is_read_again(tmp_path, suffix):
    """An image saved without loss is the same when it is read; missing folders are made."""
    img = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    image_utils.save_image(img, tmp_path / "new" / f"picture{suffix}")
    np.testing.assert_array_equal(read_rgb(tmp_path / "new" / f"picture{suffix}"), img)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_what_is_saved_with_loss_is_nearly_the_same(tmp_path, suffix):
    """A smooth image stays within 5 of 255 in JPEG and WEBP."""
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    img = np.repeat(ramp[..., None], 3, axis=2)
    image_utils.save_image(img, tmp_path / f"ramp{suffix}")
    assert np.abs(read_rgb(tmp_path / f"ramp{suffix}").astype(int) - img).max() <= 5


@pytest.mark.parametrize(
    ("img", "name", "sentence"),
    [
        (np.zeros((4, 4, 3), np.uint8), "picture.svg", r"the suffix .svg; an image can be saved as .png"),
        (np.zeros((4, 4, 3), np.uint8), "picture", r"no suffix"),
        (np.zeros((4, 4, 3), np.float32), "picture.png", r"dtype float32.*expected one raw image"),
        (np.zeros((2, 4, 4, 3), np.uint8), "picture.png", r"expected one raw image"),
    ],
)
def test_what_cannot_be_saved_leaves_no_file(tmp_path, img, name, sentence):
    """A wrong suffix or array is named, and nothing is written."""
    with pytest.raises(ValueError, match=sentence):
        image_utils.save_image(img, tmp_path / name)
    assert not list(tmp_path.iterdir())
