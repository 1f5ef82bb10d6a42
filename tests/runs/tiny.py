"""`keras-tim` with a preset that trains in seconds.

Run as a program, to be killed.
"""

import signal
import sys

TINY = {
    "task": "super_resolution",
    # Most of a training is to trace it, of two levels twice as much.
    "residual_channels": (4,),
    "growth_channels": (3,),
    "num_blocks": 0,
    "mapping_network": False,
    "style_dim": 4,
    "noise_channels": 2,
    "input_skip": True,
}
FLAGS = (
    "--preset=tiny",
    "--steps=40",
    "--steps_per_selection=1",
    "--images_per_selection=2",
    "--mini_batch_size=1",
    "--num_candidates=2",
    "--candidate_chunk=4",
    "--crop_size=32",
    "--distance=mean_squared_error",
)

if __name__ == "__main__":
    from keras_tim.cli.main import main
    from keras_tim.models.presets import PRESETS, TRAINING

    PRESETS["tiny"] = TINY
    # Background processes of a shell ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    TRAINING["tiny"] = TRAINING["super_resolution_x4_nano"]
    sys.exit(main(sys.argv[1:]))
