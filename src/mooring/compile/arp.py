"""Who answers an ARP request on a router's wire: the ruleset first, then the kernel's own addresses, then its proxy."""

from mooring.compile import tables
from mooring.compile.atlas import Router
from mooring.compile.deciding import decide
from mooring.compile.facts import Fact, Key
from mooring.compile.journey import Event, Header, Step
from mooring.compile.moments import Moment
from mooring.compile.rules import Verb, chains_at

FORWARDING = "ipv4/ip_forward"


def ask(router: Router, device: str, question: Header) -> Step:
    """Ask for a header's destination on a wire; the step's event says whether there is an answer."""
    address = question.dst
    moment = Moment(question, question, question.reversed(), iif=device, uplinks=frozenset(router.uplinks))
    facts: tuple[Fact, ...] = ()
    for chain in chains_at("arp", "input"):
        decision = decide(chain, moment, router.elements)
        if decision.verb in {Verb.DROP, Verb.HEAR}:
            text = f"ARP for {address} is not answered: the address is not this router's"
            return Step(
                router.place, chain.name, Event.ARP_UNANSWERED, text, decision.rule, missing=decision.missing[:1]
            )
        facts += decision.facts
    if own := router.own.get(address):
        return Step(router.place, "arp", Event.ARP_ANSWERED, f"{address} is the router's own", facts=(*facts, own))
    return _ask_proxy(router, device, question, facts)


def _ask_proxy(router: Router, device: str, question: Header, facts: tuple[Fact, ...]) -> Step:
    """The kernel answers for what it forwards to, but never back to the wire that the question came from."""
    address = question.dst
    found = {path: router.setting(path) for path in (FORWARDING, f"ipv4/conf/{device}/proxy_arp")}
    settings = tuple(fact for fact in found.values() if fact is not None)
    off = tuple(Key(tables.SYSCTL, router.place, (path,)) for path, fact in found.items() if fact is None)
    if off:
        text = f"ARP for {address} is not answered: the router does not answer for others"
        return Step(router.place, "arp", Event.ARP_UNANSWERED, text, facts=facts, missing=off)
    away = [route for route in router.routes_to(address, device) if route.device != device]
    if not away:
        text = f"ARP for {address} is not answered: the router has no route to it by another device"
        return Step(router.place, "arp", Event.ARP_UNANSWERED, text, facts=facts)
    text = f"the router answers ARP for {address}"
    return Step(router.place, "arp", Event.ARP_ANSWERED, text, facts=(*facts, *settings, *away[0].facts))
