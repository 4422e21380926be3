"""Replacing parts of other libraries: when their module is imported, and on record."""
