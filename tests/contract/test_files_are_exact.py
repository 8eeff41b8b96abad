"""What a file type writes, it reads again as it was; or it is refused, and the old file is left."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import OrderedDict
from datetime import date
from enum import StrEnum

import numpy as np
import pandas as pd
import pytest
from beamphysics import ParticleGroup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.extra import pandas as pdst
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lume_services.errors import SerializationError
from lume_services.files import (
    CSVFile,
    HDF5File,
    ImageFile,
    JSONFile,
    NumpyFile,
    ParticleGroupFile,
    TextFile,
    YAMLFile,
)
from lume_services.values import fingerprint

ANY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def context(lume_context):
    return lume_context


class Name(StrEnum):
    A = "a"


def is_same(read, written):
    return type(read) is type(written) and fingerprint(read) == fingerprint(written)


def kept_or_refused(file_type, value):
    """Write a value over an old one; return whether it was kept, and exactly."""
    name = "a.csv" if file_type is CSVFile else "a"
    old = file_type(filename=name).write(OLD[file_type]).checksum
    try:
        file_type(filename=name).write(value)
    except SerializationError as error:
        message = str(error)
    else:
        assert is_same(file_type(filename=name).read(), value)
        return True
    assert name in message
    assert file_type(filename=name, checksum=old).read() is not None
    return False


OLD = {
    CSVFile: pd.DataFrame({"x": [1]}),
    YAMLFile: ["old"],
    JSONFile: ["old"],
    TextFile: "old",
    NumpyFile: np.zeros(2),
    HDF5File: ["old"],
}
AWKWARD = st.sampled_from(
    [*"\x85\u2028\u2029\ufeff\r\n\t\0\x1b ,\"'#:-{}[]&*!|>%@`~", "NA", "None", "nan", "true", "on", "007",
     "1e-6", "1", "0x1f", "0o17", "1:30", "2024-01-31", "null", "---", "=", "<<", "_", ".inf", "β", "😀"]
)  # fmt: skip
TEXT = st.lists(AWKWARD, max_size=4).map("".join) | st.text(max_size=5)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
OTHERS = st.sampled_from(
    [
        (1, 2),
        {1},
        b"x",
        date(2024, 1, 31),
        np.float64(1),
        np.str_("a"),
        Name.A,
        OrderedDict(a=1),
        "\ud800",
        1j,
    ]
)
KEYS = TEXT | st.integers() | st.booleans() | st.none() | st.tuples(st.integers())
TREES = st.recursive(
    SCALARS | OTHERS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)


@pytest.mark.parametrize("file_type", [JSONFile, YAMLFile, HDF5File])
@ANY
@given(value=TREES)
def test_any_tree(file_type, value):
    kept_or_refused(file_type, value)


@pytest.mark.parametrize("file_type", [JSONFile, YAMLFile])
@ANY
@given(value=PLAIN)
def test_what_json_and_yaml_can_hold_is_kept(file_type, value):
    assert kept_or_refused(file_type, value)


@ANY
@given(text=TEXT | st.text(st.characters(codec=None)))
def test_any_text(text):
    is_unicode = not any("\ud800" <= one <= "\udfff" for one in text)
    assert kept_or_refused(TextFile, text) is is_unicode


@ANY
@given(cells=st.lists(TEXT, max_size=4), name=TEXT)
def test_columns_of_any_text(cells, name):
    kept_or_refused(CSVFile, pd.DataFrame({name: cells}))
    assert kept_or_refused(CSVFile, pd.DataFrame({"a": ["some text", *cells]}))


@ANY
@given(
    frame=pdst.data_frames(
        [
            pdst.column("f", dtype=float),
            pdst.column("i", dtype=np.int64),
            pdst.column("u", dtype=np.uint64),
            pdst.column("b", dtype=bool),
        ],
        index=pdst.range_indexes(min_size=1, max_size=4),
    )
)
def test_columns_of_any_numbers(frame):
    if frame["u"].max() < 2**63:
        frame["u"] = frame["u"].astype("int64")
    assert kept_or_refused(CSVFile, frame)


@ANY
@given(frame=pdst.data_frames(pdst.columns(["a", "b"], dtype="float32"), index=pdst.indexes(dtype="int8")))
def test_other_tables_are_refused(frame):
    assert not kept_or_refused(CSVFile, frame)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame({"a": ["NA", "None", "", "nan", "a\rb", "c\r\nd", '"', " x "]}),
        pd.DataFrame({"a": ["007", "1", "08"]}),
        pd.DataFrame({"n": pd.array([1700000000123456789, None], dtype="Int64")}),
        pd.DataFrame({"b": pd.array([True, None], dtype="boolean")}),
        pd.DataFrame({"x": [0.1, -0.0, math.inf, math.nan, 1e-300]}),
        pd.DataFrame([[1, 2.5]], columns=["a", "a"]),
        pd.DataFrame({"u": np.array([2**64 - 1], "u8"), "a": ["\0"]}),
    ],
    ids=repr,
)
def test_tables_that_csv_keeps(frame):
    assert kept_or_refused(CSVFile, frame)


def with_attrs():
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "mm"
    return frame


@pytest.mark.parametrize(
    ("frame", "place"),
    [
        (pd.DataFrame({"a": ["1", "2"]}), r"value\['a'\]: .*'1', '2'.* would be read as .*int64"),
        (pd.DataFrame({"a": ["nan"]}), r"value\['a'\]"),
        (pd.DataFrame({"a": ["x", None]}), r"value\['a'\]"),
        (pd.DataFrame({"a": [1]}, index=[5]), r"value\.index: .*reset_index"),
        (pd.DataFrame({1: [1]}), r"value\.columns"),
        (pd.DataFrame({"a": np.array([1], "i4")}), r"value\['a'\]: .*int32.* would be read as .*int64"),
        (pd.DataFrame({"a": pd.to_datetime(["2024-01-31"])}), r"value\['a'\]: .*datetime64"),
        (pd.DataFrame({"a": [2**70]}), r"value\['a'\]"),
        (with_attrs(), r"value\.attrs: \{'unit': 'mm'\}"),
    ],
)
def test_tables_that_csv_would_change_are_refused_by_place(frame, place):
    with pytest.raises(SerializationError, match=place):
        CSVFile(filename="a.csv").write(frame)
    assert not kept_or_refused(CSVFile, frame)


def test_tables_of_other_programs_are_read(context):
    def read(text):
        TextFile(filename="a.csv").write(text)
        return CSVFile(filename="a.csv").read()

    frame = read("\ufeffx,n,id,s\n1.50,1,007,a\n-2e-3,,08,\n")
    assert frame.dtypes.astype(str).to_dict() == {"x": "float64", "n": "Int64", "id": "str", "s": "str"}
    assert frame["x"].tolist() == [1.5, -0.002]
    assert frame["s"].tolist() == ["a", ""]
    for cells in (["9007199254740993", "1.5"], ["1e999", "1"], ["1" * 30, "2"]):
        assert read("\n".join(["a", *cells]))["a"].tolist() == cells
    with pytest.raises(SerializationError, match="line 3 has 1 cells, but the first line has 2"):
        read("a,b\n1,2\n3\n")


@pytest.mark.parametrize("file_type", [JSONFile, YAMLFile])
@pytest.mark.parametrize("value", [{(1, 2): 3}, [{"a": (1, 2)}], {"x": np.float64(1)}, {"a": [Name.A]}])
def test_what_would_be_read_as_something_else_names_its_place(file_type, value):
    with pytest.raises(SerializationError, match=r"value(\[\"?\w+\"?\])*: .*(\(1, 2\)|tuple|float64|Name)"):
        file_type(filename="a").write(value)


def test_yaml_keeps_text_and_tells_it_from_numbers():
    value = {"nel": "a\x85b", "on": "1e-6", "0777": ["yes", 1e-6, 0o777], 1: "int", "1": "text"}
    assert kept_or_refused(YAMLFile, value)


def test_a_key_twice_is_no_json(context):
    TextFile(filename="a.json").write('{"a": 1, "a": 2}')
    with pytest.raises(SerializationError, match="the key 'a' is there twice"):
        JSONFile(filename="a.json").read()


# arrays, images, particles ------------------------------------------------------------------------


@ANY
@given(
    npst.arrays(
        npst.scalar_dtypes() | npst.nested_dtypes(max_itemsize=60), npst.array_shapes(min_dims=0, min_side=0)
    )
)
def test_any_array(array):
    assert kept_or_refused(NumpyFile, array) or array.dtype.kind == "V"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([1, 2], "got list"),
        (np.float64(1), "got float64"),
        (np.ma.array([1, 2], mask=[0, 1]), "got MaskedArray"),
        (np.rec.array([(1,)], dtype=[("a", int)]), "got recarray"),
        (np.zeros(2, np.dtype("f8", metadata={"unit": "m"})), "metadata"),
    ],
)
def test_what_is_no_plain_array_is_refused(value, what):
    with pytest.raises(SerializationError, match=what):
        NumpyFile(filename="a.npy").write(value)


def noise(shape, dtype="u1"):
    return np.random.default_rng(1).integers(0, 255, shape).astype(dtype)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (Image.fromarray(noise((4, 5))), "a.png"),
        (Image.fromarray(noise((4, 5, 3))), "a.bmp"),
        (Image.fromarray(noise((4, 5, 4))), "a.png"),
        (Image.fromarray(noise((4, 5)).astype("u2") * 250), "a.png"),
        (Image.fromarray(noise((4, 5), "f4")), "a.tiff"),
        (Image.fromarray(noise((4, 5, 3))).quantize(7), "a.png"),
    ],
)
def test_images_are_kept_to_the_pixel(image, name):
    read = ImageFile(filename=name).write(image).read()
    assert (read.mode, read.size, read.tobytes()) == (image.mode, image.size, image.tobytes())
    assert read.getpalette() == image.getpalette()


def test_an_image_that_was_read_is_written_with_its_metadata(tmp_path):
    """As a plot of matplotlib, which names itself and its resolution."""
    texts = PngInfo()
    texts.add_text("Software", "a program, β")
    Image.fromarray(noise((4, 5, 4))).save(tmp_path / "plot.png", dpi=(100, 100), pnginfo=texts)
    with Image.open(tmp_path / "plot.png") as image:
        image.load()
    read = ImageFile(filename="a.png").write(image).read()
    assert read == image
    assert read.info == image.info
    assert read.info["Software"] == "a program, β"


def with_info():
    image = Image.fromarray(noise((4, 5)))
    image.info["exposure"] = 0.1
    return image


@pytest.mark.parametrize(
    ("image", "name", "what"),
    [
        (Image.fromarray(noise((16, 16, 3))), "a.jpg", "the pixels"),
        (Image.fromarray(noise((4, 5, 4))), "a.gif", "the mode RGBA"),
        (Image.fromarray(noise((4, 5)).astype("i4") * 100_000), "a.png", "mode I"),
        (with_info(), "a.png", "the metadata 'exposure'"),
    ],
)
def test_a_format_that_changes_an_image_is_refused(image, name, what):
    with pytest.raises(SerializationError, match=what):
        ImageFile(filename=name).write(image)


def particles(**changed):
    rng = np.random.default_rng(1)
    data = {name: rng.normal(size=10) for name in ("x", "px", "y", "py", "z", "t")}
    more = {"pz": np.full(10, 1e8), "weight": np.full(10, 1e-12), "status": np.ones(10, int)}
    return ParticleGroup(data={**data, **more, "species": "electron", **changed})


def test_particles_are_kept_to_the_bit():
    for group in (particles(), particles(px=np.zeros(10), t=np.full(10, -0.0))):
        read = ParticleGroupFile(filename="a.h5").write(group).read()
        assert {name: part.tobytes() for name, part in read.data.items() if name != "species"} == {
            name: part.tobytes() for name, part in group.data.items() if name != "species"
        }


def test_hdf5_refuses_what_it_would_change():
    for value, what in [
        (np.ma.array([1, 2], mask=[0, 1]), "MaskedArray"),
        (np.rec.array([(1,)], dtype=[("a", int)]), "recarray"),
    ]:
        with pytest.raises(SerializationError, match=rf'value\["a"\].*{what}'):
            HDF5File(filename="a.h5").write({"a": value})
        assert not kept_or_refused(HDF5File, {"a": value})


FULL_DISK = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from lume_services.files import HDF5File, ParticleGroupFile
from lume_services.results import export_results

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
value = {"many": [{"n": n, "y": np.arange(10)} for n in range(200)], "image": np.arange(100_000.0)}
HDF5File(filename=folder / "a.h5").write({"old": 1})
export_results([{"_id": "old"}], folder / "export.h5")
failed = 0
for limit in (0, 100, 3_000, 30_000, 300_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for write in (
        lambda: HDF5File(filename=folder / "a.h5").write(value),
        lambda: export_results([{"_id": str(n), **value} for n in range(3)], folder / "export.h5"),
    ):
        try:
            write()
        except OSError as error:
            failed += error.errno is not None
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert HDF5File(filename=folder / "a.h5").read() == {"old": 1}
assert sorted(path.name for path in folder.iterdir()) == ["a.h5", "export.h5"]
HDF5File(filename=folder / "a.h5").write(value)
assert HDF5File(filename=folder / "a.h5").read()["many"][199]["n"] == 199
print("failed", failed)
"""


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path):
    folder, home = tmp_path / "files", tmp_path / "home"
    folder.mkdir()
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={"LUME_HOME": str(home)}, check=False)
    assert (done.returncode, done.stdout) == (0, "failed 10\n"), done.stderr
