"""The lecture, reproduced: every system small and exact, every claim measured and drawn."""
