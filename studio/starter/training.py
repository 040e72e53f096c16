"""The one training loop of the recipes: budgets, learning rate, averaged weights, checkpoints, logs."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

Losses = dict[str, torch.Tensor]


class Loop:
    """Trains `model` until its minutes or its steps are used up, counted over all sittings.

    On a processor the minutes are those that all its threads really worked: a training in the background of a busy
    machine loses none of its budget.

    The learning rate warms up, stays, and falls linearly to zero over the last half. `state.pt` in `folder` holds
    everything that a later sitting needs; `log.jsonl` gets one line every few seconds.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        rate: float,
        minutes: float,
        max_steps: int | None = None,
        ema: float = 0.998,
        decay: float = 0.01,
    ) -> None:
        self.folder, self.model = folder, model
        self.rate, self.seconds, self.max_steps, self.ema_rate = rate, minutes * 60, max_steps, ema
        folder.mkdir(parents=True, exist_ok=True)
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.99), weight_decay=decay, fused=True)
        self.step, self.spent = 0, 0.0
        if (folder / "state.pt").exists():
            state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
            model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.spent = state["step"], state["spent"]

    def go_on_from_average(self) -> None:
        """Give the live model the averaged weights, the ones that other models were built upon."""
        self.model.load_state_dict(self.average.state_dict())

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the budget is used up."""
        by_steps = self.step / self.max_steps if self.max_steps else 0.0
        return max(by_steps, self.spent / self.seconds)

    def learning_rate(self) -> float:
        warm = min(1.0, (self.step + 1) / 150)
        return self.rate * warm * min(1.0, max(0.0, 2 * (1 - self.progress)))

    def run(self, losses: Callable[[int], Losses], save_minutes: float = 3.0) -> None:
        """Call `losses(step)` until done; their sum is what is minimised."""
        threads, looked = torch.get_num_threads(), 0.0
        shown: dict[str, float] = {}
        last = logged = saved = time.monotonic()
        worked_before = time.process_time()
        while self.progress < 1:
            for group in self.optimiser.param_groups:
                group["lr"] = self.learning_rate()
            self.model.train()
            parts = losses(self.step)
            torch.stack(list(parts.values())).sum().backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
            self._blend()
            self.step += 1
            now, worked = time.monotonic(), time.process_time()
            on_cpu = next(self.model.parameters()).device.type == "cpu"
            self.spent += (worked - worked_before) / threads if on_cpu else now - last
            last, worked_before = now, worked
            if now - looked > 60:
                looked = now
                torch.set_num_threads(unhurried(threads))
            for key, value in parts.items():
                now_value = float(value.detach())
                shown[key] = 0.95 * shown.get(key, now_value) + 0.05 * now_value
            if now - logged > 10 or self.progress >= 1:
                logged = now
                self.log({k: round(v, 5) for k, v in shown.items()})
            if now - saved > save_minutes * 60:
                saved = now
                self.save()
        torch.set_num_threads(threads)
        self.save()

    def log(self, values: dict[str, Any]) -> None:
        row = {"step": self.step, "spent": round(self.spent, 1), "rate": round(self.learning_rate(), 7), **values}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "average": self.average.state_dict(),
                 "optimiser": self.optimiser.state_dict(), "step": self.step, "spent": self.spent}  # fmt: skip
        torch.save(state, self.folder / "state.tmp")
        (self.folder / "state.tmp").replace(self.folder / "state.pt")

    @torch.no_grad()
    def _blend(self) -> None:
        keep = min(self.ema_rate, (1 + self.step) / (10 + self.step))
        average, live = self.average.state_dict(), self.model.state_dict()
        floats = [k for k, v in average.items() if v.is_floating_point()]
        torch._foreach_lerp_([average[k] for k in floats], [live[k] for k in floats], 1 - keep)
        for key in average.keys() - set(floats):
            average[key].copy_(live[key])


def unhurried(threads: int) -> int:
    """How many of `threads` to use now: all on a quiet machine, one where others work.

    Threads that must wait for each other at every layer lose most of their time when they are interrupted in turn
    (measured on two busy cores: 1.9 s of work for a step on two threads, 0.75 s on one).
    """
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return 1 if busy > threads + 1 else threads


def seed(folder: Path, model: nn.Module, rate: float) -> None:
    """Make `model` the first checkpoint of `folder`, unless there is one already."""
    if not (folder / "state.pt").exists():
        Loop(folder, model, rate, minutes=1).save()


def averaged(folder: Path, model: nn.Module) -> nn.Module:
    """`model` with the averaged weights of the checkpoint in `folder`."""
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(state["average"])
    return model.eval().requires_grad_(False)
