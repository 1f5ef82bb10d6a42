"""`keras-tim` with a preset that trains in seconds.

Run as a program, to be killed.
"""

import sys

TINY = {
    "task": "super_resolution",
    "residual_channels": (4, 3),
    "growth_channels": (3, 2),
    "num_blocks": 1,
    "style_dim": 4,
    "noise_channels": 2,
    "mapping_width": 4,
    "mapping_depth": 1,
    "input_skip": True,
}
FLAGS = (
    "--preset=tiny",
    "--steps=40",
    "--steps_per_selection=1",
    "--images_per_selection=2",
    "--mini_batch_size=1",
    "--num_samples=2",
    "--candidate_chunk=4",
    "--crop_size=32",
    "--distance=mean_squared_error",
)

if __name__ == "__main__":
    from keras_tim.cli.main import main
    from keras_tim.models.presets import PRESETS, TRAINING

    PRESETS["tiny"] = TINY
    TRAINING["tiny"] = TRAINING["super_resolution_x4_nano"]
    sys.exit(main(sys.argv[1:]))
