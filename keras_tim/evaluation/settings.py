"""`EvaluationSettings`: what is measured, with how many samples."""

import dataclasses

from keras_tim.checks import integer


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """What an evaluation is told.

    Attributes:
        num_samples: int, samples per picture.
        seed: int, from which and a picture's name they are drawn.
        nets: names of LPIPS networks, "alex" and "vgg". The first one ranks
            the pictures.
        bandwidths: floats above 0, of the faithfulness-weighted variance.
        crop: int or None: squares of this side, side by side, are measured
            in place of whole pictures.
        count: int or None for all: how many pictures (or squares) are
            measured, spread evenly over all of them.
        fid: bool, whether FID and KID are measured.
        invert: int, for how many pictures codes are looked for that come
            nearest to the observed output, spread evenly over those measured.
        inversion_steps: int, see `TIM.invert`.
        inversion_learning_rate: float, see `TIM.invert`.
        inversion_net: name of the LPIPS network to descend under; what comes
            out is measured with `nets`, too.
    """

    num_samples: int = 10
    seed: int = 0
    nets: tuple = ("alex",)
    bandwidths: tuple = (0.3, 0.2, 0.15)
    crop: int | None = None
    count: int | None = None
    fid: bool = False
    invert: int = 0
    inversion_steps: int = 100
    inversion_learning_rate: float = 0.1
    inversion_net: str = "vgg"

    def __post_init__(self):
        for name, least in (
            ("num_samples", 1),
            ("seed", None),
            ("crop", 1),
            ("count", 1),
            ("invert", 0),
            ("inversion_steps", 1),
        ):
            value = getattr(self, name)
            if value is not None:
                value = integer(name, value, least)
                object.__setattr__(self, name, value)  # it is frozen
        if not self.nets or not set(self.nets) <= {"alex", "vgg"}:
            raise ValueError(
                "`nets` must name alex, vgg or both. Received: "
                f"nets={self.nets!r}"
            )
        if self.inversion_net not in ("alex", "vgg"):
            raise ValueError(
                "`inversion_net` must be alex or vgg. Received: "
                f"inversion_net={self.inversion_net!r}"
            )
        if not all(bandwidth > 0 for bandwidth in self.bandwidths):
            raise ValueError(
                "`bandwidths` must be above 0. Received: "
                f"bandwidths={self.bandwidths!r}"
            )
        if not self.inversion_learning_rate > 0:
            raise ValueError(
                "`inversion_learning_rate` must be positive. Received: "
                f"inversion_learning_rate={self.inversion_learning_rate!r}"
            )
