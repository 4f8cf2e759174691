"""Drift of which the kernel told nobody is repaired within ten seconds: events are a hint, never the only means."""

from pathlib import Path

import pytest

from mooring.backends.linux.backend import LinuxBackend
from mooring.demos.stage import Stage
from tests.journeys.drifter import DRIFTS, Drifter
from tests.journeys.town import Town, eventually

pytestmark = pytest.mark.kernel


def test_drift_is_repaired_without_events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(LinuxBackend, "watch", lambda *_: None)
    with Stage(tmp_path, keep_port=False) as stage:
        drifter = Drifter(Town(stage))
        eventually(drifter.right)
        for kind in ("map element", "rule", "foreign route", "guest's port"):
            drifter.do(DRIFTS[kind])
        assert eventually(drifter.right, timeout=12) < 10
        eventually(drifter.works)
        drifter.eye.close()
