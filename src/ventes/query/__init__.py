"""Questions typed by a person, and tables as files.

sandbox         one SELECT, run in a child process that can do nothing else
sandbox_child   that process
export          rows as CSV or Parquet
csv_child       the process that writes a download of the page
readable        what both need to know of a table
"""
