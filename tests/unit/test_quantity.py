"""Amounts of Kubernetes: its whole grammar, and nothing else."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lume_services.errors import RunConfigError
from lume_services.services.scheduling import KubernetesRunConfig
from lume_services.services.scheduling.run_configs.quantity import amount

AMOUNTS = {
    "128974848": 128974848,
    "129e6": 129_000_000,
    "129E6": 129_000_000,
    "129M": 129_000_000,
    "128974848000m": 128974848,
    "123Mi": 123 * 1024**2,
    "500m": Decimal("0.5"),
    "100u": Decimal("0.0001"),
    "1n": Decimal("1e-9"),
    "0.5": Decimal("0.5"),
    ".5": Decimal("0.5"),
    "5.": 5,
    "+1k": 1000,
    "1e-3": Decimal("0.001"),
    "1e+3": 1000,
    "1E": 10**18,
    "1Ei": 1024**6,
    "2.5Gi": Decimal("2.5") * 1024**3,
    "0": 0,
}
NONE = [
    "",
    "Gi",
    "1 Gi",
    "1gi",
    "1KI",
    "1ki",
    "1K",
    "-1",
    "1e",
    "1e1.5",
    "1mm",
    "1.2.3",
    "nan",
    "inf",
    "٣",
    "1e9999",
    "1_0",
]


@pytest.mark.parametrize("quantity", AMOUNTS)
def test_every_form_is_taken_as_it_is(quantity):
    assert amount(quantity) == AMOUNTS[quantity]
    for name in ("memory_limit", "memory_request", "cpu_limit", "cpu_request"):
        assert getattr(KubernetesRunConfig.of({name: quantity}), name) == quantity


@pytest.mark.parametrize("quantity", NONE)
def test_what_is_no_amount(quantity):
    with pytest.raises(RunConfigError, match="memory_limit"):
        KubernetesRunConfig.of({"memory_limit": quantity})


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2, "2"),
        (0.5, "0.5"),
        (129e6, "129000000"),
        (1e-3, "0.001"),
        (1e22, "10000000000000000000000"),
        (10, "10"),
    ],
)
def test_a_number_of_yaml_stands_for_itself(number, text):
    assert KubernetesRunConfig.of({"cpu_limit": number}).cpu_limit == text


@pytest.mark.parametrize("value", [True, float("nan"), float("inf"), -1, -0.5, [], {}])
def test_other_values_are_refused(value):
    with pytest.raises(RunConfigError, match="cpu_limit"):
        KubernetesRunConfig.of({"cpu_limit": value})


def test_a_request_above_its_limit():
    with pytest.raises(RunConfigError, match="memory_request 1Gi is more than memory_limit 129e6"):
        KubernetesRunConfig.of({"memory_request": "1Gi", "memory_limit": "129e6"})
    assert KubernetesRunConfig.of({"cpu_request": "1000m", "cpu_limit": 1}).cpu_limit == "1"


@given(st.text(st.sampled_from("0123456789.+-eEnumkKMGTPi "), max_size=12))
def test_no_text_gives_another_error(text):
    try:
        found = amount(text)
    except ValueError:
        return
    assert found >= 0
