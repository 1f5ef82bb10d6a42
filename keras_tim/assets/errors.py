"""What goes wrong with checkpoints."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or does not fit what was asked for."""
