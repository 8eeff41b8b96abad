"""The services that the container wires: files, results, scheduling."""
