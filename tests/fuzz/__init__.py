"""Mutated input for everything that reads what others have written.

`targets/` has one module for each thing that reads; `mutate` changes honest input at random; `child` reads
many mutations one after the other in a process of its own; `harness` watches that process. A mutation is
known by the name of its target and its number: the same number always gives the same input.
"""
