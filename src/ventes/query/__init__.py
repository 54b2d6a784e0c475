"""Questions typed by a person, and tables as files.

sandbox         one SELECT, run in a child process that can do nothing else
child_process   the parent's side of such a process
sandbox_child   the processes themselves: one translates, one runs
translate       the first fence: Spark's SQL to DuckDB's, if it is made of what is allowed
allowed         what it may be made of
corrections     where its answer would not be Spark's
outcome         translation, refusal, failure
values          values for which Python has no form
export          rows as CSV or Parquet
csv_child       the process that writes a download of the page
readable        what both need to know of a table
"""
