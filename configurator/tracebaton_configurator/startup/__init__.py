"""From settings to a running process: what is done when the application imports the first library that is traced."""
