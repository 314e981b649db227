"""Pages and JSON API of the server: `create_app(store)` gives the ASGI application.

Server-rendered, complete without JavaScript, no cookies. Whatever a report says is foreign: it is
shown as text by an escaping template engine under a content security policy that allows no scripts.
"""

from __future__ import annotations

from lastwords.web.app import create_app

__all__ = ["create_app"]
