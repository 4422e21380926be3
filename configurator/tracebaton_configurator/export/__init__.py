"""Delivery: which exporter, and the bounded flush at exit."""
