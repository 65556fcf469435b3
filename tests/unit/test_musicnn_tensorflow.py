"""musicnn here against the package's own graph in TensorFlow, where both are importable.

pip install --target FOLDER tensorflow-cpu && pip install --no-deps --target FOLDER musicnn==0.1.0
PYTHONPATH=FOLDER python -m pytest tests/unit/test_musicnn_tensorflow.py
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mediaml.nets.musicnn import BANDS, FRAMES, MusicLogMel, Musicnn
from tests.audio_blocks import noise

RATE, SAMPLES = 16000, 186 * 256 + 512


def signals() -> np.ndarray:
    """(4, SAMPLES): chords with a beat, a glide, noise, near silence."""
    t = np.arange(SAMPLES) / RATE
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 277.2, 329.6)) * (0.3 + 0.7 * (np.sin(4 * np.pi * t) > 0))
    glide = np.sin(2 * np.pi * (200 * t + 300 * t**2))
    hiss = noise(SAMPLES / RATE, RATE, 1)[0]
    return np.stack([0.1 * chord, 0.2 * glide, hiss, 0.001 * hiss]).astype(np.float32)


def graph(folder: Path) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(N, 187, 96) log-mels -> (tags (N, 50), penultimate (N, 200)) by the part of the saved graph that leads there."""
    import tensorflow

    tf = tensorflow.compat.v1
    tags, hidden = "model/Sigmoid", "model/batch_normalization_10/batchnorm/add_1"
    meta = tf.MetaGraphDef()
    meta.ParseFromString((folder / ".meta").read_bytes())
    made = tf.Graph()
    with made.as_default():
        # Its gradients do not pass the checks of newer versions.
        tf.import_graph_def(tf.graph_util.extract_sub_graph(meta.graph_def, [tags, hidden]), name="")
    stored = tf.train.NewCheckpointReader(f"{folder}/")
    variables = {f"{o.name}:0": stored.get_tensor(o.name) for o in made.get_operations() if o.type == "VariableV2"}
    session = tf.Session(graph=made)

    def run(log_mel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given = variables | {"model/Placeholder:0": log_mel, "model/Placeholder_2:0": False}
        return tuple(session.run([f"{tags}:0", f"{hidden}:0"], given))

    return run


def test_tags_and_embeddings_are_those_of_the_packages_graph() -> None:
    pytest.importorskip("tensorflow", reason="tensorflow is not importable")
    package = importlib.util.find_spec("musicnn")
    if package is None or package.origin is None:
        pytest.skip("the package musicnn is not importable")
    folder = Path(package.origin).parent / "MTT_musicnn"
    log_mel = MusicLogMel()(torch.from_numpy(signals()))
    assert log_mel.shape == (4, FRAMES, BANDS)
    net = Musicnn.from_files(folder / ".index", folder / ".data-00000-of-00001")
    with torch.inference_mode():
        scores, vectors = net(log_mel)
    theirs, hidden = graph(folder)(log_mel.numpy())
    np.testing.assert_allclose(scores.numpy(), theirs, atol=1e-5)
    np.testing.assert_allclose(vectors.numpy(), hidden, atol=1e-4, rtol=1e-4)
