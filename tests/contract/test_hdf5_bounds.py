"""How much is read of an HDF5 file: never out of proportion to its size, wherever it is read."""

from __future__ import annotations

import resource
import sys
import zlib

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from lume_services.errors import DecodeError, LUMEServicesError, SerializationError
from lume_services.files import File, HDF5File, ParticleGroupFile
from lume_services.files.serializers.hdf5 import HDF5Serializer
from lume_services.results import import_results
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB
from lume_services.values.hdf5_guard import LEAST_ROOM

MIB = 1 << 20


@pytest.fixture(autouse=True)
def context(lume_context):
    return lume_context


@pytest.fixture(autouse=True)
def no_more_memory_than_is_stated():
    """A file of some kB may make this process grow by 256 MiB and a little, not more."""
    if sys.platform != "linux":
        yield  # only Linux keeps to this limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2 * LEAST_ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def names_of_one_array(file):
    """One array without storage, under sixty names: 8 GiB of a file of 14 kB."""
    file.create_dataset("a0", (128 * MIB,), "u1")
    for number in range(1, 61):
        file[f"a{number}"] = file["a0"]


def many_without_storage(file):
    for number in range(10):
        file.create_dataset(str(number), (100 * MIB,), "u1")


def gzip_bomb(file):
    file.create_dataset("a", (400 * MIB,), "u1", chunks=(MIB,), compression="gzip")[: 300 * MIB] = 0


def chunk_larger_than_its_array(file):
    file.create_dataset("a", (1,), "u1", maxshape=(None,), chunks=(2000 * MIB,), compression="gzip")


def chunk_that_grows(file):
    """A chunk of 1 MiB that becomes 400 MiB when it is unpacked."""
    deflated = zlib.compressobj(1)
    data = b"".join(deflated.compress(bytes(MIB)) for _ in range(400)) + deflated.flush()
    dataset = file.create_dataset("a", (MIB,), "u1", chunks=(MIB,), compression="gzip")
    dataset.id.write_direct_chunk((0,), data)


def numbers_in_a_list(file):
    file.create_dataset("a", (20 * MIB,), "i8").attrs["lume_kind"] = "numbers"


def short_texts(file):
    file.create_dataset("a", (200 * MIB,), "S1")


def one_long_text_many_times(file):
    """Every element of a virtual length refers to the same MiB."""
    texts = file.create_dataset("a", (1000,), h5py.string_dtype())
    texts[0] = "x" * MIB
    file.file.flush()
    with open(file.file.filename, "r+b") as raw:
        raw.seek(texts.id.get_offset())
        element = raw.read(16)
        raw.seek(texts.id.get_offset())
        raw.write(element * 1000)


def rows_without_elements(file):
    file.create_dataset("a", (1 << 40, 0), "f8")


BOMBS = [
    names_of_one_array, many_without_storage, gzip_bomb, chunk_larger_than_its_array, chunk_that_grows,
    numbers_in_a_list, short_texts, one_long_text_many_times, rows_without_elements,
]  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_by_the_file_type(bomb, tmp_path):
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        bomb(file)
    assert path.stat().st_size < 3 * MIB
    with pytest.raises(SerializationError, match=r"bytes|too many rows"):
        HDF5File(filename=path).read()


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_by_the_import(bomb, tmp_path):
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        bomb(file.create_group("record"))
    with FileResultsDB(tmp_path / "store") as store, pytest.raises(DecodeError, match="record"):
        import_results(path, ResultsDBService(lambda: store))


def test_a_bomb_of_particles_is_refused(tmp_path):
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        component = file.create_group("particles/position/x")
        component.attrs["value"] = 1.0
        component.attrs["shape"] = [1 << 40]
    with pytest.raises(SerializationError, match="claims to be 8796093022208 bytes"):
        ParticleGroupFile(filename=path).read()


def test_the_limit_can_be_raised_by_a_program_that_trusts_its_files(tmp_path):
    class Trusting(HDF5Serializer):
        read_ratio = 1000

    path = tmp_path / "sparse.h5"
    with h5py.File(path, "w") as file:
        image = file.create_dataset("a", (300 * MIB,), "u1", chunks=(MIB,), compression="gzip")
        image[:] = 0
    with pytest.raises(SerializationError, match="read its arrays in parts with h5py"):
        HDF5File(filename=path).read()
    assert File[Trusting](filename=path).read()["a"].nbytes == 300 * MIB


def opaque(tag, size):
    def make(file):
        kind = h5t.create(h5t.OPAQUE, size)
        kind.set_tag(tag)
        h5d.create(file.id, b"a", kind, h5s.create_simple((4,)))

    return make


def filtered(code):
    def make(file):
        properties = h5p.create(h5p.DATASET_CREATE)
        properties.set_chunk((10,))
        if code == "twice":
            properties.set_deflate(1)
            properties.set_deflate(1)
        else:
            properties.set_scaleoffset(2, 0)
        h5d.create(file.id, b"a", h5t.NATIVE_INT32, h5s.create_simple((10,)), properties)

    return make


def group_within_itself(file):
    group = file.create_group("a")
    group["again"] = group


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (opaque(b"NUMPY:O", 8), "elements are not read"),
        (opaque(b"NUMPY:<f8", 100), "elements are not read"),
        (opaque(b"NUMPY:<M8[ns]", 1), "elements are not read"),
        (lambda file: file.create_dataset("a", (1,), h5py.ref_dtype), "elements are not read"),
        (lambda file: file.create_dataset("a", (1,), h5py.regionref_dtype), "elements are not read"),
        (lambda file: file.create_dataset("a", (1,), h5py.vlen_dtype(float)), "elements are not read"),
        (
            lambda file: file.create_dataset("a", (1,), np.dtype([("t", h5py.string_dtype())])),
            "elements are not read",
        ),
        (filtered("scaleoffset"), "stored by the filters"),
        (filtered("twice"), "stored by the filters"),
        (group_within_itself, "several names"),
        (lambda file: file.create_group(b"\xff\xfe"), "cannot be read"),
        (lambda file: file.create_group("a").attrs.create("lume_kind", b"\xff"), "cannot be read"),
    ],
)
def test_what_has_no_safe_way_of_being_read_is_refused(make, message, tmp_path):
    path = tmp_path / "hostile.h5"
    with h5py.File(path, "w") as file:
        make(file)
    with pytest.raises(SerializationError, match=message):
        HDF5File(filename=path).read()


def test_files_of_other_programs_are_read(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["texts"] = [["a", "bb"], ["", "é"]]
        file["text"] = "one"
        file["short"] = np.array([b"a", b"bb"])
        file["nothing"] = h5py.Empty("f8")
        file["same"] = file["texts"]
        file["flags"] = np.array([True, False])
        file["complex"] = np.array([1j])
        file["records"] = np.array([(1, 2.5)], [("n", "i4"), ("x", "f8")])
        file["when"] = np.array([1, 2], "M8[s]").astype(h5py.opaque_dtype(np.dtype("M8[s]")))
        options = {"shuffle": True, "fletcher32": True, "chunks": (10,), "compression": "gzip"}
        file.create_dataset("packed", data=np.arange(95.0), **options)
        file.create_dataset("lzf", data=np.arange(9.0), compression="lzf")
    found = HDF5File(filename=path).read()
    assert found["texts"].tolist() == found["same"].tolist() == [["a", "bb"], ["", "é"]]
    assert (found["text"], found["nothing"]) == ("one", None)
    assert found["records"]["x"].tolist() == [2.5]
    assert found["when"].dtype == np.dtype("M8[s]")
    assert np.array_equal(found["packed"], np.arange(95.0))
    assert np.array_equal(found["lzf"], np.arange(9.0))


def test_many_texts_of_any_length_are_read_in_parts(tmp_path):
    path = tmp_path / "texts.h5"
    texts = np.array([[f"text {row} {column}" for column in range(7)] for row in range(300)], object)
    with h5py.File(path, "w") as file:
        file.create_dataset("texts", data=texts, dtype=h5py.string_dtype())
        file["long"] = "x" * (3 * MIB)  # so that a block is some texts only
    found = HDF5File(filename=path).read()["texts"]
    assert np.array_equal(found, texts)


def test_what_a_file_is_refused_for_is_an_error_of_ours(tmp_path):
    path = tmp_path / "cut.h5"
    HDF5File(filename=path).write({"a": np.arange(10_000.0), "b": {"c": [1, "x"]}})
    data = bytearray(path.read_bytes())
    for start in range(0, len(data), 97):
        changed = bytearray(data)
        changed[start] ^= 0xFF
        path.write_bytes(changed)
        try:
            HDF5File(filename=path).read()
        except LUMEServicesError:
            continue
