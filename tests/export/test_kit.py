"""The configuration files of the serving kit."""

import pathlib
import re

import pytest

KIT = pathlib.Path(__file__).parents[2] / "export"


def test_models_config_is_understood():
    config = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2",
        reason="tensorflow-serving-api is not installed",
    )
    from google.protobuf import text_format

    parsed = text_format.Parse(
        (KIT / "tf_serving" / "models.config").read_text(),
        config.ModelServerConfig(),
    )
    (model,) = parsed.model_config_list.config
    assert (model.name, model.base_path) == ("photos", "/models/photos")
    assert model.model_version_policy.latest.num_versions == 1


def test_compose_file_names_what_there_is():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    compose = yaml.safe_load((KIT / "docker-compose.yml").read_text())
    serving = compose["services"]["serving"]
    mounted = [x.split(":") for x in serving["volumes"]]
    assert ["./tf_serving", "/config", "ro"] in mounted
    files = re.findall(r"=/config/(\S+)", " ".join(serving["command"]))
    assert sorted(files) == sorted(
        path.name for path in (KIT / "tf_serving").iterdir()
    )
    # A version that is said, and that is new enough.
    default = re.search(
        r":-tensorflow/serving:(\d+)\.(\d+)\.\d+}", serving["image"]
    )
    assert tuple(map(int, default.groups())) >= (2, 20)
    # None of the ports is open to the network.
    assert all(port.startswith("127.0.0.1:") for port in serving["ports"])


def test_manifest_is_an_inference_service():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    path = KIT / "kubernetes" / "inference-service.yaml"
    service, claim = yaml.safe_load_all(path.read_text())
    assert service["kind"] == "InferenceService"
    model = service["spec"]["predictor"]["model"]
    name = claim["metadata"]["name"]
    assert model["storageUri"].startswith(f"pvc://{name}/")
    # Without it KServe takes a version of its own, years older. As text: 2.20
    # would be the number 2.2.
    assert re.fullmatch(r"2\.2\d\.\d+", model["runtimeVersion"])
    labels = service["metadata"]["labels"]
    assert labels["networking.knative.dev/visibility"] == "cluster-local"


def test_readme_names_what_there_is():
    text = (KIT / "README.md").read_text()
    named = set(re.findall(r"`([\w.-]+\.(?:py|yml|txt))`", text))
    there = {
        path.name for path in KIT.iterdir() if path.suffix not in (".md", "")
    }
    assert named == there
