"""ONNX models as networks of loop nests. Importing this does not import onnx; `load` does."""

from frontends.onnx.binding import Binding, Result, View, binding_of, pack, unpack
from frontends.onnx.describe import describe
from frontends.onnx.files import short_names
from frontends.onnx.load import OnnxModel, load

__all__ = ["Binding", "OnnxModel", "Result", "View", "binding_of", "describe", "load", "pack", "short_names", "unpack"]
