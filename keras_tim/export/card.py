"""The model card: what an exported model is, takes, gives and has learned."""

import importlib.metadata
import json
import os

# Convolutions of another library add up in another order.
KERNELS = "TF_ENABLE_ONEDNN_OPTS"


def model_card(
    generator,
    name,
    signatures,
    limits,
    training,
    measures,
    classes=None,
    tile=None,
):
    """Describes an exported model.

    Args:
        generator: the `keras_tim.models.generator.Generator`.
        name: str, what the model is called.
        signatures: dict from name to `(inputs, outputs)`, dicts from name to
            `tf.TensorSpec`.
        limits: the `keras_tim.export.limits.Limits`.
        training: dict of what the model was trained with, or None.
        measures: list of dicts, one per measured example, or None.
        classes: for layouts: the `keras_tim.data.Classes` that label maps are
            read by.
        tile: int, side of the tiles that large pictures are made in, or None.

    Returns:
        dict that `json.dump` takes. Sides that are not fixed are -1.
    """
    tim = generator.tim
    return {
        "name": name,
        "task": tim.task,
        "architecture": tim.architecture,
        "levels": tim.num_levels,
        "parameters": tim.count_params(),
        "dtype": generator.tim.dtype_policy.name,
        "frozen": generator.frozen,
        "input": {
            "meaning": tim.task_definition.input_meaning,
            "encoded": tim.task_definition.encoded_meaning,
            "channels": tim.input_channels,
            "sides_are_multiples_of": tim.input_multiple,
            "height_and_width": tim.fixed_size,
            # In the order of the channels.
            "classes": classes
            and [
                {"name": name, "ids": list(ids)}
                for name, ids in zip(classes.names, classes.ids, strict=True)
            ],
        },
        "output": {"times_as_high_and_wide": generator.output_factor},
        "signatures": {
            key: {"inputs": _described(inputs), "outputs": _described(outputs)}
            for key, (inputs, outputs) in signatures.items()
        },
        "limits_of_a_request": dict(vars(limits)),
        "bytes_per_output_pixel": generator.bytes_per_output_pixel,
        # Larger pictures are made in squares of so many pixels on a side.
        "tile": tile,
        "training": training,
        "measures": measures,
        "packages": {
            package: importlib.metadata.version(package)
            for package in ("keras-tim", "keras", "tensorflow")
        },
        # None: TensorFlow chose by the processor.
        "environment": {KERNELS: os.environ.get(KERNELS)},
    }


def _described(specifications):
    return {
        name: {
            "dtype": specification.dtype.name,
            "shape": [
                -1 if side is None else side for side in specification.shape
            ],
        }
        for name, specification in specifications.items()
    }


def card_text(card):
    """The card as Markdown.

    Args:
        card: dict as from `model_card`.

    Returns:
        str.
    """
    multiple = card["input"]["sides_are_multiples_of"]
    sides = "any number of pixels"
    if multiple > 1:
        sides = (
            f"multiples of {multiple} pixels; encoded pictures are padded to "
            "them, and the answers cropped"
        )
    if card["input"]["height_and_width"]:
        sides = "{} x {} pixels".format(*card["input"]["height_and_width"])
    weights = "constants in the graph" if card["frozen"] else "variables"
    kernels = card["environment"][KERNELS]
    kernels = "unset" if kernels is None else f"= {kernels}"
    facts = {
        "Task": f"{card['task']}, one input, many plausible answers",
        "Model": f"Tower Implicit Model ({card['architecture']}), "
        f"{card['levels']} levels, {card['parameters']:,} parameters",
        "Weights": f"{card['dtype']}, {weights}",
        "Input": f"{card['input']['meaning']}; {card['input']['channels']} "
        "channels in [0, 1], channels last",
        "Encoded input": card["input"]["encoded"],
        "Sides of the input": sides,
        "Output": "RGB picture in [0, 1], "
        f"{card['output']['times_as_high_and_wide']} times as high and wide",
        "Made with": ", ".join(f"{k} {v}" for k, v in card["packages"].items()),
    }
    classes = card["input"]["classes"]
    if classes is not None:
        facts["Classes"] = ", ".join(
            f"{entry['name']} {'/'.join(map(str, entry['ids']))}"
            for entry in classes
        )
    parts = [
        f"# {card['name']}",
        _table(["", ""], facts.items()),
        "The same seed and index give the same picture, whatever else is asked "
        "for in the same request or beside it. Bit for bit they are those of "
        "the model on machines of the same kind with the same TensorFlow and "
        f"`{KERNELS}`, which was {kernels} where this was exported.",
        "## Signatures",
        _table(
            ["Signature", "Inputs", "Outputs"],
            (
                [name, _listed(entry["inputs"]), _listed(entry["outputs"])]
                for name, entry in card["signatures"].items()
            ),
        ),
        "## Limits of a request",
        _table(["", ""], _formatted(card["limits_of_a_request"])),
        _memory(card),
        "## Training",
        _table(["", ""], _formatted(card["training"]))
        if card["training"]
        else "Not stated.",
        "## Measures",
        _measures(card["measures"]),
    ]
    return "\n\n".join(parts) + "\n"


def _memory(card):
    each = card["bytes_per_output_pixel"]
    largest, tile = card["limits_of_a_request"]["output_pixels"], card["tile"]
    made = largest if tile is None else min(largest, tile**2)
    text = (
        f"The making of an alternative takes about {each:,} bytes of memory "
        f"per output pixel: up to {each * made / 1e9:.1f} GB within the "
        "limits, besides the weights, for every request that is worked on at "
        "once."
    )
    if tile is None or largest <= tile**2:
        return text
    return (
        f"{text} Larger ones are made in tiles of {tile} x {tile} pixels, and "
        "take besides what the answer takes."
    )


def _measures(rows):
    if not any(rows or ()):
        return "None stated."
    columns = [_flat(row) for row in rows]
    name, *keys = dict.fromkeys(key for column in columns for key in column)
    return _table(
        [name, *(_value(column.get(name, "")) for column in columns)],
        (
            [key, *(_value(column.get(key, "")) for column in columns)]
            for key in keys
        ),
    )


def _flat(row):
    """Measures of an example without those of every sample."""
    flat = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {
                f"{name}: {key}": inner
                for key, inner in value.items()
                if not isinstance(inner, list)
            }
        else:
            flat[name] = value
    return flat


def _formatted(values):
    return [(name, _value(value)) for name, value in values.items()]


def _value(value):
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _listed(tensors):
    return "; ".join(
        f"{name} {entry['dtype']} {entry['shape']}"
        for name, entry in tensors.items()
    )


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
