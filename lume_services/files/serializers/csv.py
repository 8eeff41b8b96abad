"""Tables as comma-separated values."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class CSVSerializer:
    """A DataFrame as comma-separated values, its columns named in the first line.

    The index is not written. Numbers are written in full. The types of columns are told again from
    their text when the file is read; a table that must keep them belongs into an `HDF5File`.
    """

    def serialize(self, filename: str, obj: pd.DataFrame) -> None:
        """Write a DataFrame to a file.

        Raises:
            TypeError: The object is not a DataFrame.
        """
        import pandas as pd

        if not isinstance(obj, pd.DataFrame):
            raise TypeError(f"expected a pandas DataFrame, got {type(obj).__name__}")
        obj.to_csv(filename, index=False)

    @classmethod
    def deserialize(cls, filename: str) -> pd.DataFrame:
        """Read a DataFrame from a file."""
        import pandas as pd

        return pd.read_csv(filename)
