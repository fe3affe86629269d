"""A trained tower as ONNX, checked against the tower that it came from."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import tf2onnx

from feature_repo.core.errors import BundleError
from feature_repo.features.columns import Columns
from training.retrieval.tensorflow_quiet import tf
from training.retrieval.towers import Tower
from training.retrieval.two_tower import embed

TOLERANCE = 1e-5  # largest difference of a coordinate of a unit vector
OPSET = 17


def export(tower: Tower, inputs: Columns, path: Path) -> float:
    """Write `tower` to `path`; `inputs` are rows to compare both on. Returns the largest difference found.

    Raises:
        BundleError: the exported tower gives other embeddings.
    """
    signature = {name: _spec(name, values) for name, values in inputs.items()}

    @tf.function(input_signature=[signature])  # type: ignore[untyped-decorator]
    def embedding(tensors: dict[str, tf.Tensor]) -> tf.Tensor:
        return tower(tensors)

    tf2onnx.convert.from_function(embedding, input_signature=[signature], opset=OPSET, output_path=str(path))
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    difference = float(np.abs(session.run(None, inputs)[0] - embed(tower, inputs)).max(initial=0.0))
    if difference > TOLERANCE:
        raise BundleError(
            f"{path.name}: expected the tower's embeddings within {TOLERANCE}; got a difference of {difference}"
        )
    return difference


def _spec(name: str, values: np.ndarray[Any, Any]) -> tf.TensorSpec:
    return tf.TensorSpec((None, *values.shape[1:]), tf.as_dtype(values.dtype), name=name)
