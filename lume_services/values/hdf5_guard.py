"""What an HDF5 file must not hold, and how much of it is read.

A file from elsewhere can be made to do harm: a few bytes of it can stand for more than there is memory, links
and data can lead into other files, groups can contain themselves, types and filters can be such that the HDF5
library has no safe way of reading them. So each part is looked at here before it is read, and what is read
is counted: all values of a file together must find room.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5o, h5s, h5t, h5z

from lume_services.errors import LUMEServicesError
from lume_services.values.dtypes import refuse_overlap
from lume_services.values.parts import shape_of
from lume_services.values.trail import Trail

LEAST_ROOM = 1 << 28
GZIP_RATIO = 1032
"""How much gzip shrinks at most."""

_TEXT_BYTES = 64  # of a Python string, besides its characters
_MOST_ATTRIBUTE = 1 << 16
_MOST_TYPE_DEPTH = 16
_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF}
_CHECKSUM_BYTES = 4
_NUMBERS = {h5t.INTEGER, h5t.FLOAT, h5t.BITFIELD, h5t.ENUM, h5t.COMPLEX}
_TIME_TAG = re.compile(rb"NUMPY:[<>|=]?[mM]8(\[\d{0,9}[a-zA-Z]{1,2}\])?")
_TIME_BYTES = 8


def room_for(file_bytes: int, ratio: int) -> int:
    """Return how many bytes the values of a file may take: so many times its size, or 256 MiB."""
    return max(LEAST_ROOM, ratio * file_bytes)


class Guard:
    """Looks at the parts of one HDF5 file before they are read.

    Args:
        trail: Where the walk through the file is.
        file_bytes: The size of the file.
        ratio: How many times that size the values may take together; but always 256 MiB.
    """

    def __init__(self, trail: Trail, file_bytes: int, ratio: int) -> None:
        self._trail = trail
        self._file_bytes = max(file_bytes, 1)
        self._room = self._left = room_for(file_bytes, ratio)
        self._groups: set[int] = set()

    def child(self, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        """Return a member of a group that lies in the same file, and as a group nowhere else.

        Raises:
            DecodeError: It is a link to elsewhere, or a group with several names.
        """
        if not isinstance(group, h5py.Group):
            raise self._trail.fail("this is not a group.")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise self._trail.fail("this is a link that leads elsewhere.", "Copy its target into the file.")
        node = group[name]
        if isinstance(node, h5py.Group):
            info = h5o.get_info(node.id)
            if info.rc > 1 or info.addr in self._groups:
                raise self._trail.fail("this group has several names, so perhaps it contains itself.")
            self._groups.add(info.addr)
        elif not isinstance(node, h5py.Dataset):
            raise self._trail.fail("this is neither a group nor a dataset.")
        return node

    def take(self, nbytes: int) -> None:
        """Count bytes that are to be read.

        Raises:
            DecodeError: There is no room for them.
        """
        self._left -= nbytes
        if self._left < 0:
            raise self._trail.fail(
                f"this claims to be {nbytes} bytes. They do not fit into the {self._room} that are read in "
                f"all of a file of {self._file_bytes}.",
                "If that is right, read its arrays in parts with h5py.",
            )

    def check(self, dataset: h5py.Dataset) -> None:
        """Refuse a dataset that cannot be read safely, and count what reading all of it takes.

        Raises:
            DecodeError: It is one; or there is no room for it.
        """
        if dataset.external or dataset.is_virtual:
            raise self._trail.fail(
                "the data of this dataset lie in another file.", "Copy them into this one."
            )
        type_id = dataset.id.get_type()
        is_text = type_id.get_class() == h5t.STRING
        if not (is_text and type_id.is_variable_str()):
            self._check_type(type_id)
            refuse_overlap(dataset.dtype)
        if dataset.shape is None:
            return
        shape_of(list(dataset.shape))
        self.take(dataset.nbytes + (_TEXT_BYTES * dataset.size if is_text else 0))
        if dataset.chunks is not None:
            self._check_chunks(dataset)

    def texts(self, dataset: h5py.Dataset) -> Any:
        """Return the texts of a dataset of texts of any length, which `check` has let pass."""
        found = np.empty(dataset.shape, object)
        self._read_texts(dataset.asstr(), found, ())
        return found[()]

    def check_attributes(self, node: h5py.HLObject) -> None:
        """Count what reading the attributes of a group or dataset takes, for one who reads them all.

        Raises:
            DecodeError: There is no room for them.
        """
        for index in range(h5a.get_num_attrs(node.id)):
            attribute = h5a.open(node.id, index=index)
            self.take(attribute.get_storage_size())
            if attribute.get_type().detect_class(h5t.VLEN) or attribute.get_type().detect_class(h5t.STRING):
                self.take(math.prod(attribute.shape) * self._longest(attribute.get_type()))
        if "shape" in node.attrs and "value" in node.attrs:  # what openPMD calls a constant component
            axes = np.atleast_1d(node.attrs["shape"])
            if axes.dtype.kind not in "iu" or axes.ndim != 1:
                raise self._trail.fail("its shape is none.")
            self.take(math.prod(axes.tolist()) * np.dtype(np.float64).itemsize)

    def _longest(self, type_id: h5t.TypeID) -> int:
        is_fixed = type_id.get_class() == h5t.STRING and not type_id.is_variable_str()
        return int(type_id.get_size()) if is_fixed else self._file_bytes

    def _check_type(self, type_id: h5t.TypeID, depth: int = 0) -> None:
        of_class = type_id.get_class()
        if depth > _MOST_TYPE_DEPTH:
            raise self._trail.fail("its type is nested too deep.")
        if of_class in _NUMBERS or (of_class == h5t.STRING and not type_id.is_variable_str()):
            return
        if of_class == h5t.COMPOUND:
            for index in range(type_id.get_nmembers()):
                self._check_type(type_id.get_member_type(index), depth + 1)
        elif of_class == h5t.ARRAY:
            self._check_type(type_id.get_super(), depth + 1)
        elif of_class != h5t.OPAQUE or not _is_plain_opaque(type_id):
            raise self._trail.fail(
                "its elements are not read: they are references, of varying length, or of an unknown type.",
                "Read it with h5py.",
            )

    def _check_chunks(self, dataset: h5py.Dataset) -> None:
        """Refuse filters that are not known to be safe, and chunks that become larger than they claim."""
        properties = dataset.id.get_create_plist()
        filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
        codes = [code for code, *_ in filters]
        if not _FILTERS.issuperset(codes) or len(set(codes)) < len(codes):
            names = ", ".join(name.decode("ascii", "replace") or str(code) for code, _, _, name in filters)
            raise self._trail.fail(
                f"it is stored by the filters {names}, which are not read here.",
                "Write it with gzip or without filters: h5repack -f GZIP=4.",
            )
        chunk_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
        if chunk_bytes > dataset.nbytes:
            self.take(chunk_bytes)
        if h5z.FILTER_DEFLATE in codes and self._file_bytes * GZIP_RATIO > self._room:
            self._check_deflated(dataset, codes, chunk_bytes)

    def _check_deflated(self, dataset: h5py.Dataset, codes: list[int], chunk_bytes: int) -> None:
        """Refuse chunks that grow beyond the size of a chunk: HDF5 would hold them before it looks.

        Looking costs as much as reading, so only those are looked at that could take more than the room.
        """
        suspects: list[tuple[int, ...]] = []

        def look(chunk: Any) -> None:
            if chunk.size * GZIP_RATIO > self._room:
                suspects.append(chunk.chunk_offset)

        dataset.id.chunk_iter(look)
        after = codes[codes.index(h5z.FILTER_DEFLATE) + 1 :]
        for offset in suspects:
            _, data = dataset.id.read_direct_chunk(offset)
            if after == [h5z.FILTER_FLETCHER32]:
                data = data[:-_CHECKSUM_BYTES]
            elif after:
                raise self._trail.fail("its filters are in an order that no writer uses.")
            limit = chunk_bytes + 1 + (_CHECKSUM_BYTES if h5z.FILTER_FLETCHER32 in codes else 0)
            if len(zlib.decompressobj().decompress(data, limit)) >= limit:
                raise self._trail.fail(f"a chunk is larger than its {chunk_bytes} bytes.")

    def _read_texts(self, dataset: Any, found: Any, place: tuple[int, ...]) -> None:
        rest = found.shape[len(place) :]
        # One text can be as long as the file, and is held up to three times while it is converted.
        block = max(1, self._left // (4 * self._file_bytes))
        if not rest or math.prod(rest) <= block:
            self._read_block(dataset, found, place)
        elif len(rest) == 1:
            for start in range(0, rest[0], block):
                self._read_block(dataset, found, (*place, slice(start, start + block)))
        else:
            for row in range(rest[0]):
                self._read_texts(dataset, found, (*place, row))

    def _read_block(self, dataset: Any, found: Any, place: tuple[Any, ...]) -> None:
        found[place] = block = dataset[place]
        self.take(sum(map(len, block.flat)) if isinstance(block, np.ndarray) else len(block))


def _is_plain_opaque(type_id: h5t.TypeID) -> bool:
    """Tell whether h5py reads elements without a meaning as bytes, or as moments of their own length."""
    tag = type_id.get_tag()
    is_time = _TIME_TAG.fullmatch(tag) is not None and type_id.get_size() == _TIME_BYTES
    return is_time or not tag.startswith(b"NUMPY:")


def text_of(node: h5py.HLObject, name: str) -> str | None:
    """Return an attribute of text, or None where there is none."""
    if not h5a.exists(node.id, name.encode()):
        return None
    attribute = h5a.open(node.id, name.encode())
    is_scalar = attribute.get_space().get_simple_extent_type() == h5s.SCALAR
    if attribute.get_type().get_class() != h5t.STRING or not is_scalar:
        return None
    if attribute.get_storage_size() > _MOST_ATTRIBUTE:
        raise ValueError(f"the attribute {name} is too large")
    found = node.attrs[name]
    text = found.decode() if isinstance(found, bytes) else str(found)
    text.encode()  # raises where h5py has kept what is not Unicode
    return text


@contextmanager
def reading(trail: Trail) -> Iterator[None]:
    """Turn any error while HDF5 is read into one that names the place.

    Raises:
        DecodeError: The file is damaged.
        OSError: The system cannot read it.
    """
    try:
        yield
    except LUMEServicesError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise trail.fail(f"this cannot be read: {type(error).__name__}: {error}") from error
