"""The native API, /v1: everything that mooring can do, in its own words; OpenAPI 3.1, and problems as RFC 9457 tells them."""

from mooring.dialects.native.app import create_app

__all__ = ["create_app"]
