"""The ASGI application: routes, security headers, error pages."""

# ruff: noqa: TC002  (Litestar reads the annotations of handlers at run time)

from __future__ import annotations

import hashlib
import logging
import traceback
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Litestar, MediaType, Request, Response, get
from litestar.datastructures import MutableScopeHeaders
from litestar.di import Provide
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template import TemplateConfig

from lastwords.errors import LastwordsError
from lastwords.web.api import API_HANDLERS
from lastwords.web.csrf import FormToken
from lastwords.web.formatting import FILTERS
from lastwords.web.pages import PAGE_HANDLERS

if TYPE_CHECKING:
    from litestar.types import Message, Scope

    from lastwords.store import Store

__all__ = ["create_app"]

_LOG = logging.getLogger("lastwords.web")
_MAX_BODY_BYTES = 16_384
_MEDIA_TYPES = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_STATUS_OF_CODE = {
    "report_unknown": 404,
    "issue_unknown": 404,
    "issue_status_not_allowed": 409,
    "blob_missing": 404,
}


@dataclass(frozen=True, slots=True)
class _StaticFile:
    content: bytes
    media_type: str
    tag: str


def create_app(store: Store) -> Litestar:
    """Make the application that shows a store: pages, `/static`, and the JSON API under `/api`.

    Args:
        store: An open store; it is not closed by the application.
    """
    files = _static_files()
    token = FormToken()
    environment = Environment(
        loader=PackageLoader("lastwords.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals["form_token"] = token.value
    environment.globals["static_tag"] = files["lastwords.css"].tag
    return Litestar(
        route_handlers=[*PAGE_HANDLERS, *API_HANDLERS, _static_handler(files)],
        dependencies={
            "store": Provide(lambda: store, sync_to_thread=False),
            "token": Provide(lambda: token, sync_to_thread=False),
        },
        template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment)),
        exception_handlers={
            HTTPException: _on_http_error,
            LastwordsError: _on_error,
            Exception: _on_defect,
        },
        before_send=[_set_headers],
        request_max_body_size=_MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )


async def _set_headers(message: Message, scope: Scope) -> None:  # noqa: ARG001  (Litestar's shape)
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders.from_message(message)
    for name, value in _HEADERS.items():
        if name not in headers:
            headers[name] = value


def _static_handler(files: dict[str, _StaticFile]) -> Any:  # noqa: ANN401  (a decorated handler)
    @get("/static/{name:str}", sync_to_thread=False)
    def static(name: FromPath[str]) -> Response[bytes]:
        file = files.get(name)
        if file is None:
            raise NotFoundException(detail=f"There is no file {name!r}.")
        return Response(
            file.content,
            media_type=file.media_type,
            headers={"cache-control": "public, max-age=31536000, immutable", "etag": file.tag},
        )

    return static


def _static_files() -> dict[str, _StaticFile]:
    files = {}
    for entry in (resources.files("lastwords.web") / "static").iterdir():
        media_type = _MEDIA_TYPES.get(entry.name.rpartition(".")[2])
        if media_type is not None:
            content = entry.read_bytes()
            tag = hashlib.sha256(content).hexdigest()[:12]
            files[entry.name] = _StaticFile(content, media_type, tag)
    return files


def _on_http_error(
    request: Request[Any, Any, Any], error: HTTPException
) -> Response[Any] | Template:
    return _answer(request, error.status_code, _code_of(error.status_code), error.detail, None)


def _on_error(request: Request[Any, Any, Any], error: LastwordsError) -> Response[Any] | Template:
    status = _STATUS_OF_CODE.get(error.code, 500)
    if status == 500:
        _LOG.error("request failed", extra={"code": error.code, "path": request.url.path})
    return _answer(request, status, error.code, error.message, error.hint)


def _on_defect(request: Request[Any, Any, Any], error: Exception) -> Response[Any] | Template:
    # What the error says may be personal data; its type and place are ours.
    _LOG.error(
        "request failed: a defect of the server",
        extra={"path": request.url.path, "error": type(error).__name__, "place": _place(error)},
    )
    message = "The server failed to make this page: a defect. Its log says where."
    return _answer(request, 500, "server_failed", message, None)


def _place(error: BaseException) -> str:
    trace = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(trace[-5:]))


def _answer(
    request: Request[Any, Any, Any], status: int, code: str, message: str, hint: str | None
) -> Response[Any] | Template:
    if request.url.path.startswith("/api/"):
        document = {"schema": 1, "code": code, "message": message, "hint": hint}
        return Response(document, status_code=status, media_type=MediaType.JSON)
    context = {"status": status, "code": code, "message": message, "hint": hint}
    return Template("error.html", context=context, status_code=status)


def _code_of(status: int) -> str:
    names = {400: "bad_request", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
    return names.get(status, "request_failed")
