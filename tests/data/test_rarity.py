import os

import numpy as np
import pytest

from keras_tim.data import Classes, Rarity, compute_rarity, load_rarity
from keras_tim.data.layouts import Layout
from keras_tim.data.rarity import fingerprint, kernel_density, rarity_weights
from keras_tim.images import PictureError

CLASSES = Classes([("sky", 0, None), ("road", 1, None)])


def scene(name, sky, road=(40, 40, 40)):
    """Sky over road over a row of other."""
    picture = np.zeros((10, 8, 3), np.uint8)
    labels = np.full((10, 8), 2, np.uint8)
    picture[:6], labels[:6] = sky, 0
    picture[6:9], labels[6:9] = road, 1
    return Layout(name, (10, 8), None, (picture, labels), CLASSES)


def scenes(count=12):
    """Grey skies, and the last one red; roads are all alike."""
    random = np.random.default_rng(0)
    skies = random.integers(100, 130, (count, 3))
    skies[-1] = (250, 30, 30)
    return [scene(f"{n}.png", sky) for n, sky in enumerate(skies)]


def test_density_by_hand():
    # Variance 2 of {0, 0, 0, 4} is 4; Scott's factor for n = 4 in one
    # dimension is 4 ** -0.2, so that kernels have variance 4 * 4 ** -0.4.
    points = np.array([[0.0], [0.0], [0.0], [4.0]])
    variance = 4.0 * 4.0**-0.4
    near = 1.0 / np.sqrt(2 * np.pi * variance)
    far = near * np.exp(-16.0 / (2 * variance))
    expected = np.array([3 * near + far] * 3 + [near + 3 * far]) / 4
    np.testing.assert_allclose(kernel_density(points), expected)


@pytest.mark.parametrize("count", [10, 300, 1500])
def test_density_is_that_of_scipy(count):
    stats = pytest.importorskip("scipy.stats")
    mix = [[0.2, 0.1, 0.0], [0.0, 0.3, 0.1], [0.1, 0.0, 0.2]]
    points = np.random.default_rng(0).normal(size=(count, 3)) @ mix
    np.testing.assert_allclose(
        kernel_density(points), stats.gaussian_kde(points.T)(points.T)
    )


def test_density_of_colours_that_hardly_vary():
    points = np.full((9, 3), 0.4)
    density = kernel_density(points)
    assert np.isfinite(density).all()
    np.testing.assert_allclose(density, density[0])


def test_weights_are_bounded_and_1_on_average():
    weights = rarity_weights(np.array([1.0, 2.0, 2.0, 4.0, 1e-9, 1e9]))
    # Medians over densities: 2, 1, 1, 0.5, and the bounds 10 and 0.1.
    ratio = np.array([2.0, 1.0, 1.0, 0.5, 10.0, 0.1])
    np.testing.assert_allclose(weights, ratio / ratio.mean())


def test_rare_appearances_weigh_more():
    rarity = compute_rarity(scenes(100), CLASSES)
    assert rarity.names[-1] == "99.png"
    np.testing.assert_allclose(rarity.shares, [[0.6, 0.3, 0.1]] * 100)
    np.testing.assert_allclose(
        rarity.colours[-1, 0] * 255, [250, 30, 30], rtol=1e-5
    )
    sky, road, other = rarity.weights.T
    assert sky.argmax() == 99
    assert sky[99] > 3 * np.median(sky)
    assert sky.mean() == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(road, 1.0, rtol=1e-5)
    np.testing.assert_array_equal(other, 1.0)
    assert np.isnan(rarity.colours[:, 2]).all()


def test_bins_by_hand():
    weights = np.array([[1.0, 2.0, 1.0], [3.0, 2.0, 1.0]], np.float32)
    rarity = Rarity(
        ("a", "b"),
        CLASSES.names,
        np.where([[[1], [1], [0]]] * 2, 0.5, np.nan) * np.ones((1, 1, 3)),
        weights,
        np.array([[0.5, 0.5, 0.0], [0.5, 0.3, 0.2]], np.float32),
    )
    # Of all pixels a half is sky, a quarter to b's 3 / 4; 0.4 road, drawn
    # evenly; 0.1 other, which only b has.
    first = 0.5 * 0.25 + 0.4 * 0.5
    np.testing.assert_allclose(rarity.bins, [0.0, first, 1.0], atol=1e-6)


def test_every_picture_can_be_drawn_and_rare_ones_are():
    rarity = compute_rarity(scenes(), CLASSES)
    chances = np.diff(rarity.bins)
    assert rarity.bins[0] == 0.0
    assert rarity.bins[-1] == 1.0
    assert (chances > 0).all()
    assert chances.argmax() == 11


def test_classes_that_hardly_occur_have_no_say():
    layouts = scenes()
    picture, labels = layouts[0].arrays
    # Sky in a picture of 2000 pixels takes one, less than a thousandth.
    picture = np.tile(picture, (5, 5, 1))
    labels = np.where(np.tile(labels, (5, 5)) == 0, 2, np.tile(labels, (5, 5)))
    labels[0, 0] = 0
    layouts[0] = Layout("0.png", (50, 40), None, (picture, labels), CLASSES)
    rarity = compute_rarity(layouts, CLASSES)
    assert np.isnan(rarity.colours[0, 0]).all()
    assert rarity.weights[0, 0] == 1.0
    few = compute_rarity(layouts[:5], CLASSES)
    np.testing.assert_array_equal(few.weights, 1.0)


def test_part_in_another_order():
    rarity = compute_rarity(scenes(), CLASSES)
    part = rarity.of(["11.png", "3.png"], CLASSES)
    np.testing.assert_array_equal(part.weights, rarity.weights[[11, 3]])
    assert np.diff(part.bins)[0] > 0.6
    with pytest.raises(ValueError, match=r"1 of 2, such as gone\.png"):
        rarity.of(["0.png", "gone.png"], CLASSES)
    with pytest.raises(ValueError, match="of the same classes"):
        rarity.of(["0.png"], Classes([("sea", 0, None)]))


def test_files_round_trip(tmp_path):
    rarity = compute_rarity(scenes(), CLASSES)
    path = tmp_path / "rarity.npz"
    rarity.save(path)
    again = load_rarity(path)
    assert load_rarity(again) is again
    assert again.names == rarity.names
    assert again.class_names == rarity.class_names
    assert again.fingerprint == rarity.fingerprint
    for name in ("colours", "weights", "shares", "bins"):
        np.testing.assert_array_equal(
            getattr(again, name), getattr(rarity, name)
        )
    assert [p.name for p in tmp_path.iterdir()] == ["rarity.npz"]


@pytest.mark.parametrize("kind", ["text", "truncated", "other"])
def test_refuses_damaged_files(kind, tmp_path):
    path = tmp_path / "rarity.npz"
    if kind == "text":
        path.write_text("no archive")
    elif kind == "other":
        np.savez(path, names=np.zeros(3))
    else:
        compute_rarity(scenes(), CLASSES).save(path)
        path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"rarity\.npz is damaged"):
        load_rarity(path)
    with pytest.raises(FileNotFoundError, match=r"gone\.npz.*keras-tim rarity"):
        load_rarity(tmp_path / "gone.npz")


def test_fingerprint_follows_files_and_classes(tmp_path):
    paths = [tmp_path / "picture", tmp_path / "labels"]
    for path in paths:
        path.write_text("first")
    layouts = [Layout("a", (1, 1), paths, None, CLASSES)]
    first = fingerprint(layouts, CLASSES)
    assert fingerprint(layouts, CLASSES) == first
    others = [fingerprint(layouts, Classes([("sky", 0, None)]))]
    os.utime(paths[1], ns=(1, 1))
    others.append(fingerprint(layouts, CLASSES))
    paths[0].write_text("second one")
    others.append(fingerprint(layouts, CLASSES))
    assert len({first, *others}) == 4


def test_sizes_must_agree():
    layout = scenes()[0]
    picture, labels = layout.arrays
    wrong = Layout("wrong", (10, 8), None, (picture, labels[:9]), CLASSES)
    with pytest.raises(PictureError, match="wrong and its label map"):
        compute_rarity([layout, wrong], CLASSES)
