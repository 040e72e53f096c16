"""The safety slot: whatever judges pictures is asked here, and anything but a clean "allow" means no picture."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from PIL import Image

from studio.errors import StudioError

TIMEOUT = 60.0
"""Seconds a checker may take for one picture, its first load included."""


@dataclass(frozen=True)
class Verdict:
    decision: Literal["allow", "block", "error"]
    scores: dict[str, float] = field(default_factory=dict)
    """Label -> probability, 0 to 1."""
    model: str = ""


class SafetyChecker(Protocol):
    def check(self, image: Image.Image) -> Verdict:
        """Judge one finished RGB picture. May raise: that counts as "error"."""
        ...


class ClassifierChecker:
    """A transformers image-classification model in a local folder; blocks when its "nsfw" label reaches 0.5."""

    def __init__(self, folder: str | Path, threshold: float = 0.5) -> None:
        self.folder, self.threshold = Path(folder), threshold
        self._loaded: tuple[Any, Any] | None = None

    def check(self, image: Image.Image) -> Verdict:
        import torch

        processor, model = self._load()
        with torch.inference_mode():
            logits = model(**processor(images=image.convert("RGB"), return_tensors="pt")).logits[0].float()
        names = {int(index): str(label).lower() for index, label in model.config.id2label.items()}
        scores = {names[index]: float(score) for index, score in enumerate(logits.softmax(-1))}
        return Verdict("block" if scores["nsfw"] >= self.threshold else "allow", scores, self.folder.name)

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoImageProcessor, AutoModelForImageClassification

            options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
            model = AutoModelForImageClassification.from_pretrained(self.folder, use_safetensors=True, **options).eval()
            labels = sorted(str(label).lower() for label in model.config.id2label.values())
            if "nsfw" not in labels:
                raise ValueError(f"its labels are {', '.join(labels)}, none is 'nsfw'")
            self._loaded = AutoImageProcessor.from_pretrained(self.folder, **options), model
        return self._loaded


def judge(checker: SafetyChecker, image: Image.Image, timeout: float = TIMEOUT) -> Verdict:
    """The checker's verdict when it is a well-formed "allow"; raises `StudioError` for everything else.

    An exception, a hang, NaN, a malformed answer: each stops the picture (fails closed).
    """
    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(checker.check(image))
        except BaseException as error:  # whatever it is, the picture stays inside
            answer.append(error)

    thread = threading.Thread(target=ask, name="safety", daemon=True)
    thread.start()
    thread.join(timeout)
    verdict = answer[0] if answer else f"no answer within {timeout:.0f} s"
    if not isinstance(verdict, Verdict):
        reason = str(verdict) or type(verdict).__name__
    elif not all(isinstance(score, float) and math.isfinite(score) for score in verdict.scores.values()):
        reason = "its scores are not finite numbers"
    elif verdict.decision == "block":
        raise StudioError("The safety checker blocked this picture; change the prompt or the seed.", status=422)
    elif verdict.decision != "allow":
        reason = f"it answered {verdict.decision!r}"
    else:
        return verdict
    raise StudioError(
        f"The safety checker could not judge this picture ({' '.join(reason.split())[:200]}), so it was not kept; "
        "set STUDIO_SAFETY_MODEL to a working model folder.",
        status=500,
    )
