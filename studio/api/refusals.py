"""Every refusal is `{error, field}` with one sentence that names the fix, whatever went wrong."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeout
from starlette.exceptions import HTTPException

from studio.api.schemas import Error
from studio.errors import StudioError, refusal

ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": Error} for status in (404, 422)}


def add_refusals(api: FastAPI) -> None:
    api.add_exception_handler(StudioError, _on_studio_error)
    api.add_exception_handler(RequestValidationError, _on_validation_error)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(SQLAlchemyTimeout, _on_no_connection)
    api.add_exception_handler(Exception, _on_crash)


def _answer(error: StudioError) -> JSONResponse:
    headers = {"Retry-After": "10"} if error.status in (429, 503) else None
    return JSONResponse({"error": error.message, "field": error.field}, error.status, headers)


def _on_studio_error(_: HttpRequest, error: Exception) -> JSONResponse:
    assert isinstance(error, StudioError)
    return _answer(error)


def _on_validation_error(_: HttpRequest, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _answer(refusal(error.errors()))


def _on_http_error(request: HttpRequest, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentence = {
        404: "There is nothing at this address; see /api/docs for what there is.",
        405: f"This address does not take {request.method}; see /api/docs for what it takes.",
        400: "The request body could not be read; send a JSON object.",
    }.get(error.status_code, str(error.detail))
    return JSONResponse({"error": sentence, "field": None}, error.status_code, error.headers)


def _on_no_connection(_: HttpRequest, error: Exception) -> JSONResponse:
    return _answer(StudioError("The database is busy: try again in a moment.", status=503))


def _on_crash(_: HttpRequest, error: Exception) -> JSONResponse:
    return _answer(
        StudioError("Something went wrong inside the studio; its log has the details, try again.", status=500)
    )
