"""Packaged serializers: one module each, imported when its file type is used."""
