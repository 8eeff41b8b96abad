"""Prefect tasks over the services; plain wrappers, so that flows stay plain Prefect flows.

A task of another name: `save_file.with_options(name="save_text_file")`.
"""

from lume_services.tasks.configure import check_local_execution, configure_lume_services
from lume_services.tasks.files import get_file_result, load_file, save_file
from lume_services.tasks.models import run_lume_model
from lume_services.tasks.results import get_db_result, load_db_result, save_db_result

__all__ = [  # noqa: RUF022
    "configure_lume_services",
    "check_local_execution",
    "save_file",
    "load_file",
    "get_file_result",
    "save_db_result",
    "load_db_result",
    "get_db_result",
    "run_lume_model",
]
