"""The packaged file types, and those of users."""

import csv
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lume_services.config import current_context
from lume_services.errors import (
    FileChangedError,
    FileTypeNotRegistered,
    SerializationError,
)
from lume_services.files import (
    CSVFile,
    File,
    FileResult,
    HDF5File,
    HDF5Result,
    ImageFile,
    JSONFile,
    NumpyFile,
    ParticleGroupFile,
    TextFile,
    TextResult,
    YAMLFile,
    load_reference,
)
from lume_services.results import Result


@pytest.fixture(autouse=True)
def context(lume_context):
    return lume_context


def image():
    return Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))


def particles():
    from beamphysics import ParticleGroup

    rng = np.random.default_rng(1)
    data = {key: rng.normal(size=10) for key in ("x", "px", "y", "py", "z", "t")}
    return ParticleGroup(
        data={
            **data,
            "pz": np.full(10, 1e8),
            "weight": np.full(10, 1e-12),
            "status": np.ones(10, int),
            "species": "electron",
        }
    )


TREE = {"a": np.arange(6.0).reshape(2, 3), "b": {"c": [1, 2.5, "x", None, True], "X.VAL/y": (1, 2)}}
CASES = {
    "text": (TextFile, "a\r\nb β"),
    "empty text": (TextFile, ""),
    "yaml": (YAMLFile, {"b": [1, 2.5], "a": None, "β": "x"}),
    "empty yaml": (YAMLFile, []),
    "json": (JSONFile, {"b": [1, 1 / 3], "a": None, "β": {"x": True}}),
    "zero": (JSONFile, 0),
    "csv": (CSVFile, pd.DataFrame({"x": [1 / 3, 2.0], "n": [1, 2], "s": ["a", "b,c"]})),
    "numpy": (NumpyFile, np.arange(6, dtype="<i2").reshape(2, 3)),
    "image": (ImageFile, image()),
    "particles": (ParticleGroupFile, particles()),
    "hdf5 array": (HDF5File, np.arange(6.0)),
    "hdf5 frame": (HDF5File, pd.DataFrame({"x": [1.5, 2.5], "s": ["a", "b"]}, index=[10, 20])),
    "hdf5 tree": (HDF5File, TREE),
}


TEXT = "lume_services.files.serializers.text"


def same(a, b):
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b)
        return True
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and a == b


ENDING = {ImageFile: "png", CSVFile: "csv", NumpyFile: "npy"}


@pytest.mark.parametrize("case", CASES)
def test_round_trip_through_json(case):
    """FIL-1: what is falsy can be written; arrays and frames too. FIL-5, FIL-7."""
    file_type, obj = CASES[case]
    file = file_type(filename=f"folder/a.{ENDING.get(file_type, 'bin')}", obj=obj)
    reference = json.loads(json.dumps(file.write().jsonable_dict()))
    again = load_reference(reference)
    read = again.read()
    if file_type is ImageFile:
        assert np.array_equal(np.asarray(read), np.asarray(obj))
    elif file_type is ParticleGroupFile:
        assert np.array_equal(read.x, obj.x)
        assert read.species == obj.species
    else:
        assert same(obj, read)


@pytest.mark.parametrize(
    ("file_type", "obj", "message"),
    [
        (TextFile, 3, "expected str"),
        (YAMLFile, {"a": object()}, "represent"),
        (JSONFile, {"a": {1: 2}}, "key 1 is not text"),
        (JSONFile, {"a": np.zeros(2)}, "ndarray"),
        (CSVFile, [[1]], "expected a pandas DataFrame"),
        (NumpyFile, np.array([object()]), "allow_pickle"),
        (ImageFile, 3, "expected a PIL"),
        (ParticleGroupFile, 3, "expected a beamphysics"),
        (HDF5File, {"f": lambda: 1}, r"\['f'\]|\[\"f\"\]"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_left(context, file_type, obj, message):
    with pytest.raises(SerializationError, match=message):
        file_type(filename="a.png").write(obj)
    assert list(context.settings().files_path.iterdir()) == []


def test_broken_yaml_is_an_error(context):
    """FIL-4: the predecessor gave None."""
    TextFile(filename="a.yaml").write("a: [1")
    with pytest.raises(SerializationError, match=r"a\.yaml"):
        YAMLFile(filename="a.yaml").read()
    TextFile(filename="b.yaml").write("!!python/object/apply:os.system ['touch x']")
    with pytest.raises(SerializationError):
        YAMLFile(filename="b.yaml").read()


def test_image_is_read_whole_and_closed(tmp_path):
    """FIL-6."""
    path = tmp_path / "a.png"
    ImageFile(filename=path).write(image())
    read = ImageFile(filename=path).read()
    path.write_bytes(b"")
    assert np.asarray(read)[2, 3] == 11
    assert read.fp is None


def test_no_object_to_write():
    with pytest.raises(ValueError, match="no object"):
        TextFile(filename="a.txt").write()


def test_an_overwritten_file_is_noticed():
    """FIL-10."""
    old = TextFile(filename="a.txt").write("old").jsonable_dict()
    TextFile(filename="a.txt").write("new")
    with pytest.raises(FileChangedError, match=r"a\.txt"):
        load_reference(old).read()


def test_load_file_keeps_the_object():
    TextFile(filename="a.txt").write("text")
    assert TextFile(filename="a.txt").load_file().obj == "text"


def test_results_of_a_type():
    reference = TextFile(filename="a.txt").write("text").jsonable_dict()
    assert TextResult.model_validate(reference).read() == "text"
    with pytest.raises(ValueError, match="not 'lume_services.files.serializers.hdf5:HDF5Serializer'"):
        HDF5Result.model_validate(reference)


def test_a_handle_needs_a_serializer():
    with pytest.raises(ValueError, match=r"write File\[Serializer\]"):
        File(filename="a")
    with pytest.raises(TypeError, match="serialize"):
        FileResult[int]


class CSVListSerializer:
    """As in the documentation: rows, the names of the fields first."""

    def serialize(self, filename, data):
        with open(filename, "w", newline="") as file:
            csv.writer(file).writerows(data)

    @classmethod
    def deserialize(cls, filename):
        with open(filename, newline="") as file:
            return list(csv.reader(file))


def test_a_users_serializer_composes():
    """FIL-2."""
    rows = [["x", "y"], ["1", "2"]]
    CSVListFile = File[CSVListSerializer]
    reference = CSVListFile(filename="a.csv", obj=rows).write().jsonable_dict()
    assert load_reference(json.loads(json.dumps(reference))).read() == rows


def test_a_subclass_of_lume_base_composes():
    from lume.serializers.base import SerializerBase

    class Upper(SerializerBase):
        def serialize(self, filename, object):
            with open(filename, "w") as file:
                file.write(object.upper())

        @classmethod
        def deserialize(cls, filename):
            with open(filename) as file:
                return file.read()

    assert File[Upper](filename="a").write("x").read() == "X"


@pytest.fixture
def other_package(tmp_path):
    """A package of a user with a serializer, and the reference to a file that it wrote."""
    (tmp_path / "my_files.py").write_text(
        "print('imported')\n"
        "from pathlib import Path\n"
        "class Shout:\n"
        "    def serialize(self, filename, obj): Path(filename).write_text(obj.upper())\n"
        "    @classmethod\n"
        "    def deserialize(cls, filename): return Path(filename).read_text()\n"
    )
    (tmp_path / "a.txt").write_text("HEY")
    return tmp_path, {"filename": str(tmp_path / "a.txt"), "file_type_string": "my_files:Shout"}


def read_elsewhere(folder, reference, before="", **env):
    code = (
        f"{before}\nimport json, sys\nfrom lume_services.files import load_reference\n"
        "try: print(load_reference(json.loads(sys.argv[1])).read())\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, json.dumps(reference)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", "PYTHONPATH": str(folder), "LUME_HOME": str(folder), "HOME": str(folder), **env},
    ).stdout


def test_another_process_refuses_an_unknown_type_without_importing_it(other_package):
    output = read_elsewhere(*other_package)
    assert output.startswith("FileTypeNotRegistered")
    assert "Import 'my_files' first" in output
    assert "imported" not in output


def test_another_process_knows_the_type_once_it_is_imported(other_package):
    before = "import my_files; from lume_services.files import File; File[my_files.Shout]"
    assert read_elsewhere(*other_package, before=before).split() == ["imported", "HEY"]


def test_another_process_knows_the_type_by_setting(other_package):
    output = read_elsewhere(*other_package, LUME_SERIALIZERS='["my_files:Shout"]')
    assert output.split() == ["imported", "HEY"]


def test_another_process_finds_the_type_by_entry_point(other_package):
    folder, reference = other_package
    info = folder / "my_files-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-files\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[lume_services.serializers]\nshout = my_files:Shout\n")
    assert read_elsewhere(folder, reference).split() == ["imported", "HEY"]


def test_the_error_names_the_nearest_type():
    with pytest.raises(FileTypeNotRegistered) as caught:
        load_reference(
            {"filename": "a", "file_type_string": "lume_services.files.serializers.text:TextSerialiser"}
        )
    assert f"Did you mean '{TEXT}:TextSerializer'?" in str(caught.value)


@pytest.mark.parametrize("file_type", [TextFile, TextResult])
def test_a_file_in_a_result(file_type):
    """RES-6: a stored result may hold files; another process that reads it needs no import of its own."""
    TextFile(filename="a.txt").write("text")
    file = file_type(filename="a.txt")
    Result(project_name="p", outputs={"notes": file}).insert()
    found = Result.latest("p").outputs["notes"]
    assert type(found) is file_type
    assert found == file
    assert found.read() == "text"
    code = (
        "import sys; from lume_services.results import Result\n"
        "print(Result.latest('p').outputs['notes'].read())"
    )
    home = str(current_context().settings().home)
    command = [sys.executable, "-c", code]
    read = subprocess.run(command, capture_output=True, text=True, env={"LUME_HOME": home})
    assert read.stdout == "text\n", read.stderr


def test_an_image_that_another_program_would_draw_is_not_read(tmp_path):
    """Pillow has Ghostscript, which runs programs, draw what is PostScript."""
    path = tmp_path / "drawing.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(SerializationError, match="cannot identify image file"):
        ImageFile(filename=path).read()


def test_an_archive_of_arrays_is_no_array(tmp_path):
    path = tmp_path / "several.npy"
    with path.open("wb") as file:
        np.savez(file, a=np.arange(3))
    with pytest.raises(SerializationError, match="magic string"):
        NumpyFile(filename=path).read()
