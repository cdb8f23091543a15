"""Images: from files as people have them to raw pixels, from raw pixels to the network's input, and back."""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter1d, zoom

from cs231n.downloads import download_url
from cs231n.paths import reason_of, whole_file
from cs231n.validation import as_array, check_images, check_positive_integer, check_positive_number

SQUEEZENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
"""Mean of ImageNet's pixels, per channel (R, G, B), on the scale from 0 to 1."""
SQUEEZENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
"""Standard deviation of ImageNet's pixels, per channel (R, G, B), on the scale from 0 to 1."""

MAX_MEGAPIXELS = 64
"""Largest image that is decoded: most photographs are smaller, and decoding takes up to 1.5 GB of memory."""

PREPROCESSINGS = {
    "standard": "shorter side scaled to 256/224 of the size, centre crop; bilinear with antialiasing",
    "resize": "scaled to a square without regard to its ratio; bicubic with antialiasing",
}
"""How an image becomes as large as the network's input. The first is how ImageNet is evaluated usually."""

# Pillow tries no other decoder: some are little used and little tested, and one starts Ghostscript.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")

_LARGE_PIXELS = 8_000_000
# Threads decode larger ones one at a time, lest a few of them fill the memory.
_large_image = threading.Lock()

_PILLOW_WARNINGS = ("ignore", None, Warning, re.compile(r"PIL\."), 0)

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif")


def preprocess_image(img: npt.ArrayLike) -> np.ndarray:
    """Return raw pixels as the network takes them: ``(img / 255 - mean) / std``, per channel.

    Parameters
    ----------
    img : array_like, shape (..., H, W, 3)
        One image or a batch, RGB, from 0 to 255: uint8, other whole numbers, or floats.

    Returns
    -------
    ndarray of float32, same shape

    Raises
    ------
    ValueError
        If `img` has another shape, or values that are no raw pixels (preprocessed already, 0 to 1, NaN).
    """
    img = _check_channels_last(img)
    if img.dtype != np.uint8:
        _check_pixel_range(img)
    # In place and row by row: NumPy is slow where the last axis has three entries.
    width = img.shape[-2]
    rows = img.astype(np.float32).reshape(*img.shape[:-2], 3 * width)
    rows /= 255
    rows -= np.tile(SQUEEZENET_MEAN, width)
    rows /= np.tile(SQUEEZENET_STD, width)
    return rows.reshape(img.shape)


def deprocess_image(img: npt.ArrayLike, rescale: bool = False) -> np.ndarray:
    """Return preprocessed pixels as raw ones: undo `preprocess_image`, clip to 0 ... 255 and round.

    The course's function cuts the fraction off instead of rounding, so that pixels get darker by one
    on the way there and back.

    Parameters
    ----------
    img : array_like of float, shape (..., H, W, 3)
        One image or a batch, as `preprocess_image` returns it. Not changed.
    rescale : bool
        Stretch each image so that its least value becomes 0 and its greatest 255. An image that is
        the same everywhere has nothing to stretch and is only clipped.

    Returns
    -------
    ndarray of uint8, same shape

    Raises
    ------
    ValueError
        If `img` has another shape, is raw already, or holds NaN or infinity.
    """
    img = _check_channels_last(img)
    if not np.issubdtype(img.dtype, np.floating):
        raise ValueError(f"img has dtype {img.dtype}; expected floats, as preprocess_image returns them.")
    if not np.isfinite(img).all():
        raise ValueError("img holds NaN or infinity; every value must be finite.")
    pixels = img * SQUEEZENET_STD + SQUEEZENET_MEAN
    if rescale:
        pixels = _stretch(pixels)
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def blur_image(X: npt.ArrayLike, sigma: float = 1) -> np.ndarray:
    """Return images blurred by a Gaussian along height and width; channels and images do not mix.

    This is the blur of the 2017 notebook's class visualisation. The course's module had another one
    of this name, a fixed 3x3 kernel on channels-first images.

    Parameters
    ----------
    X : array_like of float, shape (N, H, W, 3)
        Preprocessed images. Not changed.
    sigma : float
        Standard deviation of the Gaussian, in pixels, above 0.

    Returns
    -------
    ndarray of float32, shape (N, H, W, 3)

    Raises
    ------
    ValueError
        If `X` is no batch of preprocessed images, or `sigma` is not a positive number.
    """
    X = check_images(X, min_size=1)
    sigma = check_positive_number(sigma, "sigma")
    return gaussian_filter1d(gaussian_filter1d(X, sigma, axis=1), sigma, axis=2)


def upsample_maps(maps: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return maps enlarged to the size of their images, bilinearly.

    A map's positions are taken for the centres of equal tiles that cover the image; beyond the outermost
    centres the values stay the same.

    Parameters
    ----------
    maps : ndarray of float, shape (N, h, w)
        Or any number of axes after the first.
    size : tuple of int
        (H, W) of the result.

    Returns
    -------
    ndarray, shape (N, H, W)
    """
    factors = [new / old for new, old in zip(size, maps.shape[1:], strict=True)]
    return zoom(maps, (1, *factors), order=1, mode="nearest", grid_mode=True)


def load_image(filename: str | os.PathLike, size: int | None = None) -> np.ndarray:
    """Read an image file, and scale its shorter side to `size` pixels where that is given.

    Parameters
    ----------
    filename : path
        See `read_rgb` for what is read and how.
    size : int, optional
        Length of the shorter side, be it height or width; the longer one keeps the ratio.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    ValueError, OSError
        As `read_rgb`, and if `size` is no positive whole number.
    """
    img = read_rgb(filename)
    return img if size is None else resize_shorter_side(img, size)


def image_from_url(url: str) -> np.ndarray:
    """Download an image and read it as `read_rgb` does.

    Parameters
    ----------
    url : str
        Address, http or https.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    ConnectionError, ValueError
        If the download fails (see `cs231n.downloads.download_url`), or what came is no image. The
        course's function prints the reason and returns None instead.
    """
    return _decode(io.BytesIO(download_url(url)), url)


def read_rgb(file: str | os.PathLike | BinaryIO) -> np.ndarray:
    """Read an image file (JPEG, PNG, GIF, BMP, TIFF or WEBP) as 8-bit RGB, the right way up.

    A photograph that its EXIF data calls rotated is turned upright; grey, palette, 1-bit and CMYK
    images become RGB; transparent ones are laid on white; 16 bits per channel are scaled to 8; of
    several frames or pages the first is taken. Colour profiles are not applied: the network was
    trained on pixels as they are stored.

    Parameters
    ----------
    file : path or binary file
        An open file must be seekable; it is read from its start and left open.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    FileNotFoundError, OSError
        If there is no such file, it is a folder, or it can't be opened.
    ValueError
        If the file is empty, no image of these formats, damaged, or larger than `MAX_MEGAPIXELS`.
    """
    if hasattr(file, "read"):
        return _decode(file, str(getattr(file, "name", "The image")))
    if not isinstance(file, str | os.PathLike):
        raise ValueError(f"The image is a {type(file).__name__}; expected a path or an open binary file.")
    with _open(Path(file), str(file)) as stream:
        return _decode(stream, str(file))


def read_prepared(
    file: str | os.PathLike, size: int = 224, preprocessing: str = "standard", name: str | None = None
) -> np.ndarray:
    """Read an image file as `read_rgb` does and make it as large as the network's input.

    Only the pixels that are wanted are computed. They are those of the whole image scaled and then cut, but
    for the rounding of positions: about one value in a thousand differs (in a hundred, where a small image
    grows), by 1 of 255.

    JPEGs whose shorter side is at least four times as long as after scaling are decoded at 1/2, 1/4 or 1/8 of
    their size, at least twice what is wanted, and scaled down from there. That takes a half to a quarter of
    the time; on photographs values differ from those of the whole image by up to 4 of 255, and by less than
    0.5 in the mean.

    Parameters
    ----------
    file : path
    size : int
        Height and width of the result, in pixels.
    preprocessing : {"standard", "resize"}
        See `PREPROCESSINGS`.
    name : str, optional
        What messages call the image. Default: its path.

    Returns
    -------
    ndarray of uint8, shape (size, size, 3)

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As `read_rgb`.
    """
    name = str(file) if name is None else name
    with _open(Path(file), name) as stream:
        image = _read_header(stream, name)
        shorter = 2 * shorter_side(size, preprocessing)
        image.draft(None, (shorter, shorter))
        with _large_image if image.width * image.height > _LARGE_PIXELS else contextlib.nullcontext():
            return _prepare(_pixels(image, name), size, preprocessing)


def prepare_image(img: npt.ArrayLike, size: int = 224, preprocessing: str = "standard") -> np.ndarray:
    """Return a raw image of shape (H, W, 3) made as large as the network's input; see `read_prepared`."""
    return _prepare(Image.fromarray(_check_raw_image(img)), size, preprocessing)


def square_image(img: npt.ArrayLike, size: int = 224) -> np.ndarray:
    """Return the largest centred square of an image, scaled to `size` x `size`: an input for the network.

    Parameters
    ----------
    img : array_like of uint8, shape (H, W, 3)
    size : int
        Height and width of the result, in pixels.

    Returns
    -------
    ndarray of uint8, shape (size, size, 3)
    """
    return resize(center_crop_square(img), size, size)


def center_crop_square(img: npt.ArrayLike) -> np.ndarray:
    """Return the largest centred square of a raw image of shape (H, W, 3), as a view of it."""
    img = _check_raw_image(img)
    height, width = img.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return img[top : top + side, left : left + side]


def resize_shorter_side(img: npt.ArrayLike, size: int) -> np.ndarray:
    """Return a raw image of shape (H, W, 3) with its shorter side `size` pixels long and the ratio kept."""
    img = _check_raw_image(img)
    size = check_positive_integer(size, "size")
    height, width = img.shape[:2]
    scale = size / min(height, width)
    return resize(img, round(height * scale), round(width * scale))


def resize(img: npt.ArrayLike, height: int, width: int) -> np.ndarray:
    """Return a raw image of shape (H, W, 3) scaled to `height` x `width` pixels.

    Bicubic interpolation; when an image shrinks, the kernel widens with the scale, so that fine
    patterns do not alias.

    Raises
    ------
    ValueError
        If `img` is no raw image, or the result would be empty or larger than `MAX_MEGAPIXELS`.
    """
    img = _check_raw_image(img)
    height, width = check_positive_integer(height, "height"), check_positive_integer(width, "width")
    if _too_large(height, width):
        raise ValueError(
            f"{width}x{height} pixels are over the limit of {MAX_MEGAPIXELS} megapixels; ask for less."
        )
    return np.array(Image.fromarray(img).resize((width, height), Image.Resampling.BICUBIC))


def save_image(img: npt.ArrayLike, path: str | os.PathLike) -> None:
    """Write a raw image of shape (H, W, 3) to a file, whole or not at all.

    Raises
    ------
    ValueError
        If `img` is no raw image, or the suffix of `path` is not .png, .jpg, .jpeg, .webp, .bmp or .tif.
    OSError
        If the file can't be written.
    """
    img, path = _check_raw_image(img), check_image_path(path)
    with whole_file(path) as temporary:
        Image.fromarray(img).save(temporary, quality=95)  # for .jpg and .webp


def check_image_path(path: str | os.PathLike) -> Path:
    """Return `path` as a Path, or raise ValueError if its suffix is none that an image can be saved under."""
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        kind = f"the suffix {path.suffix}" if path.suffix else "no suffix"
        raise ValueError(f"{path} has {kind}; an image can be saved as {', '.join(_SUFFIXES)}.")
    return path


def _open(path: Path, name: str) -> BinaryIO:
    """Open `path` for reading; what can't be opened gets a sentence."""
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no file {name}; check its name and folder.") from error
    except OSError as error:
        if isinstance(error, IsADirectoryError | PermissionError) and path.is_dir():  # the latter on Windows
            raise IsADirectoryError(f"{name} is a folder; expected an image: name a file in it.") from error
        raise type(error)(
            f"{name} can't be opened: {reason_of(error)}; check the path and its permissions."
        ) from error


def _decode(stream: BinaryIO, name: str) -> np.ndarray:
    """Return the image in `stream` as RGB; what is no image, damaged or too large gets a sentence."""
    return np.array(_pixels(_read_header(stream, name), name))


def _read_header(stream: BinaryIO, name: str) -> Image.Image:
    """Return a Pillow image of allowed size whose pixels are not decoded yet."""
    _silence_pillow()
    try:
        image = Image.open(stream, formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} has more than {MAX_MEGAPIXELS} megapixels; scale it down first.") from error
    except Exception as error:  # broken headers raise whatever they stumble over
        if stream.seekable() and stream.seek(0, io.SEEK_END) == 0:
            raise ValueError(f"{name} is empty (0 bytes); get a whole copy of it.") from error
        raise ValueError(
            f"{name} is not an image that can be read, or a damaged one; "
            "expected a whole JPEG, PNG, GIF, BMP, TIFF or WEBP file."
        ) from error
    if _too_large(image.height, image.width):
        raise ValueError(
            f"{name} has {image.width}x{image.height} pixels, more than {MAX_MEGAPIXELS} megapixels; "
            "scale it down first."
        )
    return image


def _pixels(image: Image.Image, name: str) -> Image.Image:
    """Return an image that is not decoded yet as RGB, the right way up; a damaged one gets a sentence."""
    try:
        image.load()
    except Exception as error:  # decoders of damaged data raise whatever they stumble over
        raise ValueError(f"{name} is damaged or cut short; get a whole copy of it.") from error
    if image.mode in ("I", "F"):
        raise ValueError(f"{name} has 32-bit pixels of unknown range; save it with 8 or 16 bits per channel.")
    _turn_upright(image)
    return _rgb(image)


def _silence_pillow() -> None:
    """Let no warning of Pillow's pass: notes on sizes and damaged tags would only come before our sentence.

    From then on, and not for a block: `warnings.catch_warnings` mixes up the filters of threads that decode
    at the same time.
    """
    if warnings.filters[:1] != [_PILLOW_WARNINGS]:
        warnings.filterwarnings("ignore", module=_PILLOW_WARNINGS[3].pattern)


def shorter_side(size: int, preprocessing: str) -> int:
    """Return the length, in pixels, to which `read_prepared` scales the shorter side of an image."""
    return round(size * 256 / 224) if preprocessing == "standard" else size


def _prepare(image: Image.Image, size: int, preprocessing: str) -> np.ndarray:
    """Return an RGB image as `PREPROCESSINGS` says."""
    if preprocessing == "resize":
        return np.array(image.resize((size, size), Image.Resampling.BICUBIC))
    shorter = shorter_side(size, preprocessing)
    # The square that becomes the result, in the image's own pixels. Pillow's filter looks beyond its edges,
    # so the result is that of scaling the whole image and cutting, for less work.
    starts, ends = [], []
    for side in image.size:
        scaled = side * shorter // min(image.size)
        margin = round((scaled - size) / 2)
        starts.append(margin * side / scaled)
        ends.append((margin + size) * side / scaled)
    box = (*starts, *ends)
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def _too_large(height: int, width: int) -> bool:
    """Tell whether an image of this size, in pixels, is over the limit."""
    return height * width > MAX_MEGAPIXELS * 1_000_000


def _turn_upright(image: Image.Image) -> None:
    """Turn `image` in place as its EXIF orientation says; broken EXIF data says nothing."""
    with contextlib.suppress(Exception):  # its parser raises all kinds of errors
        ImageOps.exif_transpose(image, in_place=True)


def _rgb(image: Image.Image) -> Image.Image:
    """Return `image`, of any mode but 32-bit, as RGB on white."""
    if image.mode.startswith("I;16"):
        grey = np.rint(np.asarray(image) / np.float32(257))  # Pillow's own conversion would clip at 255
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    image = image.convert("RGBA")
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page


def _stretch(pixels: np.ndarray) -> np.ndarray:
    """Return images with each one's least value moved to 0 and its greatest to 1, flat ones as they are."""
    low = pixels.min(axis=(-3, -2, -1), keepdims=True)
    span = pixels.max(axis=(-3, -2, -1), keepdims=True) - low
    return np.where(span > 0, (pixels - low) / np.where(span > 0, span, 1), pixels)


def _check_channels_last(img: npt.ArrayLike) -> np.ndarray:
    """Return `img` as an array after checking that its last axis holds three channels."""
    img = as_array(img, "img")
    if img.ndim < 3 or img.shape[-1] != 3 or 0 in img.shape[-3:]:
        raise ValueError(f"img has shape {img.shape}; expected (..., height, width, 3), channels last.")
    return img


def _check_raw_image(img: npt.ArrayLike) -> np.ndarray:
    """Return `img` as an array after checking that it is one raw RGB image."""
    img = _check_channels_last(img)
    if img.ndim != 3 or img.dtype != np.uint8:
        raise ValueError(
            f"img has dtype {img.dtype}, shape {img.shape}; expected one raw image, uint8 (height, width, 3)."
        )
    return img


def _check_pixel_range(img: np.ndarray) -> None:
    """Raise ValueError if `img` holds anything but numbers that can be raw pixels."""
    if not (np.issubdtype(img.dtype, np.floating) or np.issubdtype(img.dtype, np.integer)):
        raise ValueError(f"img has dtype {img.dtype}; expected raw pixels, uint8 or numbers from 0 to 255.")
    low, high = (img.min(), img.max()) if img.size else (0, 0)
    if not (low >= 0 and high <= 255):  # also true of NaN
        raise ValueError(
            f"img has values from {low:.4g} to {high:.4g}; expected raw pixels, from 0 to 255: "
            "it may be preprocessed already."
        )
    if 0 < high <= 1 and (img % 1).any():
        raise ValueError(
            "img has fractions from 0 to 1; expected raw pixels, from 0 to 255: multiply by 255."
        )
