"""For the tests of your own package: the fixture `lume_context`; pytest finds the plugin by itself."""

from lume_services.testing.plugin import isolated_settings

__all__ = ["isolated_settings"]
