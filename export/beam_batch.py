"""Alternatives of a folder of pictures of any size, with Apache Beam.

    pip install -r requirements-beam.txt
    python beam_batch.py --model=models/photos/1 --input='photos/**.jpg' \
        --output=alternatives --count=8 --seed=0

Of `photos/pets/cat.jpg` the output gets `pets/cat.jpg_0_0000.png` to
`pets/cat.jpg_0_0007.png`: the seed, and the number of the alternative. They are
the same on every runner and in every run, so that work that is lost with a
machine is simply done again. What cannot be used is listed, with the reason, in
`refused-*.txt`, and does not stop the rest.

Flags that are not listed by --help go to Beam: `--runner=DataflowRunner` and
its like work on files that all machines see, such as gs://...
"""

import argparse
import os
import posixpath
import re
import uuid
from typing import NamedTuple

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import (
    ModelHandler,
    PredictionResult,
    RunInference,
)
from apache_beam.options.pipeline_options import PipelineOptions

SIGNATURE = "serving_default"
# Alternatives that are asked for at a time. One machine makes these one after
# another; the next ones may be made by another.
CHUNK = 8


class Work(NamedTuple):
    """Some alternatives of one picture."""

    path: str
    content: bytes
    seed: int
    indices: tuple


class Refusal(NamedTuple):
    """Why a picture cannot be used."""

    reason: str


class SavedModelHandler(ModelHandler[Work, PredictionResult, object]):
    """Runs an exported model, loaded once per process.

    Args:
        path: str, the folder of a version.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path

    def load_model(self):
        """Loads the model where it is needed."""
        # With oneDNN, TensorFlow 2.21 crashes or answers wrongly where threads
        # share a model.
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
        import tensorflow as tf

        return tf.saved_model.load(self.path)

    def run_inference(self, batch, model, inference_args=None):
        """Yields a `PredictionResult` per `Work`: PNG files, or a `Refusal`."""
        import tensorflow as tf

        for work in batch:
            try:
                made = model.signatures[SIGNATURE](
                    picture_bytes=tf.constant([work.content]),
                    seed=tf.constant([work.seed], tf.int64),
                    index=tf.constant([work.indices], tf.int64),
                )["alternative_bytes"].numpy()[0]
            # The picture's fault. Everything else is Beam's to try again.
            except tf.errors.InvalidArgumentError as error:
                made = Refusal(_sentence(error.message))
            yield PredictionResult(work, made, self.path)

    def batch_elements_kwargs(self):
        """One `Work` at a time: pictures differ in size."""
        return {"min_batch_size": 1, "max_batch_size": 1}


def _sentence(message):
    """What a person needs of a graph's error, on one line."""
    lines = [
        line
        for line in message.splitlines()
        if line.strip() and not line.startswith("\t [[")
    ]
    return re.sub(r"\{\{.*?\}\} ?", "", lines[-1] if lines else message)


def read_work(file, seed, count):
    """Yields the `Work` that a matched file makes."""
    content = file.read()
    for first in range(0, count, CHUNK):
        indices = tuple(range(first, min(first + CHUNK, count)))
        yield Work(file.metadata.path, content, seed, indices)


def write_alternatives(result, output, base):
    """Writes the PNG files of a result; yields their paths."""
    work = result.example
    name = os.path.relpath(work.path, base) if base else work.path
    for index, png in zip(work.indices, result.inference, strict=True):
        path = FileSystems.join(output, f"{name}_{work.seed}_{index:04d}.png")
        write_whole(path, bytes(png))
        yield path


def write_whole(path, content):
    """Writes a file under a temporary name, then renames it."""
    folder = FileSystems.split(path)[0]
    if not FileSystems.exists(folder):
        try:
            FileSystems.mkdirs(folder)
        except OSError:
            # Another worker was quicker.
            if not FileSystems.exists(folder):
                raise
    partial = f"{path}.{uuid.uuid4().hex}.part"
    with FileSystems.create(partial) as file:
        file.write(content)
    if FileSystems.exists(path):
        FileSystems.delete([path])
    FileSystems.rename([partial], [path])


def fixed_part(pattern):
    """The folder of a pattern before its first wildcard."""
    return posixpath.dirname(re.split(r"[*?\[]", pattern)[0])


def build(pipeline, model, pattern, output, count, seed):
    """Adds everything to a pipeline.

    Args:
        pipeline: a `beam.Pipeline`.
        model: str, the folder of a version.
        pattern: str, of the pictures; `**` matches folders too.
        output: str, a folder.
        count: int, alternatives per picture.
        seed: int.
    """
    results = (
        pipeline
        | "Find" >> fileio.MatchFiles(pattern)
        | "Read" >> fileio.ReadMatches()
        | "Split" >> beam.FlatMap(read_work, seed, count)
        # What one picture makes may go to many machines.
        | "Spread" >> beam.Reshuffle()
        | "Make" >> RunInference(SavedModelHandler(model))
    )
    used, refused = results | "Sort" >> beam.Partition(
        lambda result, _: int(isinstance(result.inference, Refusal)), 2
    )
    _ = used | "Write" >> beam.FlatMap(
        write_alternatives, output, fixed_part(pattern)
    )
    _ = (
        refused
        | "Reason"
        >> beam.Map(lambda r: f"{r.example.path}\t{r.inference.reason}")
        | "Once" >> beam.Distinct()
        | "List"
        >> beam.io.WriteToText(FileSystems.join(output, "refused"), ".txt")
    )


def main(argv=None):
    """Reads the command line and runs the pipeline."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="a version's folder")
    parser.add_argument("--input", required=True, help="a pattern of files")
    parser.add_argument("--output", required=True, help="a folder")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments, rest = parser.parse_known_args(argv)
    options = PipelineOptions(rest, save_main_session=True)
    with beam.Pipeline(options=options) as pipeline:
        build(
            pipeline,
            arguments.model,
            arguments.input,
            arguments.output,
            arguments.count,
            arguments.seed,
        )


if __name__ == "__main__":
    main()
