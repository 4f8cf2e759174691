"""What Prometheus is told of one process.

Labels have few values, known before: dialects, routes, methods, topics without their hosts.  Nothing of a tenant's is in them, and no host
but the one that tells.  Who counts makes its own figures on the registry: `measured.py` and the parts themselves.
"""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""An answer from memory takes a millisecond, one that waits for a host five to fifty, and nobody waits longer than ten seconds."""


def new_registry() -> CollectorRegistry:
    """Return a registry with the figures of Python, of the process, and the version."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    info = Gauge("mooring_info", "The version, as a label.", ["version"], registry=registry)
    info.labels(version("mooring")).set(1)
    return registry


def text(registry: CollectorRegistry) -> bytes:
    """Return all figures in Prometheus's text format."""
    return generate_latest(registry)
