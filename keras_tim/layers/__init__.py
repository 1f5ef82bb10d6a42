"""Keras layers of the tower."""

from keras_tim.layers.modulation import MappingNetwork, Modulation
from keras_tim.layers.rrdb import RRDB, DenseBlock
from keras_tim.layers.tower import TowerModule
from keras_tim.layers.weight_norm import WeightNormConv2D

__all__ = [
    "RRDB",
    "DenseBlock",
    "MappingNetwork",
    "Modulation",
    "TowerModule",
    "WeightNormConv2D",
]
