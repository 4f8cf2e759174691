"""The Linux kernel as a back-end: namespaces, links and nftables by netlink, and dnsmasq for DHCP."""
