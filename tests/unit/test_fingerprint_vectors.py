"""The definition of the fingerprint (docs/reference/fingerprint.md) and vectors that never change."""

from __future__ import annotations

import hashlib
import math
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lume_services.values import fingerprint


def stream(*parts):
    return hashlib.sha256(b"lume-services fingerprint 1\n" + b"".join(parts)).hexdigest()


def sized(tag, size, content=b""):
    return tag + size.to_bytes(8, "little") + content


def text(string):
    return sized(b"S", len(string.encode()), string.encode())


def test_the_stream_is_as_documented():
    """The definition of docs/reference/fingerprint.md, written out by hand."""
    one = sized(b"I", 1, b"\x01")
    assert fingerprint(None) == stream(b"N")
    assert fingerprint([True, False]) == stream(sized(b"L", 2), b"T", b"F")
    assert fingerprint(-129) == stream(sized(b"I", 2, b"\x7f\xff"))
    assert fingerprint(1.5) == stream(b"R", b"\0\0\0\0\0\0\xf8\x3f")
    assert fingerprint("é") == stream(sized(b"S", 2, b"\xc3\xa9"))
    assert fingerprint(b"ab") == stream(sized(b"B", 2, b"ab"))
    assert fingerprint(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == stream(
        b"M", (10**6).to_bytes(8, "little")
    )
    keys = sorted(bytes.fromhex(stream(text(key))) for key in ("a", "b"))
    assert fingerprint({"a": 1, "b": 1}) == stream(sized(b"D", 2), keys[0], one, keys[1], one)
    assert fingerprint({"a", "b"}) == stream(b"K", text("set"), sized(b"U", 2), *keys)
    assert fingerprint((1,)) == stream(b"K", text("tuple"), sized(b"L", 1), one)
    array = np.array([[1.5]])
    shape = sized(b"L", 2) + one + one
    assert fingerprint(array) == stream(
        b"K", text("ndarray"), sized(b"L", 2), text("<f8"), shape, array.tobytes()
    )
    assert fingerprint(np.float64(1.5)) == stream(
        b"K", text("numpy"), sized(b"L", 2), text("<f8"), sized(b"L", 0), array.tobytes()
    )


VECTORS: list = [
    (None, "b9f3613126df708cf09db13bd384aefce3d54a9cf996508ba040fd6f00250a74"),
    (True, "345c017468735377f20b99d23f56af4123692f2bce4e91c3fe0bd58331c53191"),
    (1, "d9635cbda6dcc0430166fe7a19e971889ff4e3ed40297b943474c4c8c870e9c7"),
    (-(2**70), "4fa00c24fbe4096c4bff540a4e385a9d4faa30f4498689b9e117a6940f3032c5"),
    (1.0, "aa2ea0d0ce918ab568e8118fd72ae43c472d49cc358836ab18f277b69dbfd349"),
    (-0.0, "26e32cc10dda7d480eb58046dc2b9cfd3fac6b3cb0abebc556feb8cc35888541"),
    (math.nan, "e9131260fd3beb957bb8ed8e16f0bc9f4b31ba16675bf714ebfeb149a76132e8"),
    (1 + 2j, "ef74bef7d5d281e39d575b3e1273d3eab9eaf0ac9a5ce7625b24e16ff004fd00"),
    ("Strahl β", "db7da0c3fb5e536f2c71659574560ba5af95f10d859169a3d2838768081b704f"),
    (b"\x00\xff", "204499869d8d165dc9f55b31a6e7bc37480467278888b59bf8860526be8cce33"),
    (
        datetime(2024, 1, 31, 12, 30, 0, 123456, tzinfo=UTC),
        "d9e4185a497ec5fa40ff9ded6f3b5e561d838f5a95c862fb66ac8c0c75f3b853",
    ),
    (timedelta(1, 2, 3), "bc0c53f5e0fe3ada0a5dc6b1e7e9b7c67566e4a377f12ea9b15a8a9ce197fea7"),
    (date(2024, 1, 31), "89cee9385030cf7fa0b7c9bb46c224d59f24e3d32983ba777a41562ae6d6dcf1"),
    (uuid.UUID(int=1), "2a817d79d8ae3fad226feb19e37761dd350879c96d8eb2aa344b6ef22a5ecc11"),
    (Path("run/1.h5"), "b7be5b6f55c55969e1dd9c69121c435a10633786a458632326411491a0119411"),
    ([], "79e6576e2bc820f2d4a841d50a55679764fa2f1e4f7cd9286e0940178c5d8a9b"),
    ([1, "a", None], "e13106848e084b99c67dd73886dc8657aa0e656fa250b515a95446ef6480a1b8"),
    ((1, (2, 3)), "2f4c57ed36d2dbc9e5bf3c8472dd1d5b1bf03a34df61493f7ffebe3f7492cac7"),
    ({"x": 1, "y": {"z": [2.5]}}, "96f88964bb9b7985a7846ecdbafd7636be2c709e19711d492e374c28679c26ad"),
    ({1: "a", (2, "b"): None}, "5439602be7173012ed4ec517d123e9775b7ac58975d1115dbf00b5d51ab332bc"),
    ({1, 2, "c"}, "ffd824ed8cba28692bb37d31ae038509b748617afe2fb55479a99f8ff069cb5b"),
    (np.float32(0.1), "0f746bc876423f7e37c4ba1a3dab0670de45276cdd93f9d385417f0b187da842"),
    (np.str_("a"), "64b15ce0ee80602accafdbe6cdbb370c375299741bf015b72bb6f25a58371452"),
    (np.datetime64("2024-01-31", "ns"), "6c01326f1a4c2d4a5e80c8a6f972c43afe148df097addfc29c1c3cd262464254"),
    (
        np.arange(6, dtype="i4").reshape(2, 3),
        "02ed312725b44bc59e5456286753a73b728efeeb3e2dda1a29c12208772f8a10",
    ),
    (
        np.array([0.1, -0.0, math.nan, math.inf]),
        "5a750f4360808c923a99edaa5e5a96eeda4705fb3979e6064c6fe49b9826e420",
    ),
    (np.array([1 + 2j], "c8"), "bd2f112180888e5802194b9dcc0b2950e49998312ffaf16170edafa40651f8be"),
    (np.array([True, False]), "8edf13b12ca29af04cd8c65d9831d86061fdf2334a6ab181132e49a5591e2efe"),
    (np.array(["a", "bc"]), "df93df8109fd5d5b42f21c14d26ce531d79cdeb11b92fdc29615eb502903060a"),
    (
        np.array(["a", "bc"], np.dtypes.StringDType()),
        "6ff7d896605d65870aa332620a379e3a95671dc39207f8939a265de6b3ebc5f3",
    ),
    (
        np.array([(1, 2.5)], [("n", "i8"), ("x", "f8")]),
        "a222cf05cd4fa355f7f2c62fb17c65f42ffa2d9e2234d24446443586fe30e121",
    ),
    (np.zeros((0, 3), "u2"), "e5b7db1b1afd6a1e603c5bc6c66fe347736195b6264b0103c59f5817ae38a148"),
    (
        pd.Series([1.5, 2.5], index=[10, 20], name="x"),
        "baaa50a0333ed3075bcc144d2fae270a0b8440ad77b92fb123d9771655c4a325",
    ),
    (
        pd.DataFrame({0: [1, 2], 1: [0.5, math.nan]}),
        "2d8d92d570c28e5e261dcf5612f0787fa6366e8b567f310f63d8b72be61ffc5d",
    ),
    (
        pd.Series(["a", None], dtype="string"),
        "082526fba013aa11bd9a1081c0c07c610f4c3494f291a7387a18db9fff006bf6",
    ),
    (pd.Series([1, None], dtype="Int8"), "40873efdbfe53d39d8a4a3e5f8452833adb9ec9e005fc10307a125505d2b5486"),
    (
        pd.Series(pd.Categorical([1, 2, 1], ordered=True)),
        "e5bcec244d4480635059f8a6c7347be2c68c123099524709fedf713333776883",
    ),
    (
        pd.Series(pd.DatetimeIndex(["2024-01-31"], dtype="M8[ns]").tz_localize("Europe/Berlin")),
        "76d81a8ddfd1a9a8f05cd307dd923e4fa9cc3a6252b751e5e5afe75b0ed8011e",
    ),
]


@pytest.mark.parametrize(("value", "expected"), VECTORS, ids=range(len(VECTORS)))
def test_kept_vectors(value, expected):
    """These never change. A change of the definition needs a new version in the stream."""
    assert fingerprint(value) == expected
