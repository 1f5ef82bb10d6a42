"""Super-resolution trained on JAX, for a GPU that TensorFlow does not reach.

The model, selection and distance are the package's own; what `TIM.compile` and
`keras_tim.data` do in TensorFlow, Algorithm 1 and the crops, is done here in
JAX, with the settings that `tasks.py` has. Needs `pip install jax[cuda13]`, and
no TensorFlow. The crops and codes of a seed are others than TensorFlow's.

    KERAS_BACKEND=jax python benchmarks/jax_training.py --method=tim \
        --photos=TRAIN_FOLDER \
        --output=results/super_resolution_tim/rate1_seed0

The studies go on with the folder, on any machine, as if they had trained the
model: `tasks.py --task=super_resolution --output=results` measures it, with
those of the other `--learning_rate`, 5e-4 for `rate0.5` and 2e-3 for `rate2`,
and of the other `--seed`. Where `--steps` or `--num_samples` were given here,
it wants `--steps` and `--candidates` of the same numbers, since it reports what
it is told. With `--distances=FOLDER` and `--test_photos` it also draws what
`sample_efficiency.py --model=results/super_resolution_tim/rate1_seed0
--output=FOLDER` makes its table of; `--distance` must then be the same for
both.
"""

import concurrent.futures
import dataclasses
import functools
import json
import os
import time

import jax
import keras
import numpy as np
from absl import app, flags, logging
from jax import numpy as jnp
from jax_codes import drawing

from keras_tim.images.pictures import find_pictures, read_picture
from keras_tim.imle.distances import SelectionDistance
from keras_tim.imle.learning_rates import (
    learning_rate_multipliers,
    scaled_learning_rates,
)
from keras_tim.imle.selection import select_hierarchical, select_vanilla
from keras_tim.layers.resampling import bicubic_resize
from keras_tim.models.inputs import check_inputs
from keras_tim.models.presets import PARTS, REGRESSION_WITHOUT, VANILLA_WITHOUT
from keras_tim.tim import TIM

WITHOUT = {
    "tim": (),
    "vanilla": VANILLA_WITHOUT,
    "regression": REGRESSION_WITHOUT,
}
# Rounds of Algorithm 1 that are compiled into one call.
ROUNDS_PER_CALL = 10
# Candidates of each image, and whole codes, that are made at a time.
CHUNK = 32

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "the run's folder", required=True)
flags.DEFINE_string("photos", None, "folder to train on", required=True)
flags.DEFINE_string("preset", "super_resolution_x16_nano", "preset of the TIM")
flags.DEFINE_enum("method", "tim", list(WITHOUT), "what is trained")
flags.DEFINE_integer("steps", 3600, "gradient steps")
flags.DEFINE_float("minutes", None, "time after which training ends early")
flags.DEFINE_integer("crop_size", 96, "side of the training crops")
flags.DEFINE_float("enlarged", 0.4, "share of crops with an enlarged middle")
flags.DEFINE_integer("num_samples", 2, "candidates per image and level")
flags.DEFINE_integer("images_per_selection", 32, "|S|")
flags.DEFINE_integer("steps_per_selection", 12, "M")
flags.DEFINE_integer("mini_batch_size", 8, "images per gradient step")
flags.DEFINE_float("pixel_weight", 0.5, "factor of the pixel term")
flags.DEFINE_float("learning_rate", 1e-3, "initial rate of Adam")
flags.DEFINE_integer("seed", 0, "seed of everything")
flags.DEFINE_enum(
    "distance", "lpips_alex", ["lpips_alex", "lpips_vgg"], "trained and drawn"
)
flags.DEFINE_string("distances", None, "folder for sample_efficiency.py")
flags.DEFINE_string("test_photos", None, "folder of photos to measure on")
flags.DEFINE_multi_integer("per_level", [2, 4, 8, 16, 32], "samples per level")
flags.DEFINE_integer("most", 1024, "whole codes that are drawn per run")
flags.DEFINE_integer("runs", 10, "runs, each with a seed of its own")
flags.DEFINE_integer("crops", 4, "held-out crops")
flags.DEFINE_integer("crop", 128, "their side")


@dataclasses.dataclass(frozen=True)
class Options:
    """What training is told: the flags of the same names."""

    crop_size: int
    enlarged: float
    num_samples: int
    images_per_selection: int
    steps_per_selection: int
    mini_batch_size: int
    pixel_weight: float
    sampling: str
    seed: int


def packed_photos(folder, side):
    """All photos of a folder as one array, and their sizes.

    Args:
        folder: str.
        side: int, of the crops that are to be cut from them, in pixels.

    Returns:
        uint8 array `[count, height, width, 3]`, each photo in the corner, and
        int32 array `[count, 2]` of heights and widths.

    Raises:
        OSError: if the folder is missing or holds no picture.
        ValueError: if a picture cannot be read or is smaller than a crop.
    """
    photos = []
    for path in find_pictures(folder):
        photos.append(read_picture(path, "uint8"))
        if min(photos[-1].shape[:2]) < side:
            raise ValueError(
                f"{path} must measure at least {side} pixels each way, the "
                f"side of the crops. Received: {photos[-1].shape[:2]}. Remove "
                "it, or choose a smaller --crop_size."
            )
    sizes = np.array([photo.shape[:2] for photo in photos], "int32")
    packed = np.zeros((len(photos), *sizes.max(axis=0), 3), "uint8")
    for place, photo in zip(packed, photos, strict=True):
        place[: photo.shape[0], : photo.shape[1]] = photo
    return packed, sizes


def resized(pictures, side):
    """Square pictures of another side, as `keras_tim.data` resizes them."""
    return jnp.clip(bicubic_resize(pictures, side, side), 0.0, 1.0)


def random_crops(key, photos, sizes, count, side, enlarged):
    """Random crops in all eight orientations, see `keras_tim.data`.

    Args:
        key: JAX key.
        photos: what `packed_photos` gives, as is the next.
        sizes: see there.
        count: int, how many.
        side: int, their side in pixels.
        enlarged: float, share of them whose middle is enlarged.

    Returns:
        float32 array `[count, side, side, 3]` in [0, 1].
    """

    def one(key):
        photo_key, top_key, left_key, turn_key = jax.random.split(key, 4)
        photo = jax.random.randint(photo_key, (), 0, len(photos))
        top = jax.random.randint(top_key, (), 0, sizes[photo, 0] - side + 1)
        left = jax.random.randint(left_key, (), 0, sizes[photo, 1] - side + 1)
        crop = jax.lax.dynamic_slice(
            photos, (photo, top, left, 0), (1, side, side, 3)
        )[0]
        flip_rows, flip_columns, turn = jax.random.bernoulli(
            turn_key, shape=(3,)
        )
        crop = jnp.where(flip_rows, crop[::-1], crop)
        crop = jnp.where(flip_columns, crop[:, ::-1], crop)
        return jnp.where(turn, crop.transpose(1, 0, 2), crop)

    keys = jax.random.split(key, count + 1)
    crops = jax.vmap(one)(keys[1:]).astype("float32") / 255.0
    quarter = side // 4
    middle = crops[:, quarter : side - quarter, quarter : side - quarter]
    chosen = jax.random.uniform(keys[0], (count, 1, 1, 1)) < enlarged
    return jnp.where(chosen, resized(middle, side), crops)


def input_and_targets(tim, pictures):
    """What a model is trained on, of the pictures that it is to make.

    Args:
        tim: the `TIM`.
        pictures: array `[batch, side, side, 3]` in [0, 1].

    Returns:
        Tuple of lists over levels: inputs, as `check_inputs` gives them, and
        targets `[batch, height, width, 3]`, coarsest first.
    """
    low = resized(pictures, pictures.shape[1] // tim.scale)
    inputs = check_inputs(tim, low)
    shapes = [
        tim.output_shapes(level, 1, size)[0]
        for level, size in enumerate(tim.noise_sizes(inputs))
    ]
    targets = [resized(pictures, shape[1]) for shape in shapes[:-1]]
    return inputs, [*targets, pictures]


def selected(tim, inputs, features, distance, draw, sampling, num_samples):
    """Selection as the package does it.

    Args:
        tim: as in `select_hierarchical`, as are the next two.
        inputs: list of arrays `[batch, height, width, 3]`.
        features: list over levels of the targets' features.
        distance: a `SelectionDistance`.
        draw: what `drawing` gives.
        sampling: "hierarchical" or "vanilla".
        num_samples: int, candidates at every level, or whole codes.

    Returns:
        A `keras_tim.imle.selection.Selection`.
    """
    if sampling == "hierarchical":
        counts = [num_samples] * tim.num_levels
        return select_hierarchical(
            tim, inputs, features, distance, draw, counts, CHUNK
        )
    supervised = [features[i] for i in tim.supervised_levels]
    return select_vanilla(
        tim, inputs, supervised, distance, draw, num_samples, CHUNK
    )


def training_rounds(tim, optimizer, distance, options):
    """Compiles rounds of Algorithm 1.

    Args:
        tim: the `TIM`.
        optimizer: built Keras optimizer.
        distance: built `SelectionDistance`.
        options: `Options`.

    Returns:
        Function `(state, key, photos, sizes) -> (state, losses)`; the state
        is a tuple of the values of the model's and of the optimizer's
        variables, the photos and their sizes are what `packed_photos` gives.
    """
    variables = tim.trainable_variables

    def with_values(values, function, *arguments):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    def loss_of(values, inputs, codes, features):
        pictures = with_values(values, tim.decode, inputs, codes)
        levels = [
            jnp.mean(distance.compare(distance.features(pictures[i]), target))
            for i, target in zip(tim.supervised_levels, features, strict=True)
        ]
        return sum(levels)

    def one_round(state, key, photos, sizes):
        crop_key, code_key, order_key = jax.random.split(key, 3)
        count = options.images_per_selection
        inputs, targets = input_and_targets(
            tim,
            random_crops(
                crop_key,
                photos,
                sizes,
                count,
                options.crop_size,
                options.enlarged,
            ),
        )
        features = [distance.features(target) for target in targets]
        draw = drawing(
            tim, jax.random.split(code_key, count), tim.noise_sizes(inputs)
        )
        codes = with_values(
            state[0],
            selected,
            tim,
            inputs,
            features,
            distance,
            draw,
            options.sampling,
            options.num_samples,
        ).codes
        supervised = [features[i] for i in tim.supervised_levels]
        group = jax.lax.stop_gradient((inputs, codes, supervised))

        # The images are shuffled anew for every pass through them.
        steps, size = options.steps_per_selection, options.mini_batch_size
        passes = -(-steps * size // count)
        orders = [
            jax.random.permutation(k, count)
            for k in jax.random.split(order_key, passes)
        ]
        rows = jnp.concatenate(orders)[: steps * size].reshape(steps, size)

        def step(state, rows):
            part = jax.tree.map(lambda x: x[rows], group)
            loss, gradients = jax.value_and_grad(loss_of)(state[0], *part)
            with scaled_learning_rates(
                optimizer, learning_rate_multipliers(tim)
            ):
                values, optimizer_values = optimizer.stateless_apply(
                    state[1], gradients, state[0]
                )
            return (values, optimizer_values), loss

        state, losses = jax.lax.scan(step, state, rows)
        return state, jnp.mean(losses)

    @functools.partial(jax.jit, donate_argnums=0)
    def rounds(state, key, photos, sizes):
        return jax.lax.scan(
            lambda state, key: one_round(state, key, photos, sizes),
            state,
            jax.random.split(key, ROUNDS_PER_CALL),
        )

    return rounds


def train(
    tim, photos, sizes, optimizer, distance, options, calls, minutes=None
):
    """Trains a model.

    Args:
        tim: the `TIM`; its variables get the trained values.
        photos: what `packed_photos` gives, as is the next.
        sizes: see there.
        optimizer: Keras optimizer, whose variables get their values, too.
        distance: str, see `SelectionDistance`.
        options: `Options`.
        calls: int, how often `ROUNDS_PER_CALL` rounds are gone through.
        minutes: float, after which it ends early, or None.

    Returns:
        List of the mean losses of the calls.
    """
    optimizer.build(tim.trainable_variables)
    distance = SelectionDistance(distance, options.pixel_weight)
    distance.build(channels=3)
    rounds = training_rounds(tim, optimizer, distance, options)
    photos, sizes = jnp.asarray(photos), jnp.asarray(sizes)
    trained = (tim.trainable_variables, optimizer.variables)
    state = jax.tree.map(lambda variable: jnp.copy(variable.value), trained)
    losses = []
    per_call = ROUNDS_PER_CALL * options.steps_per_selection
    bar = keras.utils.Progbar(calls * per_call, unit_name="step")
    for call in range(calls):
        key = jax.random.fold_in(jax.random.key(options.seed), call)
        state, found = rounds(state, key, photos, sizes)
        losses.append(float(jnp.mean(found)))
        if call == 0:
            # Compiling takes as long as many steps.
            start = time.monotonic()
        bar.update((call + 1) * per_call, [("loss", losses[-1])])
        if minutes and time.monotonic() - start > 60.0 * minutes:
            logging.warning("Ended after %d steps.", (call + 1) * per_call)
            break
    jax.tree.map(lambda variable, value: variable.assign(value), trained, state)
    return losses


def held_out_crops(tim, folder, side, count):
    """Squares of photos, as `study.test_crops` takes them.

    Args:
        tim: a `TIM`.
        folder: str.
        side: int, of the squares, in pixels of the output.
        count: int, how many at most.

    Returns:
        float32 array `[count, side, side, 3]` in [0, 1].

    Raises:
        OSError: if the folder is missing or holds no picture.
        ValueError: if no picture is large enough.
    """
    multiple = tim.output_factor
    squares = []
    for path in find_pictures(folder):
        photo = read_picture(path)
        height, width = (n - n % multiple for n in photo.shape[:2])
        top, left = (
            (photo.shape[0] - height) // 2,
            (photo.shape[1] - width) // 2,
        )
        photo = photo[top : top + height, left : left + width]
        squares += [
            photo[row : row + side, column : column + side]
            for row in range(0, height - side + 1, side)
            for column in range(0, width - side + 1, side)
        ]
    if not squares:
        raise ValueError(
            f"None of the pictures in {folder} measures {side} pixels each "
            "way. Choose a smaller --crop."
        )
    places = np.linspace(0, len(squares) - 1, min(count, len(squares)))
    return np.stack([squares[i] for i in places.round().astype(int)])


def distances_drawn(tim, distance, pictures):
    """Compiles what `sample_efficiency.one_run` does.

    Args:
        tim: the `TIM`.
        distance: built `SelectionDistance`.
        pictures: array `[crops, side, side, 3]` of targets.

    Returns:
        Function of a seed that gives a dict, see `one_run`.
    """
    inputs, targets = input_and_targets(tim, pictures)
    features = [distance.features(target) for target in targets]
    sizes = tim.noise_sizes(inputs)
    crops = len(pictures)

    def kept(count, keys):
        draw = drawing(tim, keys, sizes)
        return selected(
            tim, inputs, features, distance, draw, "hierarchical", count
        ).distances[-1]

    def whole_codes(keys):
        draw = drawing(tim, keys, sizes)

        def some(first):
            codes = [
                draw(level, first, CHUNK) for level in range(tim.num_levels)
            ]
            made = distance.features(tim.decode(inputs, codes)[-1])
            made = jax.tree.map(
                lambda x: x.reshape(crops, CHUNK, *x.shape[1:]), made
            )
            target = jax.tree.map(lambda x: x[:, None], features[-1])
            return distance.compare(made, target)

        # Numbers of their own: what was chosen from is not drawn again.
        firsts = 1_000_000 + CHUNK * jnp.arange(FLAGS.most // CHUNK)
        found = jax.lax.map(some, firsts)
        return found.transpose(1, 0, 2).reshape(crops, -1)

    functions = [functools.partial(kept, count) for count in FLAGS.per_level]
    keys = jax.random.split(jax.random.key(0), crops)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        lowered = [jax.jit(f).lower(keys) for f in [*functions, whole_codes]]
        compiled = list(pool.map(lambda x: x.compile(), lowered))

    def draw_run(seed):
        keys = jax.random.split(jax.random.key(seed), crops)
        *hierarchical, vanilla = [f(keys).tolist() for f in compiled]
        names = map(str, FLAGS.per_level)
        return {
            "hierarchical": dict(zip(names, hierarchical, strict=True)),
            "vanilla": vanilla,
        }

    return draw_run


def write_distances(tim, folder):
    """Draws the runs that are missing in the folder."""
    os.makedirs(folder, exist_ok=True)
    pictures = jnp.asarray(
        held_out_crops(tim, FLAGS.test_photos, FLAGS.crop, FLAGS.crops)
    )
    distance = SelectionDistance(FLAGS.distance)
    distance.build(channels=3)
    draw_run = distances_drawn(tim, distance, pictures)
    bar = keras.utils.Progbar(FLAGS.runs, unit_name="run")
    for seed in range(FLAGS.runs):
        path = os.path.join(folder, f"run_{seed}.json")
        if not os.path.exists(path):
            run = draw_run(seed)
            with open(f"{path}.part", "w") as file:
                json.dump(run, file)
            os.replace(f"{path}.part", path)
        bar.update(seed + 1)


def main(_):
    """Trains where that is not done, and draws distances where asked."""
    logging.set_verbosity(logging.INFO)
    if keras.backend.backend() != "jax":
        raise app.UsageError("Keras must run on JAX: set KERAS_BACKEND=jax.")
    if FLAGS.distances and not FLAGS.test_photos:
        raise app.UsageError("--distances needs --test_photos.")
    path = os.path.join(FLAGS.output, "model.keras")
    if os.path.exists(path):
        tim = keras.models.load_model(path)
    else:
        keras.utils.set_random_seed(FLAGS.seed)
        switches = [PARTS[part] for part in WITHOUT[FLAGS.method]]
        tim = TIM.from_preset(
            FLAGS.preset, **functools.reduce(dict.__or__, switches, {})
        )
        names = {field.name for field in dataclasses.fields(Options)}
        given = {n: FLAGS[n].value for n in names if n in FLAGS}
        if FLAGS.method == "regression":
            # All candidates would be the same.
            given["num_samples"] = 1
        sampling = "vanilla" if FLAGS.method == "vanilla" else "hierarchical"
        options = Options(**given, sampling=sampling)
        per_call = ROUNDS_PER_CALL * options.steps_per_selection
        calls = -(-FLAGS.steps // per_call)
        optimizer = keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                FLAGS.learning_rate, calls * per_call, alpha=0.02
            ),
            beta_2=0.99,
        )
        losses = train(
            tim,
            *packed_photos(FLAGS.photos, options.crop_size),
            optimizer,
            FLAGS.distance,
            options,
            calls,
            FLAGS.minutes,
        )
        os.makedirs(FLAGS.output, exist_ok=True)
        tim.save(f"{path}.part.keras")
        os.replace(f"{path}.part.keras", path)
        with open(os.path.join(FLAGS.output, "losses.json"), "w") as file:
            json.dump(losses, file)
    if FLAGS.distances:
        write_distances(tim, FLAGS.distances)


if __name__ == "__main__":
    app.run(main)
