"""Tables: files and DataFrames whose columns are numbers, words, true or false, and dates, some of them missing.

`read_table` returns a `Table` of a CSV, TSV or Parquet file, `table_from_frame` of a DataFrame.
"""

from jitnet.tables.table import Column, Kind, Table, table_from_frame

__all__ = ["Column", "Kind", "Table", "table_from_frame"]
