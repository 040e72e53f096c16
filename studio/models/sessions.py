"""ONNX models, as they are run here: on the processor. No torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def session(file: Path, threads: int) -> Any:
    """An `onnxruntime.InferenceSession` on the processor. Raises `ValueError` for what is no sound ONNX model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for the next picture must not keep the cores busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        raise ValueError(str(error)) from error
