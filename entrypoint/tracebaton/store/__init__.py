"""Traces and their log lines in one SQLite file, which `tracebaton view` writes and `tracebaton trace` reads, too."""
