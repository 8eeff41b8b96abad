"""Scans: a flow-of-flows at many points of its parameters."""
