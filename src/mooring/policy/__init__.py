"""Pure choices: which address, which host, who may do what.  Nothing here reads a clock, a database or a kernel."""
