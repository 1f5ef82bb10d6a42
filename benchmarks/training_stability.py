"""How training goes: one input's output at chosen steps, above the loss.

Trains one model and keeps, every so many gradient steps, its answer to one
input that it does not learn from, always with the same codes; below stands the
loss of every selection round. `--gan` does the same for the conditional GAN of
conditional_gan.py: the same network, the same photos, the same number of
gradient steps and examples per step.

    python benchmarks/training_stability.py --output=stability \
        --photos=TRAIN_FOLDER --test_photos=TEST_FOLDER --gan

Writes `training_stability.png` and `.json`. Without folders the photos bundled
with scikit-image are used. A killed training of the TIM goes on after its last
epoch; what is finished is not repeated.
"""

import os

import numpy as np
from absl import app, flags, logging
from charts import BLUE, GREY, RED, Chart
from conditional_gan import train_gan
from course import Course
from study import (
    define_photo_flags,
    recipe_of_test_photos,
    test_crops,
    trained,
)

from keras_tim import LPIPS, TIM
from keras_tim.files import read_json, write_json
from keras_tim.images import read_picture, write_picture
from keras_tim.images.sheets import contact_sheet, stacked
from keras_tim.metrics import lpips_to_target
from keras_tim.runs import RunSettings, train

# What each method's curves are, by the name of the logged value.
CURVES = {
    "tim": {"loss": BLUE},
    "gan": {"generator": BLUE, "discriminator": RED},
}
TITLES = {"tim": "TIM, trained by cIMLE", "gan": "conditional GAN"}

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "training_stability", "where the results go")
flags.DEFINE_enum(
    "task", "super_resolution", ["super_resolution", "decompression"], "task"
)
flags.DEFINE_integer("steps", None, "gradient steps; the task's own if none")
flags.DEFINE_integer("pictures", 8, "pictures of each strip", lower_bound=2)
flags.DEFINE_integer("crop", 96, "side of the crops, trained on and shown")
flags.DEFINE_integer("test_crop", 0, "which of the test crops")
flags.DEFINE_integer("seed", 0, "seed of everything")
flags.DEFINE_bool("gan", False, "show the conditional GAN, too")
define_photo_flags()


def example_of(settings):
    """The test input, with its name and the observed output."""
    recipe = recipe_of_test_photos(settings)
    tim = TIM.from_preset(settings.preset)
    listed = test_crops(tim, recipe, FLAGS.crop, count=10**6)
    if not 0 <= FLAGS.test_crop < len(listed):
        raise ValueError(
            f"`test_crop` must be from 0 to {len(listed) - 1}. Received: "
            f"test_crop={FLAGS.test_crop}"
        )
    name, read = listed[FLAGS.test_crop]
    return (name, *read())


def course_of(method, settings, given):
    """Trains the method where that is not done.

    Args:
        method: "tim" or "gan".
        settings: the `RunSettings`.
        given: array `[h, w, channels]`, the test input.

    Returns:
        Tuple of the content of `course.json` and the pictures of the strip.
    """
    folder = os.path.join(FLAGS.output, method)
    kept = os.path.join(folder, "course")

    def draw(model):
        tim = model.tim if method == "gan" else model
        return tim.sample(given[None], num_samples=1, seed=settings.seed)[0, 0]

    chosen = np.linspace(0, settings.steps, FLAGS.pictures).round().astype(int)
    course = Course(kept, chosen.tolist(), draw, CURVES[method])
    trained(
        folder,
        settings,
        train_gan if method == "gan" else train,
        callbacks=[course],
    )
    content = read_json(os.path.join(kept, "course.json"))
    pictures = [
        read_picture(os.path.join(kept, entry["file"]))
        for entry in content["pictures"]
    ]
    return content, pictures


def figure(method, course, pictures, example, tim):
    """The method's strip above its curves.

    Args:
        method: "tim" or "gan".
        course: content of `course.json`.
        pictures: list of arrays `[height, width, 3]`.
        example: tuple of name, input and observed output.
        tim: a `TIM` of the task.

    Returns:
        Float array `[height, width, 3]`.
    """
    name, given, target = example
    steps = [entry["step"] for entry in course["pictures"]]
    distances = lpips_to_target(np.stack(pictures), target, LPIPS("alex"))
    strip = contact_sheet(
        [[tim.shown(given), *pictures, target]],
        column_titles=[
            "input",
            *(
                f"step {step}\nLPIPS {distance:.3f}"
                for step, distance in zip(steps, distances, strict=True)
            ),
            "observed",
        ],
        title=f"{TITLES[method]}: {name}, the same codes at every step",
    )
    rounds = course["rounds"]
    at = [entry["step"] for entry in rounds]
    curves = {
        label: [entry[label] for entry in rounds] for label in CURVES[method]
    }
    highest = max(max(values) for values in curves.values())
    chart = Chart(
        (strip.shape[1], 300),
        (0, max(at)),
        (0.0, 1.05 * highest),
        {step: str(step) for step in steps},
        title="loss of every round" if method == "tim" else "losses",
        x_title="gradient steps",
    )
    for step in steps:
        chart.line([(step, 0.0), (step, 1.05 * highest)], GREY, width=1)
    for number, (label, values) in enumerate(curves.items()):
        colour = CURVES[method][label]
        chart.line(list(zip(at, values, strict=True)), colour)
        place = (0.8 * max(at), (0.95 - 0.08 * number) * highest)
        chart.label(*place, label, colour)
    return stacked([strip, chart.picture])


def main(_):
    """Trains what is missing and draws the figure."""
    logging.set_verbosity(logging.INFO)
    settings = RunSettings.of_task(
        FLAGS.task,
        data=FLAGS.photos,
        downsample=FLAGS.downsample,
        crop_size=FLAGS.crop,
        steps=FLAGS.steps,
        seed=FLAGS.seed,
    )
    example = example_of(settings)
    tim = TIM.from_preset(settings.preset, load_weights=False)
    figures, courses = [], {}
    for method in ("tim", "gan") if FLAGS.gan else ("tim",):
        courses[method], pictures = course_of(method, settings, example[1])
        figures.append(figure(method, courses[method], pictures, example, tim))
    write_json(os.path.join(FLAGS.output, "training_stability.json"), courses)
    path = os.path.join(FLAGS.output, "training_stability.png")
    write_picture(path, stacked(figures))
    print(path)


if __name__ == "__main__":
    app.run(main)
