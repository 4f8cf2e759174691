"""Each benchmark runs at its smallest and writes well-formed rows; how fast it was is nobody's business here."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALLEST = {
    "apply": ("1", {("one change, back-end", "associate"), ("one change, ledger and back-end", "move")}),
    "associate": ("1", {("associate", "first packet"), ("associate", "call"), ("disassociate", "last packet")}),
    "packets": ("1", {("mooring", "established in, of plain routing"), ("mooring", "new out, of plain routing")}),
    "uplinks": ("1", {("mooring", "new out, of plain routing"), ("rule and table", "one leads elsewhere")}),
    "filters": ("4", {("mooring", "new, of a bare bridge"), ("Neutron, iptables", "one rule less")}),
    "api": ("0", {("allocate + associate", "operations"), ("allocate + associate", "of the smaller limit")}),
    "openstack": (
        "0",
        {("nova, create", "of that with 0"), ("Neutron, page", "latency, median"), ("nova, list", "calls")},
    ),
    "control": (
        "0",
        {("launch", "launches"), ("allocate + associate", "of the smaller limit"), ("delete", "deletions")},
    ),
}
SLOW = ("associate", "packets", "uplinks", "api", "control", "openstack")
FIELDS: dict[str, type | tuple[type, ...]] = {
    "work": str,
    "size": int,
    "clients": int,
    "metric": str,
    "unit": str,
    "value": (int, float),
}


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["apply", "filters", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_benchmark_writes_rows(name: str, tmp_path: Path):
    size, wanted = SMALLEST[name]
    out = tmp_path / "rows.json"
    # In a sandbox of its own: a benchmark takes every namespace that it sees for its own.
    command = [sys.executable, "-m", "mooring.sandbox", "--", sys.executable, "-m", f"bench.{name}"]
    done = subprocess.run(
        [*command, "--quick", "--rounds", "1", "--sizes", size, "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text(encoding="utf-8"))
    for row in rows:
        assert set(row) == set(FIELDS)
        for field, kind in FIELDS.items():
            assert isinstance(row[field], kind), row
        assert math.isfinite(row["value"]), row
        assert row["unit"], row
    assert len({(row["work"], row["size"], row["clients"], row["metric"]) for row in rows}) == len(rows)
    assert wanted <= {(row["work"], row["metric"]) for row in rows}
    for work, metric in wanted:
        assert f"{work}: {metric}" in done.stdout
