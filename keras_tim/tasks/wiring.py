"""`LevelWiring`: resizing within a level of the tower."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class LevelWiring:
    """What follows a level's body, and where its output is taken.

    Attributes:
        resize: "up", "same" or "none", see `keras_tim.layers.TowerModule`.
        output_before_resize: bool, whether the output is taken before it.
    """

    resize: str
    output_before_resize: bool = False

    @property
    def output_factor(self):
        """Size of the level's output relative to its input, 1 or 2."""
        return 2 if self.resize == "up" and not self.output_before_resize else 1


def same_size_wiring(num_levels, last="none"):
    """Levels whose outputs are as large as their inputs.

    Outputs are taken before the enlargement, which hands the feature on to a
    level of twice the size.

    Args:
        num_levels: int.
        last: str, what stands at the last level in place of the enlargement:
            "none" or "same".

    Returns:
        List of `LevelWiring`, coarsest first.
    """
    return [
        *[LevelWiring("up", output_before_resize=True)] * (num_levels - 1),
        LevelWiring(last),
    ]
