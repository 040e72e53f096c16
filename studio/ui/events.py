"""How the page's own events are wired: quiet, and never left dead by an exception."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import gradio as gr
from markupsafe import escape

from studio.errors import StudioError

log = logging.getLogger(__name__)

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
"""For every event of the page: own progress bar, no Gradio API beside ours, no queue behind another visitor."""

CRASHED = "Something went wrong inside the studio; its log has the details, try again."


def guarded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """``handler`` that tells what it raises and changes nothing then: an exception would leave its fields dead."""

    @functools.wraps(handler)
    def call(*given: Any) -> Any:
        try:
            return handler(*given)
        except StudioError as error:
            gr.Warning(str(escape(error.message)), title="Please check")
        except Exception:
            log.exception("An event of the page failed")
            gr.Warning(CRASHED, title="That did not work")
        return gr.skip()

    return call
