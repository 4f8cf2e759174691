"""One transaction, by noun."""

from datetime import datetime

from mooring.store.addresses import Addresses
from mooring.store.allowances import Allowances
from mooring.store.cards import Cards
from mooring.store.deliveries import Deliveries
from mooring.store.egress import Preferences
from mooring.store.events import Events
from mooring.store.forwardings import Forwardings
from mooring.store.groups import Groups
from mooring.store.identities import Identities
from mooring.store.instances import Instances
from mooring.store.marks import Tags
from mooring.store.memory import Memory
from mooring.store.names import Names
from mooring.store.own import Own
from mooring.store.pools import Pools
from mooring.store.quotas import Quotas
from mooring.store.session import Session
from mooring.store.topology import Topology


class SqlTransaction:
    """See mooring.operations.interfaces.Transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.identities = Identities(session)
        self.topology = Topology(session)
        self.addresses = Addresses(session)
        self.allowances = Allowances(session)
        self.forwardings = Forwardings(session)
        self.instances = Instances(session)
        self.cards = Cards(session)
        self.groups = Groups(session)
        self.names = Names(session)
        self.preferences = Preferences(session)
        self.pools = Pools(session)
        self.own = Own(session)
        self.quotas = Quotas(session)
        self.deliveries = Deliveries(session)
        self.memory = Memory(session)
        self.events = Events(session)
        self.tags = Tags(session)

    def now(self) -> datetime:
        return self._session.now()
