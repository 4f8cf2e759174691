"""An agent's share of work on one guest, as a process of its own that a test may kill: agent.py DRIVER HOST RUN_DIR start|stop < INTENT."""

import importlib
import json
import sys
from pathlib import Path

from mooring.model.subjects import GuestNic, InstanceIntent

if __name__ == "__main__":
    driver, host, run_dir, verb = sys.argv[1:]
    fields = json.load(sys.stdin)
    intent = InstanceIntent(**{**fields, "nics": tuple(GuestNic(**nic) for nic in fields["nics"])})
    module, _, name = driver.partition(":")
    guests = getattr(importlib.import_module(module), name)(host, Path(run_dir))
    print("ready", flush=True)
    if verb == "start":
        guests.start(intent)
    else:
        guests.stop(intent.id)
    print("done", flush=True)
