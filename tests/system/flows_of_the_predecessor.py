"""The three flows that the predecessor's spec composes, as Prefect 3 flows."""

from prefect import flow, task

from lume_services.files import TextFile
from lume_services.results import Result
from lume_services.tasks import configure_lume_services, load_file, save_db_result, save_file


@task
def append_text(text1: str, text2: str) -> str:
    return text1 + text2


@flow
def flow1(text1: str, text2: str, filename: str, filesystem_identifier: str = "local") -> None:
    configure_lume_services()
    save_file.with_options(name="save_text_file")(
        append_text(text1, text2),
        filename=filename,
        filesystem_identifier=filesystem_identifier,
        file_type=TextFile,
    )


@task
def format_result(text: str) -> Result:
    return Result(project_name="test", inputs={"input1": text}, outputs={"output1": text})


@flow
def flow2(file_rep) -> None:
    configure_lume_services()
    save_db_result(format_result(load_file(file_rep)))


@task
def check_text_equivalence(text1: str, text2: str) -> bool:
    return text1 == text2


@flow
def flow3(text1: str, text2: str) -> bool:
    configure_lume_services()
    return check_text_equivalence(text1, text2)
