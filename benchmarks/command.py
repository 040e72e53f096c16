"""One picture from the command line, with nothing running before it; against a script of plain diffusers."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import ROOT, Row, alternate
from studio.settings import Settings

PROMPT = "a red apple on a blue background"
SCRIPT = """
import sys, torch
from diffusers import StableDiffusionPipeline
pipe = StableDiffusionPipeline.from_pretrained(sys.argv[1], torch_dtype=torch.float32)
picture = pipe(sys.argv[2], num_inference_steps=16, generator=torch.Generator().manual_seed(1)).images[0]
picture.save(sys.argv[3])
"""


def rows(quick: bool) -> list[Row]:
    wall: tuple[list[float], list[float]] = ([], [])
    painter = Settings().starter_dir / "painter"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        studio = [
            "-m",
            "studio",
            "text-to-image",
            "--prompt",
            PROMPT,
            "--steps",
            "16",
            "--seed",
            "1",
            "--model",
            "starter",
        ]
        plain = ["-c", SCRIPT, str(painter), PROMPT, str(folder / "plain.png")]
        environment = os.environ | {"STUDIO_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)}

        def run(arguments: list[str], side: int) -> float:
            """CPU seconds of the process and its children."""
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
            wall[side].append(time.perf_counter() - started)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        cpu = alternate(lambda: run(studio, 0), lambda: run(plain, 1), 2 if quick else 8)
    against = "a script of plain diffusers that loads the model, draws and saves"
    return [
        Row("`python -m studio text-to-image`, cold: one picture, 16 steps", "CPU s", *cpu, against),
        Row("the same", "s", wall[0][1:], wall[1][1:], against),
    ]
