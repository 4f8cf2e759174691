"""The store contract suite on the simulated database: what the simulation shows of it, it shows of the real one.

These are the very tests of tests/store, collected a second time with the fixtures of this folder.  Left out is what is about SQLite: its
cost, its files, its errors and its migrations.
"""

from tests.store.test_addresses import *  # noqa: F403
from tests.store.test_allowances import *  # noqa: F403
from tests.store.test_deliveries import *  # noqa: F403
from tests.store.test_egress import *  # noqa: F403
from tests.store.test_epochs import *  # noqa: F403
from tests.store.test_events import *  # noqa: F403
from tests.store.test_forwardings import *  # noqa: F403
from tests.store.test_gaps import *  # noqa: F403
from tests.store.test_groups import *  # noqa: F403
from tests.store.test_identities import *  # noqa: F403
from tests.store.test_instances import *  # noqa: F403
from tests.store.test_moves import *  # noqa: F403
from tests.store.test_own import *  # noqa: F403
from tests.store.test_pools import *  # noqa: F403
from tests.store.test_quotas import *  # noqa: F403
from tests.store.test_races import *  # noqa: F403
from tests.store.test_subjects import *  # noqa: F403
from tests.store.test_topology import *  # noqa: F403
from tests.store.test_transactions import *  # noqa: F403

# These look into SQL itself.
del test_generations_survive_withdrawal_and_go_with_the_subject  # noqa: F821
del test_a_subject_that_was_nowhere_leaves_no_generation_behind  # noqa: F821
del test_a_network_is_carried_as_its_kind_and_the_host_ask_for  # noqa: F821
del test_a_router_has_its_ports_and_its_ways_out  # noqa: F821
del test_many_subjects_cost_as_many_statements_as_one  # noqa: F821
