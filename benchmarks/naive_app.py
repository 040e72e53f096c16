"""The usual demo, to compare with: one process that imports torch, loads the model and serves the page."""

from __future__ import annotations

import os
from typing import Any

import gradio as gr
import torch
from diffusers import StableDiffusionPipeline

from studio.models.catalog import Catalog
from studio.settings import Settings

pipe = StableDiffusionPipeline.from_pretrained(
    Catalog(Settings()).location("starter"),
    torch_dtype=torch.float32,
    local_files_only=True,
)
pipe.set_progress_bar_config(disable=True)


def draw(prompt: str, seed: float, steps: float):
    generator = torch.Generator("cpu").manual_seed(int(seed))
    result: Any = pipe(prompt=prompt, num_inference_steps=int(steps), generator=generator)
    return result.images[0]


with gr.Blocks(analytics_enabled=False) as demo:
    words, number, count = gr.Textbox(label="Prompt"), gr.Number(0, label="Seed"), gr.Slider(1, 150, 16, label="Steps")
    picture = gr.Image(type="pil")
    gr.Button("Draw").click(draw, [words, number, count], picture, api_name="draw")

if __name__ == "__main__":
    demo.queue(max_size=None).launch(server_name="127.0.0.1", server_port=int(os.environ["STUDIO_PORT"]), quiet=True)
