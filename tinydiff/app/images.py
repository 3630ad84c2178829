"""Your own pictures, from a .npy or IDX file, or from a folder of images."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from tinydiff.app.frames import open_npy
from tinydiff.datasets.mnist import read_idx
from tinydiff.datasets.points import Dataset
from tinydiff.extras import extra

IDX = ("-ubyte", "-ubyte.gz", ".idx", ".idx.gz")
"""How the names of IDX files end."""
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
"""How the names of images end."""


def is_idx(path: str | os.PathLike[str]) -> bool:
    """Whether a file is named as IDX files are."""
    return Path(path).name.lower().endswith(IDX)


def is_pictures(path: str | os.PathLike[str]) -> bool:
    """Whether a path holds pictures: a folder of images, an IDX file by its name, or a .npy file of three axes."""
    path = Path(path)
    try:
        if path.is_dir():
            return bool(images_in(path, "*") or images_in(path, "*/*"))
        return is_idx(path) or (path.suffix.lower() == ".npy" and open_npy(path).ndim == 3)
    except (OSError, ValueError):
        return False


def has_classes(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder whose folders have images."""
    return Path(path).is_dir() and bool(images_in(Path(path), "*/*"))


def images_in(path: Path, pattern: str) -> list[Path]:
    """The images in a folder, in the order of their names; what is hidden by a dot is none."""
    found = (file for file in path.glob(pattern) if file.suffix.lower() in IMAGES)
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def labels_beside(path: str | os.PathLike[str]) -> Path | None:
    """The labels that lie beside an IDX file of pictures under MNIST's name for them, if they do."""
    path = Path(path)
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    return beside if is_idx(path) and beside != path and beside.is_file() else None


def load_pictures(path: str | os.PathLike[str], labels: str | os.PathLike[str] | None = None) -> Dataset:
    """Read grey pictures of one size, scaled so that the least value of all pixels is −1 and the greatest 1.

    Parameters
    ----------
    path : str or path-like
        A .npy file of numbers (N, H, W); an IDX file of bytes, gzipped or not, whose name ends in "-ubyte" or ".idx",
        before any ".gz"; or a folder of images of one size (.png, .jpg, …), in which each folder of images is a class.
        Colours become grey, and what is transparent white; 16 bits stay 16.
    labels : str or path-like, optional
        A .npy or IDX file of the classes 0, 1, …, (N,). Without it, the IDX file beside the pictures that is named as
        MNIST names it, "labels-idx1" for "images-idx3", if it is there.

    Returns
    -------
    Dataset
        Pictures (N, H·W) in float32, row by row, and labels (N,) or None; ``restore`` leads back to the file's values.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it does not hold pictures, or the labels are not theirs, naming the file.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, tinydiff as td
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.npy"
    >>> np.save(path, np.array([[[0, 16], [8, 0]], [[0, 0], [16, 4]]]))
    >>> data = td.load_pictures(path)
    >>> data.x.tolist(), data.picture
    ([[-1.0, 1.0, 0.0, -1.0], [-1.0, -1.0, 1.0, -0.5]], (2, 2))
    """
    path = Path(path)
    classes: tuple[str, ...] = ()
    of = labels_beside(path) if labels is None else Path(labels)
    if path.is_dir():
        array, own, classes = read_folder(path)
    else:
        array, own = read_array(path), None
    if array.ndim != 3 or len(array) < 2 or 0 in array.shape:
        raise ValueError(f"{path} must hold two pictures or more, (N, H, W); its shape is {array.shape}.")
    for at in np.argwhere(~np.isfinite(array))[:1].tolist():
        raise ValueError(f"{path} must hold finite numbers; pixel {at[1:]} of picture {at[0]} is {array[tuple(at)]}.")
    low, high = float(array.min()), float(array.max())
    if not 1e-150 < high - low < 1e150:
        raise ValueError(f"the pixels of {path} go from {low:g} to {high:g}: that cannot be scaled to −1 and 1.")
    shift, scale = (high + low) / 2, (high - low) / 2
    x = (np.subtract(array.reshape(len(array), -1), shift, dtype=np.float64) / scale).astype(np.float32)
    own, classes = (own, classes) if of is None else (_read_labels(of, path, len(x)), ())
    return Dataset(x, own, shift, scale, array.shape[1:], classes=classes)


def read_folder(path: Path) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """The images in a folder, in the order of their names, as grey values (N, H, W) in bytes, and their classes.

    Images in folders of this folder are of the classes that these are named after, and then none may lie beside them.
    """
    files, inner = images_in(path, "*"), images_in(path, "*/*")
    if files and inner:
        raise ValueError(f"{path} has images beside folders of images: {files[0].name} and {inner[0]}, for example.")
    if not files and not inner:
        raise ValueError(f"{path} has no images ({', '.join(IMAGES)}) in it, nor in its folders.")
    arrays: list[np.ndarray] = []
    for file in files or inner:
        try:
            arrays.append(read_image(file))
        except (OSError, ValueError, SyntaxError) as error:
            raise ValueError(f"{file} is no image that can be read: {' '.join(str(error).split()):.100}") from error
        if arrays[-1].dtype != arrays[0].dtype:
            first = f"{(files or inner)[0]} has {arrays[0].dtype}"
            raise ValueError(f"all images must have as many bits a pixel: {first}, {file} {arrays[-1].dtype}.")
        if arrays[-1].shape != arrays[0].shape:
            (h, w), (rows, columns) = arrays[0].shape, arrays[-1].shape
            first = f"{(files or inner)[0]} has {w} × {h} pixels"
            raise ValueError(f"all images must be of one size: {first}, {file} {columns} × {rows}.")
    classes = tuple(sorted({file.parent.name for file in inner}))
    labels = np.array([classes.index(file.parent.name) for file in inner]) if inner else None
    return np.stack(arrays), labels, classes


def read_image(file: Path) -> np.ndarray:
    """The grey values of an image (H, W), in bytes or, where it has more, in 16 bits or floats."""
    with extra("files"):
        from PIL import Image, ImageOps
    try:
        with Image.open(file) as opened:
            image: Any = ImageOps.exif_transpose(opened)
            if image.mode.startswith(("I", "F")):
                return np.asarray(image).astype({"F": np.float32, "I": np.int32}.get(image.mode, np.uint16))
            if "A" in image.getbands() or "transparency" in image.info:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            return np.asarray(image.convert("L"))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def read_array(path: Path) -> np.ndarray:
    """The array of a .npy or IDX file."""
    if is_idx(path):
        return read_idx(path)
    if path.suffix.lower() != ".npy":
        raise ValueError(f"pictures and labels come from a .npy file or an IDX file (…-ubyte, .idx, .gz); got {path}.")
    return np.asarray(open_npy(path))


def _read_labels(path: Path, pictures: Path, n: int) -> np.ndarray:
    labels = read_array(path)
    if labels.shape != (n,):
        raise ValueError(f"{path} must hold a label for each of the {n} pictures of {pictures}; got {labels.shape}.")
    if not np.all((labels == np.rint(labels)) & (labels >= 0) & (labels < 1000)):
        raise ValueError(f"{path}: labels must be the integers 0, 1, …, below 1000.")
    _check_gaps(path, labels.astype(np.int64))
    return labels.astype(np.int64)


def _check_gaps(path: Path, labels: np.ndarray) -> None:
    if missing := set(range(labels.max() + 1)) - set(labels.tolist()):
        raise ValueError(f"{path}: labels must be 0, 1, … without gaps; no point has the label {min(missing)}.")
