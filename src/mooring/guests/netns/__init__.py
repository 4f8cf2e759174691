"""Guests that are network namespaces: a guest boots in milliseconds, needs no disk, and its packets are as real as a VM's.

A guest has network, process, mount, host name and IPC namespaces of its own.  It uses the host's programs and, where the agent is the
machine's root, is root itself: these guests show and test a cloud's network, they do not keep strangers apart.

    driver.py      start, stop, list
    namespaces.py  names of namespaces          inits.py   first processes of guests
    ports.py       plugging devices in          inside.py  commands inside a guest
    launch.sh -> init.sh -> dhcp.sh, web.sh     what runs in a guest
"""

from mooring.guests.netns.driver import NetnsGuests
from mooring.guests.netns.images import IMAGES
from mooring.guests.netns.inside import run_in

__all__ = ["IMAGES", "NetnsGuests", "run_in"]
