"""What code a flow runs: its modules as they were loaded, and the versions of what they import."""
