"""What Keras' backends do differently: one module for each, the same names."""

import keras

if keras.backend.backend() == "jax":
    from keras_tim.imle import jax_backend as backend
else:
    from keras_tim.imle import tensorflow_backend as backend

__all__ = ["backend"]
