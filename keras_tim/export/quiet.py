"""TensorFlow's and Keras' exporters without what they say to nobody."""

import contextlib
import warnings

from absl import logging


@contextlib.contextmanager
def quiet_exporters():
    """The scope in which they neither log nor warn of themselves."""
    verbosity = logging.get_verbosity()
    # Among other things the hundreds of tensors that are renamed.
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # The converter uses TensorFlow's own interpreter for int8.
            warnings.filterwarnings(
                "ignore", message=r"\s*Warning: tf\.lite\.Interpreter"
            )
            # Keras asks NumPy for a name that is to come back.
            warnings.filterwarnings(
                "ignore", message=".*np.object", category=FutureWarning
            )
            yield
    finally:
        logging.set_verbosity(verbosity)
