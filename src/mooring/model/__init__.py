"""The nouns of mooring: frozen values on standard-library types, without any I/O."""
