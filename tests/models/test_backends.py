import os
import pathlib
import subprocess
import sys

import numpy as np

from keras_tim import LPIPS

# What a user of another backend runs, without a word of TensorFlow.
ON_JAX = """
import sys
import keras
import numpy as np
from keras_tim import LPIPS, TIM
tim = keras.models.load_model(sys.argv[1])
given = np.load(sys.argv[2])
codes = [(given["style"], given["noise"])]
pictures = tim.decode(given["inputs"], codes)[-1]
np.savez(sys.argv[3], pictures=pictures,
         distances=LPIPS("alex")(pictures, given["target"]))
# What trains presets on a card runs there, too.
sys.path.insert(0, sys.argv[4])
import train_presets
assert keras.backend.backend() == "jax"
assert "tensorflow" not in sys.modules
"""


def test_jax_gives_the_same_pictures_and_distances(
    make_tim, tmp_path, lpips_weights
):
    # Of a single level: JAX compiles every operation of every other size.
    tim = make_tim(residual_channels=(8,), growth_channels=(4,))
    inputs = np.random.RandomState(0).rand(2, 16, 24, 3).astype("float32")
    target = np.random.RandomState(1).rand(2, 32, 48, 3).astype("float32")
    codes = tim.draw_codes(inputs, num_samples=1, seed=0)
    files = [tmp_path / name for name in ("tim.keras", "in.npz", "out.npz")]
    tim.save(files[0])
    parts = {"inputs": inputs, "target": target}
    ((style, noise),) = codes
    parts |= {"style": style, "noise": noise}
    np.savez(files[1], **parts)
    benchmarks = pathlib.Path(__file__).parents[2] / "benchmarks"
    finished = subprocess.run(
        [sys.executable, "-c", ON_JAX, *map(str, [*files, benchmarks])],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    found = np.load(files[2])
    expected = tim.decode(inputs, codes)[-1]
    np.testing.assert_allclose(found["pictures"], expected, atol=1e-5)
    np.testing.assert_allclose(
        found["distances"], LPIPS("alex")(expected, target), atol=1e-5
    )
