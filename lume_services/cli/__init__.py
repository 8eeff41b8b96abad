"""The command `lume-services`: one module per group of commands."""
