"""Queries: MongoDB's filters and order over the records of any store."""
