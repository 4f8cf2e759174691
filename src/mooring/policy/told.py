"""What of a subject a host is told in a role: who only has to find a NIC, or to know it as a member, hears nothing of its floating IPs.

So a change of those, which is frequent and has to be quick, wakes and waits for no more hosts than it concerns.
"""

from dataclasses import replace

from mooring.model.subjects import HostRole, NicIntent, Subject

TOLD_OF_FLOATING_IPS = frozenset({HostRole.COMPUTE, HostRole.GATEWAY})


def as_told(subject: Subject, role: HostRole, generation: int) -> Subject:
    """Return a subject as a host in a role is told of it, in the generation that it was told there."""
    if isinstance(subject, NicIntent) and role not in TOLD_OF_FLOATING_IPS:
        fixed = tuple(replace(address, floating=(), egress=None, forwards=()) for address in subject.addresses)
        return replace(subject, generation=generation, addresses=fixed, shared=())
    return subject if subject.generation == generation else replace(subject, generation=generation)
