"""What a run would take, before it runs: work and memory (cost), and seconds on this machine (speed)."""
