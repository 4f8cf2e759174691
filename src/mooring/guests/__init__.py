"""Guest drivers: what runs the guests of a host.  netns: each guest is a network namespace with a tiny system of its own."""
