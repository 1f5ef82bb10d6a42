"""Whether a training on JAX ends where one on TensorFlow does.

Both take the same crops of the photos bundled with scikit-image, the same
settings and numbers of steps, and are measured on crops of a photo that is held
out. First weights, codes and the order of the crops differ between them as
between seeds, so that the means of several seeds are compared.

    python benchmarks/backends.py --output=backends

Writes a JSON file a training, which is not repeated, and `table.md`.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np
from absl import app, flags, logging

BACKENDS = ("tensorflow", "jax")
HELD_OUT = "chelsea"
SIDE = 32  # JAX takes many times as long as TensorFlow for larger ones
CROPS = 256
VALIDATION_CROPS = 24

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "backends", "where the results go")
flags.DEFINE_multi_integer("seed", [0, 1, 2], "seeds")
flags.DEFINE_integer("epochs", 3, "passes over the crops, 64 steps each")
flags.DEFINE_string("result", None, "of the training that this process is")


def crops(photos, count, seed):
    """Random crops `[count, SIDE, SIDE, 3]` and their reductions by four."""
    from keras_tim.layers.resampling import bicubic_picture

    rng = np.random.default_rng(seed)
    targets = []
    for _ in range(count):
        photo = photos[rng.integers(len(photos))]
        top, left = (rng.integers(n - SIDE + 1) for n in photo.shape[:2])
        targets.append(photo[top : top + SIDE, left : left + SIDE])
    targets = np.stack(targets).astype("float32") / np.float32(255.0)
    small = [bicubic_picture(x, (SIDE // 4, SIDE // 4)) for x in targets]
    return np.clip(np.stack(small), 0.0, 1.0).astype("float32"), targets


def train(seed):
    """One training in this process, on the backend that it has."""
    import keras

    from keras_tim import LPIPS, TIM
    from keras_tim.data.photos import sample_photos

    photos = sample_photos(textures=True)
    held_out = photos.pop(HELD_OUT)
    inputs, targets = crops(list(photos.values()), CROPS, 0)
    test_inputs, test_targets = crops([held_out], VALIDATION_CROPS, 1)
    keras.utils.set_random_seed(seed)
    tim = TIM.from_preset("super_resolution_x4_nano", load_weights=False)
    tim.compile(
        keras.optimizers.Adam(1e-3, beta_2=0.99),
        "lpips_alex",
        num_candidates=4,
        images_per_selection=32,
        steps_per_selection=8,
        mini_batch_size=8,
        candidate_chunk=32,
        pixel_weight=0.5,
        seed=seed,
    )
    start = time.process_time()
    history = tim.fit(
        inputs, targets, batch_size=32, epochs=FLAGS.epochs, verbose=0
    ).history
    result = {
        "backend": keras.backend.backend(),
        "seed": seed,
        "steps": int(tim.optimizer.iterations.numpy()),
        "loss": history["loss"][-1],
        "processor_seconds": time.process_time() - start,
    }
    samples = np.asarray(
        tim.sample(test_inputs, num_samples=4, seed=0, batch_size=4)
    )
    for name in ("alex", "vgg"):
        distance = LPIPS(name)
        found = np.stack(
            [
                np.asarray(distance(samples[:, k], test_targets))
                for k in range(samples.shape[1])
            ]
        )
        result[f"lpips_{name}_mean"] = float(found.mean())
        result[f"lpips_{name}_best"] = float(found.min(axis=0).mean())
    return result


def summarised(results):
    """A Markdown table: means over seeds and their standard deviations."""
    from keras_tim.tables import markdown_table

    names = [
        f"lpips_{network}_{which}"
        for network in ("alex", "vgg")
        for which in ("mean", "best")
    ]
    rows = []
    for backend in BACKENDS:
        found = [r for r in results if r["backend"] == backend]
        rows.append(
            [
                backend,
                *(
                    f"{np.mean([r[name] for r in found]):.4f} ± "
                    f"{np.std([r[name] for r in found], ddof=1):.4f}"
                    for name in names
                ),
                f"{np.mean([r['processor_seconds'] for r in found]):.0f}",
            ]
        )
    return markdown_table(["", *names, "CPU s"], rows)


def main(arguments):
    """Trains what is not trained yet, and compares."""
    del arguments
    if FLAGS.result:
        result = train(FLAGS.seed[0])
        with open(FLAGS.result, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
        return
    os.makedirs(FLAGS.output, exist_ok=True)
    results = []
    for seed in FLAGS.seed:
        for backend in BACKENDS:
            path = os.path.join(FLAGS.output, f"{backend}_{seed}.json")
            if not os.path.exists(path):
                subprocess.run(
                    [
                        *(sys.executable, __file__),
                        *(f"--seed={seed}", f"--epochs={FLAGS.epochs}"),
                        f"--result={path}",
                    ],
                    env={**os.environ, "KERAS_BACKEND": backend},
                    check=True,
                )
            with open(path, encoding="utf-8") as file:
                results.append(json.load(file))
            logging.info("%s", results[-1])
    text = summarised(results)
    print(text)
    path = os.path.join(FLAGS.output, "table.md")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    app.run(main)
