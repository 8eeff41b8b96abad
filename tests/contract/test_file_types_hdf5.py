"""HDF5 files: what they hold, and what is refused in those from elsewhere."""

import tempfile
import time
from datetime import UTC

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lume_services.errors import SerializationError
from lume_services.files import HDF5File, ParticleGroupFile
from lume_services.values import fingerprint


@pytest.fixture(autouse=True)
def context(lume_context):
    return lume_context


class TestHostileHDF5:
    """FIL-8, and the rest of what a file from elsewhere may try."""

    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "hostile.h5"

    def refused(self, path, message, file_type=HDF5File):
        with pytest.raises(SerializationError, match=message) as caught:
            file_type(filename=path).read()
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("file_type", [HDF5File, ParticleGroupFile])
    @pytest.mark.parametrize("link", [h5py.ExternalLink("/etc/secret.h5", "/x"), h5py.SoftLink("/x")])
    def test_links(self, path, file_type, link):
        with h5py.File(path, "w") as file:
            file.create_group("deep")["link"] = link
        self.refused(path, r'file\["deep"\]\["link"\]: this is a link', file_type)

    def test_external_dataset(self, path, tmp_path):
        (tmp_path / "secret").write_bytes(b"x" * 8)
        with h5py.File(path, "w") as file:
            file.create_dataset("a", (1,), "f8", external=[(str(tmp_path / "secret"), 0, 8)])
        self.refused(path, "another file")

    def test_virtual_dataset(self, path):
        layout = h5py.VirtualLayout((2,), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("a", layout)
        self.refused(path, "another file")

    def test_bomb(self, path):
        with h5py.File(path, "w") as file:
            file.create_dataset("a", (1 << 40,), "f8", chunks=(1 << 20,), compression="gzip")
        self.refused(path, "claims to be 8796093022208 bytes")

    def test_unknown_kind_is_not_imported(self, path, tmp_path, monkeypatch):
        (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
        monkeypatch.syspath_prepend(str(tmp_path))
        with h5py.File(path, "w") as file:
            file.create_group("a").attrs["lume_kind"] = "evil.Evil"
            file.attrs["object"] = "evil.Evil"
        self.refused(path, "'evil.Evil' is not registered")

    def test_cycle_of_hard_links(self, path):
        with h5py.File(path, "w") as file:
            group = file.create_group("a")
            group["again"] = file["a"]
        self.refused(path, "200 levels|contains itself")

    def test_references_and_objects(self, path):
        with h5py.File(path, "w") as file:
            file.create_dataset("a", (1,), h5py.ref_dtype)
        self.refused(path, "are not read")


def test_hdf5_is_self_describing(tmp_path):
    """h5py alone finds dicts as groups and arrays as datasets."""
    path = tmp_path / "a.h5"
    HDF5File(filename=path).write({"scan": {"sigma_x": np.arange(3.0), "unit": "m"}, "X:Y.VAL/a": 1})
    with h5py.File(path) as file:
        assert file["scan/sigma_x"][()].tolist() == [0, 1, 2]
        assert file["scan/unit"].asstr()[()] == "m"
        assert file["X:Y.VAL%2Fa"][()] == 1


def test_equal_values_make_equal_hdf5_files():
    value = {"image": np.arange(10_000.0), "gradient": 1.5, "unit": "m", "scan": {"a": [1, 2]}}
    first = HDF5File(filename="first.h5").write(value)
    time.sleep(1.1)  # HDF5 counts the times of objects in seconds
    assert HDF5File(filename="second.h5").write(value).checksum == first.checksum


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(st.characters(exclude_categories=["Cs"]))
        | st.binary()
        | st.complex_numbers(allow_nan=False)
        | st.datetimes(timezones=st.just(UTC))
        | arrays(st.sampled_from(["f8", "i4", "?", "U3", "M8[ns]", "c16"]), array_shapes(min_dims=0)),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
            | st.tuples(inner, inner)
        ),
        max_leaves=10,
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hdf5_gives_back_what_it_took(value):
    with tempfile.TemporaryDirectory() as folder:
        file = HDF5File(filename=f"{folder}/a.h5").write(value)
        assert fingerprint(file.read()) == fingerprint(value)
