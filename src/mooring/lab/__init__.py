"""A laboratory: an installation of several hosts on one machine, each process and each wire of its own, to try, to show and to test.

plan.py         how many of what, and all names and addresses that follow from it
wires.py        the segments that join hosts, the providers, and the hosts outside
machine.py      one machine: its namespaces, and how to run something in it
program.py      one process on a machine: start, kill, pause, continue
database.py  bus.py     PostgreSQL and nats-server as private processes
files.py        what each of mooring's processes is told: a configuration and credentials
laboratory.py   all of it together
traffic.py  probe.py    packets and sessions that are counted
client.py       the API, as tests and demos speak to it
door.py         the API's port on the caller's own 127.0.0.1
site.py         a laboratory that runs in the background: `mooring lab up`, `down`, `exec`

It is built inside a sandbox (mooring.sandbox): all that it makes ends with that.
"""
