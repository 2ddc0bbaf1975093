"""Tables: files and DataFrames whose columns are numbers, words, true or false, and dates, some of them missing.

`read_table` returns a `Table` of a CSV, TSV or Parquet file, `table_from_frame` of a DataFrame. `looks_like_table` says
which files are read here.
"""

from jitnet.tables.plain import looks_like_table
from jitnet.tables.reader import read_table
from jitnet.tables.table import Column, Kind, Table, table_from_frame

__all__ = ["Column", "Kind", "Table", "looks_like_table", "read_table", "table_from_frame"]
