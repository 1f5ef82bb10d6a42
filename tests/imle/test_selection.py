import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim import LPIPS
from keras_tim.imle.selection import _best_candidate
from keras_tim.models.codes import draw_codes

SEEDS = np.array([3, 1, 4], "int64")


def code_of(tim, image, seed, index):
    """Candidate `index` of one image `[1, ...]`, every level's."""
    return draw_codes(
        tf.constant([seed], tf.int64),
        tf.constant([[index]], tf.int64),
        tim.noise_sizes(image),
        tim.style_dim,
        tim.noise_channels,
    )


def brute_force_hierarchical(tim, inputs, targets, distance, num_samples):
    """Tries every candidate of every image by itself, level by level."""
    winners, distances = [], []
    for i, seed in enumerate(SEEDS):
        image = [x[i : i + 1] for x in inputs]
        output, feature = None, None
        won, lengths = [], []
        for level, count in enumerate(num_samples):
            level_input = tim.level_input(level, image, output)
            tried = []
            for j in range(count):
                code = code_of(tim, image, seed, j)[level]
                made = tim.run_level(level, level_input, feature, code)
                picture = tim.to_picture(made[0], level_input)
                target = targets[level][i : i + 1]
                tried.append((float(distance(picture, target)[0]), made))
            best = int(np.argmin([d for d, _ in tried]))
            won.append(best)
            lengths.append(tried[best][0])
            output, feature = tried[best][1]
        winners.append(won)
        distances.append(lengths)
    return np.transpose(winners), np.transpose(distances)


def distances_of_whole_codes(tim, inputs, targets, distance, count):
    """Array `[images, codes, levels]`, every whole code by itself."""
    rows = []
    for i, seed in enumerate(SEEDS):
        image = [x[i : i + 1] for x in inputs]
        for j in range(count):
            pictures = tim.decode(image, code_of(tim, image, seed, j))
            rows.append(
                [
                    float(distance(picture, target[i : i + 1])[0])
                    for picture, target in zip(pictures, targets, strict=True)
                ]
            )
    return np.reshape(rows, (len(SEEDS), count, -1))


def select(tim, inputs, targets, graph=False, **compiled):
    tim.compile(optimizer="sgd", **compiled)
    tim._imle.distance.build(channels=3)

    def run(inputs, targets, seeds):
        return tim._imle.select(tim, inputs, targets, seeds)[0]

    if graph:
        run = tf.function(run, autograph=False)
    return run(
        [tf.constant(x) for x in inputs],
        [tf.constant(x) for x in targets],
        tf.constant(SEEDS),
    )


def check_codes(tim, inputs, selection, winners):
    """The codes are those of the winning candidates, bit for bit."""
    levels = range(tim.num_levels)
    by_level = winners if len(winners) > 1 else np.repeat(winners, 2, axis=0)
    for i, seed in enumerate(SEEDS):
        image = [x[i : i + 1] for x in inputs]
        for level in levels:
            drawn = code_of(tim, image, seed, by_level[level, i])[level]
            for kept, code in zip(selection.codes[level], drawn, strict=True):
                np.testing.assert_array_equal(kept[i], code[0])


def check(tim, inputs, selection, expected):
    winners, distances = expected
    np.testing.assert_array_equal(selection.indices, winners)
    np.testing.assert_allclose(selection.distances, distances, atol=1e-5)
    check_codes(tim, inputs, selection, winners)


def absolute_difference(pictures, targets):
    return tf.reduce_mean(tf.abs(pictures - targets), axis=(1, 2, 3))


NUM_SAMPLES = [6, 4]


@pytest.fixture(scope="module")
def case(make_tim, make_pairs, mean_square_distance):
    # Blocks change nothing in what is chosen; `test_lpips` has them.
    tim = make_tim(quick=True)
    inputs, targets = make_pairs(tim, pyramid=True, seed=3)
    expected = brute_force_hierarchical(
        tim, [inputs], targets, mean_square_distance, NUM_SAMPLES
    )
    return tim, [inputs], targets, expected


def test_brute_force_has_different_winners(case):
    winners = case[-1][0]
    assert all(len(set(level)) > 1 for level in winners)
    assert (winners[0] != winners[1]).any()


# 1: one by one; 4: not a divisor of 6; 13: two images at a time, one left
# over; 100: all at once.
@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 6, 7, 13, 18, 100])
def test_hierarchical_selection(case, mean_square_distance, chunk):
    tim, inputs, targets, expected = case
    selection = select(
        tim,
        inputs,
        targets,
        distance=mean_square_distance,
        num_samples=NUM_SAMPLES,
        candidate_chunk=chunk,
    )
    check(tim, inputs, selection, expected)


@pytest.mark.parametrize("chunk", [4, 13])
def test_hierarchical_selection_in_a_graph(case, mean_square_distance, chunk):
    tim, inputs, targets, expected = case
    selection = select(
        tim,
        inputs,
        targets,
        graph=True,
        distance=mean_square_distance,
        num_samples=NUM_SAMPLES,
        candidate_chunk=chunk,
    )
    check(tim, inputs, selection, expected)


@pytest.fixture(scope="module", params=[True, False])
def vanilla_case(request, make_tim, make_pairs, mean_square_distance):
    # Pairs of which the last level alone and the sum choose different codes.
    supervision = request.param
    tim = make_tim(quick=True, intermediate_supervision=supervision)
    inputs, targets = make_pairs(tim, pyramid=True, seed=4)
    inputs = [inputs]
    tried = distances_of_whole_codes(
        tim, inputs, targets, mean_square_distance, 6
    )
    by_last, by_sum = tried[..., -1].argmin(1), tried.sum(axis=2).argmin(1)
    assert (by_last != by_sum).any()
    winners = by_sum if supervision else by_last
    levels = [0, 1] if supervision else [1]
    distances = tried[np.arange(len(SEEDS)), winners].T[levels]
    return tim, inputs, targets, (winners[None], distances)


@pytest.mark.parametrize("chunk", [1, 4, 13])
def test_vanilla_selection(vanilla_case, mean_square_distance, chunk):
    tim, inputs, targets, expected = vanilla_case
    selection = select(
        tim,
        inputs,
        targets,
        distance=mean_square_distance,
        sampling="vanilla",
        num_samples=6,
        candidate_chunk=chunk,
    )
    check(tim, inputs, selection, expected)


def test_no_whole_code_is_chosen_where_all_diverge(make_tim, make_pairs):
    tim = make_tim(quick=True)
    inputs, targets = make_pairs(tim, pyramid=True)

    def missing(pictures, targets):
        return absolute_difference(pictures, targets) * np.nan

    selection = select(
        tim,
        [inputs],
        targets,
        distance=missing,
        sampling="vanilla",
        num_samples=2,
        candidate_chunk=4,
    )
    assert np.isposinf(selection.distances).all()


@pytest.mark.parametrize("task", ["decompression", "layout_synthesis"])
def test_tasks_with_an_input_per_level(make_tim, mean_square_distance, task):
    tim = make_tim(task=task, quick=True, input_channels=3)
    rng = np.random.default_rng(0)

    def batch(height, width):
        return rng.random((3, height, width, 3), dtype="float32")

    factor = 2 if task == "layout_synthesis" else 1
    inputs = [batch(3, 5), batch(6, 10)]
    targets = [batch(3 * factor, 5 * factor), batch(6 * factor, 10 * factor)]
    expected = brute_force_hierarchical(
        tim, inputs, targets, mean_square_distance, [3, 3]
    )
    selection = select(
        tim,
        inputs,
        targets,
        distance=mean_square_distance,
        num_samples=3,
        candidate_chunk=2,
    )
    check(tim, inputs, selection, expected)


def test_pixel_weight_counts(case):
    tim, inputs, targets, _ = case

    def nothing(pictures, targets):
        return tf.zeros(tf.shape(pictures)[0])

    expected = brute_force_hierarchical(
        tim, inputs, targets, absolute_difference, NUM_SAMPLES
    )
    selection = select(
        tim,
        inputs,
        targets,
        distance=nothing,
        pixel_weight=1.0,
        num_samples=NUM_SAMPLES,
        candidate_chunk=4,
    )
    check(tim, inputs, selection, expected)


def test_lpips(lpips_weights, make_tim, make_pairs):
    lpips = LPIPS("alex")
    tim = make_tim()
    inputs, targets = make_pairs(tim, pyramid=True)
    expected = brute_force_hierarchical(tim, [inputs], targets, lpips, [3, 4])
    selection = select(
        tim,
        [inputs],
        targets,
        distance="lpips_alex",
        num_samples=[3, 4],
        candidate_chunk=3,
    )
    check(tim, [inputs], selection, expected)


def test_chosen_outputs_are_reproduced_by_the_codes(case, mean_square_distance):
    tim, inputs, targets, _ = case
    selection = select(
        tim,
        inputs,
        targets,
        distance=mean_square_distance,
        num_samples=5,
        candidate_chunk=3,
    )
    pictures = tim.decode(inputs, selection.codes)
    for picture, target, distances in zip(
        pictures, targets, selection.distances, strict=True
    ):
        np.testing.assert_allclose(
            mean_square_distance(picture, target), distances, atol=1e-6
        )


def test_more_candidates_are_never_worse(case, mean_square_distance):
    tim, inputs, targets, _ = case
    closest = [
        select(
            tim,
            inputs,
            targets,
            distance=mean_square_distance,
            num_samples=[count, 1],
        ).distances[0]
        for count in (1, 3, 9)
    ]
    # A convolution over another number of candidates may round differently.
    assert (closest[0] >= closest[1] - 1e-6).numpy().all()
    assert (closest[1] >= closest[2] - 1e-6).numpy().all()
    assert (closest[0] > closest[2]).numpy().any()


# The running minimum alone, on tables of distances.


def best_of(table, chunk):
    table = tf.constant(table, tf.float32)
    batch, count = table.shape
    names = tf.reshape(tf.range(batch * count), (batch, count))

    def candidates(first, n):
        rows = slice(first, first + n)
        return table[:, rows], (tf.reshape(names[:, rows], [-1, 1]),)

    return _best_candidate(
        candidates, count, chunk, batch, [((batch, 1), "int32")]
    )


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 8, 50])
def test_running_minimum_is_the_minimum(chunk):
    rng = np.random.default_rng(0)
    for _ in range(3):
        # Few values, so that there are ties: the first of equals wins.
        table = rng.integers(0, 4, (5, 8)).astype("float32")
        best = best_of(table, chunk)
        winners = table.argmin(axis=1)
        np.testing.assert_array_equal(best.index, winners)
        np.testing.assert_array_equal(best.distance, table.min(axis=1))
        np.testing.assert_array_equal(
            best.values[0][:, 0], 8 * np.arange(5) + winners
        )


@pytest.mark.parametrize("chunk", [1, 2, 3, 4])
def test_nan_never_wins(chunk):
    nan, inf = np.nan, np.inf
    table = [
        [nan, 2.0, nan, 1.0],
        [3.0, nan, nan, nan],
        [nan, nan, 5.0, nan],
        [inf, 7.0, nan, inf],
    ]
    best = best_of(table, chunk)
    np.testing.assert_array_equal(best.index, [3, 0, 2, 1])
    np.testing.assert_array_equal(best.distance, [1.0, 3.0, 5.0, 7.0])
    assert np.ravel(best.values[0]).tolist() == [3, 4, 10, 13]


def test_diverging_candidates_are_passed_over(case, mean_square_distance):
    tim, inputs, targets, (winners, _) = case
    plain = select(
        tim,
        inputs,
        targets,
        distance=mean_square_distance,
        num_samples=[6, 1],
    )

    def diverging(pictures, targets):
        distances = mean_square_distance(pictures, targets)
        # Whoever was best diverges.
        floor = tf.reduce_min(plain.distances[0])
        return tf.where(distances <= floor * 1.0001, np.nan, distances)

    other = select(tim, inputs, targets, distance=diverging, num_samples=[6, 1])
    lost = int(np.argmin(plain.distances[0]))
    assert other.indices[0][lost] != plain.indices[0][lost]
    assert np.isfinite(other.distances[0]).all()
    kept = [i for i in range(3) if i != lost]
    assert [int(other.indices[0][i]) for i in kept] == [
        int(winners[0][i]) for i in kept
    ]


def test_distance_features_of_targets_are_made_once(case):
    tim, inputs, targets, _ = case

    class Counting(keras.layers.Layer):
        seen = 0

        def features(self, pictures):
            Counting.seen += pictures.shape[0]
            return pictures

        def compare(self, a, b):
            return tf.reduce_mean((a - b) ** 2, axis=(-3, -2, -1))

        def build(self, *shapes):
            pass

        def call(self, a, b):
            return self.compare(self.features(a), self.features(b))

    select(
        tim,
        inputs,
        targets,
        distance=Counting(),
        num_samples=[6, 4],
        candidate_chunk=100,
    )
    # Three images: two targets each, and six and four candidates.
    assert Counting.seen == 3 * 2 + 3 * 6 + 3 * 4
