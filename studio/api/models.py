"""The models that the studio knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from studio.api.schemas import Model
from studio.models.families import Family

if TYPE_CHECKING:
    from studio import Studio


def add_models(v1: APIRouter, studio: Studio) -> None:
    @v1.get("/models", tags=["models"])
    def list_models() -> list[Model]:
        """Every model the studio knows, those that can be used now marked `available`."""
        resident = {each.family for each in studio.executor.state().residents}
        return [_model(family, family.id in resident) for family in studio.catalog.all()]

    def _model(family: Family, resident: bool) -> Model:
        own = {name: getattr(family, name) for name in Model.model_fields if hasattr(family, name)}
        return Model(
            **{**own, "features": sorted(family.features)},
            default=family.id == studio.settings.default_family,
            available=studio.catalog.available(family.id),
            resident=resident,
        )
