"""Runs an ONNX file on the CPU with onnxruntime, which is an optional package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import UsageError


class OnnxSession:
    """One model, one thread. Raises UsageError where onnxruntime is not installed."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UsageError(f"{path.name} needs onnxruntime; run: pip install 'mediaml[audio]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._input: str = self._session.get_inputs()[0].name

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first output for the first input."""
        return np.asarray(self._session.run(None, {self._input: values})[0])
