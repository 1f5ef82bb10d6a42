"""The error for checkpoints that cannot be read."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or does not fit what was asked for."""
