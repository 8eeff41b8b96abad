"""The fixture for users' packages."""

import pytest

from lume_services.config import current_context
from lume_services.files import TextFile
from lume_services.results import Result

pytest_plugins = ["pytester"]


def test_everything_lies_in_a_temporary_folder(lume_context, tmp_path):
    assert current_context() is lume_context
    assert TextFile(filename="a.txt").write("x").path().is_relative_to(tmp_path)
    Result(project_name="p", outputs={"y": 1}).insert()
    assert (tmp_path / "lume" / "results").is_dir()


def test_a_fake_is_seen_by_services_already_built_and_gone_after(lume_context):
    class Fake:
        def count(self, *, collection, query=None):
            return 42

    service = lume_context.results_db_service()
    assert service.count(collection="p") == 0
    with lume_context.results_db.override(Fake()):
        assert service.count(collection="p") == 42
        assert lume_context.results_db_service().count(collection="p") == 42
    assert service.count(collection="p") == 0


def test_in_a_users_package(pytester):
    """With variables that would break every configuration, and a .env file that would too."""
    pytester.makepyfile(
        """
        import threading
        from lume_services.config import current_context

        def test_mine(lume_context):
            seen = []
            thread = threading.Thread(target=lambda: seen.append(current_context()))
            thread.start(); thread.join()
            assert seen == [lume_context]

        def test_not_configured_any_more():
            import pytest
            from lume_services.errors import ConfigurationError
            with pytest.raises(ConfigurationError):
                current_context()
        """
    )
    pytester.path.joinpath(".env").write_text("LUME_RESULTS_DB__PORT=99999\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUME_BACKEND", "nonsense")
        pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)
