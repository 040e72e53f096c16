"""Who asks: every route takes `User`, so that accounts are one change."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request


async def current_user(request: Request) -> str:
    """The owner that `create_api` was told to serve."""
    return request.app.state.user


User = Annotated[str, Depends(current_user)]
