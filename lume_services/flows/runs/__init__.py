"""What is kept of the runs of flows-of-flows, so that they can be resumed, looked at and repeated."""
