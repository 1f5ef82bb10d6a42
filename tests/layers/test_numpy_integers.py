import keras
import numpy as np
import pytest

from keras_tim.layers import (
    RRDB,
    DenseBlock,
    MappingNetwork,
    TowerModule,
    WeightNormConv2D,
)


@pytest.mark.parametrize(
    ("layer_class", "arguments"),
    [
        (WeightNormConv2D, {"filters": 4, "kernel_size": 3}),
        (DenseBlock, {"growth_channels": 2}),
        (RRDB, {"growth_channels": 2}),
        (MappingNetwork, {"width": 4, "depth": 2}),
        (
            TowerModule,
            {
                "residual_channels": 4,
                "growth_channels": 2,
                "num_blocks": 1,
                "output_channels": 3,
                "mapping_width": 4,
                "mapping_depth": 1,
            },
        ),
    ],
)
def test_integers_of_numpy_become_pythons(layer_class, arguments):
    layer = layer_class(**{k: np.int64(v) for k, v in arguments.items()})
    config = layer.get_config()
    assert {name: config[name] for name in arguments} == arguments
    for name in arguments:
        assert type(config[name]) is int
    shapes = {
        MappingNetwork: [(1, 6)],
        TowerModule: [(1, 4, 5, 3), (1, 6), (1, 4, 5, 2)],
    }.get(layer_class, [(1, 4, 5, 4)])
    layer(*(np.ones(shape, "float32") for shape in shapes))
    assert layer_class.from_config(config).get_config() == config
    keras.saving.serialize_keras_object(layer)
    name = next(iter(arguments))
    with pytest.raises(ValueError, match=f"`{name}` must be a positive int"):
        layer_class(**{**arguments, name: 2.5})
