"""Rarity: how unusual each class looks in each picture.

Where most skies are grey, a model does well to make every sky grey. Li et al.
(2020) therefore weigh appearances by how rare they are: for every class, a
Gaussian kernel density estimate over the class's mean colours in all pictures
says how common its colour in a picture is, and one over that density is its
weight there. Rare pictures are drawn more often, and in a picture the pixels of
a class that looks rare count more.

Reference:
    Li*, Zhang*, Peng*, Malik, "Multimodal Image Synthesis with Conditional
    Implicit Maximum Likelihood Estimation", IJCV 2020.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import os

import keras
import numpy as np

from keras_tim.assets.npz import NpzError, read_npz
from keras_tim.files import written
from keras_tim.images.pictures import PictureError

# Of a class that covers less of a picture than this the mean colour says
# little; nor does a density over fewer pictures than these.
SMALLEST_SHARE = 0.001
FEWEST_PICTURES = 8
# One over a density has a long tail: a weight is at most so many times the
# usual one, and at least its inverse.
LARGEST_RATIO = 10.0
# Kernels are at least as wide as a grey level or two, in every direction.
_SMALLEST_WIDTH = 2.0 / 255.0
_CHUNK = 1024


@dataclasses.dataclass(frozen=True)
class Rarity:
    """Weights of classes in pictures, and how often to draw each picture.

    Attributes:
        names: tuple of str, the pictures.
        class_names: tuple of str, without "other".
        colours: float32 array `[pictures, classes + 1, 3]` in [0, 1]: mean
            colours, NaN where a class covers too little of a picture.
        weights: float32 array `[pictures, classes + 1]`: weights of pixels.
            Over the pictures that a class counts in they are 1 on average;
            they are 1 where it does not count, and for "other".
        shares: float32 array `[pictures, classes + 1]`: what part of a
            picture's pixels is of each class.
        fingerprint: str, of the files that all this comes from.
    """

    names: tuple
    class_names: tuple
    colours: np.ndarray
    weights: np.ndarray
    shares: np.ndarray
    fingerprint: str = ""

    def is_of(self, layouts, classes):
        """Whether it was computed from these, which are as they were.

        Args:
            layouts: list of `keras_tim.data.layouts.Layout`.
            classes: their `Classes`.

        Returns:
            bool.
        """
        return self.fingerprint == fingerprint(layouts, classes)

    def table(self):
        """Str, a line a class: in how many pictures it counts, where most."""
        width = max(map(len, self.class_names))
        lines = []
        for number, name in enumerate(self.class_names):
            counted = np.isfinite(self.colours[:, number, 0])
            line = f"{name:<{width}}  {counted.sum():>6} pictures"
            if counted.any():
                weights = self.weights[:, number]
                rarest = int(np.argmax(np.where(counted, weights, 0.0)))
                line += (
                    f", weights from {weights[counted].min():.2f} to "
                    f"{weights[rarest]:.2f} ({self.names[rarest]})"
                )
            lines.append(line)
        return "\n".join(lines)

    @property
    def bins(self):
        """Edges of intervals in [0, 1], one per picture, float64.

        A uniform number falls into a picture's interval as often as the
        picture is to be drawn: a class is chosen by its share of all pixels,
        then a picture by the class's weight in it.
        """
        counted = np.isfinite(self.colours[..., 0])
        # What counts in no density draws evenly from where it occurs.
        counted = np.where(counted.any(axis=0), counted, self.shares > 0)
        within = self.weights.astype(np.float64) * counted
        within /= np.maximum(within.sum(axis=0), 1e-12)
        chances = within @ self.shares.astype(np.float64).sum(axis=0)
        edges = np.concatenate([[0.0], np.cumsum(chances)])
        return edges / edges[-1]

    def of(self, names, classes):
        """The same for some of the pictures, in another order.

        Args:
            names: list of str.
            classes: the `Classes` that their label maps are read with.

        Returns:
            A `Rarity`.

        Raises:
            ValueError: if it was computed for other pictures or classes.
        """
        if self.class_names != classes.names:
            raise ValueError(
                "`rarity` must be of the same classes. Received: rarity of "
                f"{self.class_names}, a class list of {classes.names}"
            )
        rows = {name: row for row, name in enumerate(self.names)}
        missing = [name for name in names if name not in rows]
        if missing:
            raise ValueError(
                "`rarity` must be of the same pictures. Received: rarity of "
                f"{len(self.names)} pictures without {len(missing)} of "
                f"{len(names)}, such as {missing[0]}. Run `keras-tim rarity` "
                "on the folder that you train on."
            )
        chosen = [rows[name] for name in names]
        return dataclasses.replace(
            self,
            names=tuple(names),
            colours=self.colours[chosen],
            weights=self.weights[chosen],
            shares=self.shares[chosen],
        )

    def mask(self, name, labels):
        """Weights of the pixels of one picture.

        Args:
            name: str, one of `names`.
            labels: integer array of any shape: numbers of classes.

        Returns:
            float32 array of that shape.
        """
        return self.weights[self.names.index(name)][labels]

    def save(self, path):
        """Writes an `.npz` file, whole or not at all.

        Args:
            path: str, ending in `.npz`.

        Raises:
            OSError: if the file cannot be written.
        """
        with written(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file,
                names=np.array(self.names),
                class_names=np.array(self.class_names),
                colours=self.colours,
                weights=self.weights,
                shares=self.shares,
                bins=self.bins,
                fingerprint=np.array(self.fingerprint),
            )


def load_rarity(source):
    """Reads what `Rarity.save` wrote.

    Args:
        source: path, or a `Rarity`, which is given back.

    Returns:
        A `Rarity`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged.
    """
    if isinstance(source, Rarity):
        return source
    path = os.fspath(source)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"There is no file {path}. `keras-tim rarity` makes it."
        )
    try:
        file = read_npz(path)
        return Rarity(
            tuple(file["names"].tolist()),
            tuple(file["class_names"].tolist()),
            file["colours"],
            file["weights"],
            file["shares"],
            str(file["fingerprint"]),
        )
    except (NpzError, KeyError) as error:
        raise ValueError(
            f"{path} is damaged, or was not written by `keras-tim rarity`: "
            f"{error}"
        ) from error


def compute_rarity(layouts, classes, verbose=0):
    """Rarity of the classes' appearances in pictures.

    Args:
        layouts: list of `keras_tim.data.layouts.Layout`.
        classes: their `Classes`.
        verbose: 1 shows a progress bar.

    Returns:
        A `Rarity`.

    Raises:
        PictureError: if a file cannot be used; the message names it.
    """
    count, channels = len(layouts), classes.num_channels
    colours = np.empty((count, channels, 3), np.float32)
    shares = np.empty((count, channels), np.float32)
    bar = keras.utils.Progbar(count, unit_name="picture") if verbose else None
    # Decoding releases Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        measured = pool.map(lambda x: _mean_colours(x, channels), layouts)
        for row, (mean, share) in enumerate(measured):
            colours[row], shares[row] = mean, share
            if bar is not None:
                bar.update(row + 1)
    weights = np.ones((count, channels), np.float32)
    for number in range(channels - 1):  # not of "other"
        counted = np.isfinite(colours[:, number, 0])
        if counted.sum() < FEWEST_PICTURES:
            colours[:, number] = np.nan
            continue
        density = kernel_density(colours[counted, number])
        weights[counted, number] = rarity_weights(density)
    colours[:, -1] = np.nan
    return Rarity(
        tuple(layout.name for layout in layouts),
        classes.names,
        colours,
        weights,
        shares,
        fingerprint(layouts, classes),
    )


def _mean_colours(layout, channels):
    """Mean colour of every class, NaN of small ones, and classes' shares."""
    picture, labels = layout.read()
    if picture.shape[:2] != labels.shape:
        raise PictureError(
            f"{layout.name} and its label map must be of one size. Received: "
            f"{picture.shape[:2]} and {labels.shape} (height, width)"
        )
    flat = labels.ravel()
    pixels = np.bincount(flat, minlength=channels)
    sums = [
        np.bincount(flat, picture[..., channel].ravel(), channels)
        for channel in range(3)
    ]
    share = pixels / flat.size
    with np.errstate(invalid="ignore"):
        mean = np.stack(sums, axis=-1) / (255.0 * pixels[:, None])
    mean[share < SMALLEST_SHARE] = np.nan
    return mean, share


def kernel_density(points):
    """Gaussian kernel density estimate of points at the points themselves.

    The kernels have the points' covariance, narrowed by Scott's factor
    `n ** (-1 / (dimensions + 4))`. No axis of a kernel is narrower than two
    grey levels: colours that hardly vary have no density otherwise.

    Args:
        points: array `[n, dimensions]`, n at least 2.

    Returns:
        float64 array `[n]`.
    """
    points = np.asarray(points, np.float64)
    count, dimensions = points.shape
    covariance = np.atleast_2d(np.cov(points, rowvar=False))
    covariance *= count ** (-2.0 / (dimensions + 4))
    variances, axes = np.linalg.eigh(covariance)
    widths = np.sqrt(np.maximum(variances, _SMALLEST_WIDTH**2))
    white = (points - points.mean(axis=0)) @ axes / widths
    squares = (white**2).sum(axis=1)
    density = np.empty(count)
    for start in range(0, count, _CHUNK):
        rows = slice(start, start + _CHUNK)
        distances = squares[rows, None] + squares - 2 * white[rows] @ white.T
        density[rows] = np.exp(-np.maximum(distances, 0.0) / 2).sum(axis=1)
    volume = (2 * np.pi) ** (dimensions / 2) * widths.prod()
    return density / (count * volume)


def rarity_weights(density):
    """One over the density, bounded, 1 on average.

    Args:
        density: array `[n]`, positive.

    Returns:
        float64 array `[n]`.
    """
    ratio = np.median(density) / density
    ratio = np.clip(ratio, 1.0 / LARGEST_RATIO, LARGEST_RATIO)
    return ratio / ratio.mean()


def fingerprint(layouts, classes):
    """Changes when a file, the list of files or the classes do.

    Args:
        layouts: list of `keras_tim.data.layouts.Layout`.
        classes: their `Classes`.

    Returns:
        str of hexadecimal digits.
    """
    content = [classes.as_text()]
    for layout in layouts:
        states = [os.stat(path) for path in layout.paths or ()]
        content.append(
            [layout.name, *[(s.st_size, s.st_mtime_ns) for s in states]]
        )
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
