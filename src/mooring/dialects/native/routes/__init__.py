"""The routes of the native API, a module a noun."""
