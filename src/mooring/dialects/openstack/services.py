"""APIs that are served beside the built-in ones: found by the same catalogue, with the same tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mooring.dialects.http import Refused
from mooring.dialects.openstack.routing import Route
from mooring.model.faults import Fault

Tell: TypeAlias = Callable[[Fault, str, Mapping[str, str]], Refused]
"""Puts a fault on a route, named second, into words, in which the call's own may stand."""


@dataclass(frozen=True, slots=True)
class Service:
    """Everything below one path: what the catalogue calls it, its routes, and how it tells what is wrong."""

    kind: str
    name: str
    path: str
    routes: tuple[Route, ...]
    refusal: Tell
    body_of: Callable[[Refused], dict[str, object]]
