"""What operators change while the process runs: off and on, and the sampling rules."""
