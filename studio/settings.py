"""Settings of one studio, read once from ``STUDIO_*`` variables and passed down; nothing else reads the environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: where ``assets/`` lies."""


class Settings(BaseSettings):
    """Frozen. Every field can be set as ``STUDIO_<FIELD>``, for example ``STUDIO_PORT=8000``."""

    model_config = SettingsConfigDict(env_prefix="STUDIO_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=7860, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    allowed_hosts: str = Field(
        default="", description="Extra Host names to accept, comma separated, e.g. studio.example.org."
    )
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks of reverse proxies whose X-Forwarded-* headers count, comma separated.",
    )
    root_path: str = Field(default="", description="Path under which a reverse proxy serves the studio: /studio.")
    data_dir: Path = Field(default=ROOT / "data", description="Database, pictures, downloaded models.")
    starter_dir: Path = Field(default=ROOT / "assets" / "starter", description="The starter models.")
    tools_dir: Path = Field(default=ROOT / "assets" / "tools", description="The tools that come with the studio.")
    database_url: str = Field(default="", description="SQLAlchemy URL; empty means SQLite in data_dir.")
    default_family: str = Field(default="starter", description="The model used when a request names none.")
    search_model: str = Field(
        default="starter-clip", description="The model that finds and sorts pictures when a request names none."
    )
    device: Literal["auto", "cuda", "mps", "xpu", "cpu"] = Field(
        default="auto", description="Accelerator of the worker."
    )
    executor: Literal["process", "inprocess"] = Field(
        default="process", description="Where jobs run: a supervised child process, or this process (ZeroGPU Spaces)."
    )
    device_memory_gb: float = Field(
        default=0, ge=0, description="Budget for weights on the device; 0 means 80 % of it."
    )
    host_memory_gb: float = Field(default=0, ge=0, description="Budget for parked weights in RAM; 0 means half of it.")
    light_memory_gb: float = Field(
        default=1.5, ge=0, description="Largest model in RAM that may answer beside a drawing; 0 lets answers wait."
    )
    max_queued_jobs: int = Field(default=200, ge=1, description="Jobs that may wait at once; more are answered 429.")
    min_free_disk_mb: int = Field(default=200, ge=0, description="No job is accepted below this much free disk space.")
    watermark: bool = Field(default=True, description="Embed the invisible watermark in every picture.")
    safety_model: str = Field(
        default="", description="Folder of an image-classification model with an 'nsfw' label; fails closed."
    )
    max_upload_mb: int = Field(default=20, ge=1, description="Largest file a user may hand in.")

    @field_validator("root_path")
    @classmethod
    def _as_root(cls, given: str) -> str:
        path = f"/{given.strip('/ ')}" if given.strip("/ ") else ""
        if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", path) or "/.." in path:
            raise ValueError("write a path such as /studio, of letters, digits and . _ ~ - only")
        return path

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{(self.data_dir / 'studio.db').as_posix()}"

    @property
    def models_dir(self) -> Path:
        """Where downloaded families live, one folder each."""
        return self.data_dir / "models"
