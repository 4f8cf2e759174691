"""mooring keeps the addresses of a VM cloud: fixed, secondary, floating and shared."""
