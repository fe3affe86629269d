"""TensorFlow, imported with what the rest of the project relies on, and without its native chatter.

Its C++ side writes to file descriptor 2 before any log level can be set, so the descriptor is turned away for the
import alone. Python's own errors come after that and are seen.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# tensorflow-recommenders is written for Keras 2, which TensorFlow only offers when told so before it is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# oneDNN changes the order of sums with the machine's load; the same seed is to give the same model.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


@contextmanager
def _turned_away() -> Iterator[None]:
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _turned_away():
    import tensorflow as tf
    import tensorflow_recommenders as tfrs

    tf.config.list_physical_devices()  # looks for drivers, and says at length that there are none

__all__ = ["tf", "tfrs"]
