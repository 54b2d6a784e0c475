"""The Delta log as a small library: read a table, commit to it, compact it, vacuum it. It knows nothing of sales.

table         what a table shall be
actions       add, remove, txn: the lines of a commit
checkpoints   what stands for many commits, and what to do about one that cannot be read
log           the state of a table, and the next commit
features      which table features these writers keep
data_files    Parquet files: written, flushed, described by statistics
commit        rows in, one version out, each transaction once
create        how a table comes into being, and gets new columns
compaction    which small files are worth merging, and the merge
vacuum        which files the kept history does not need
maintenance   when a writer compacts, writes checkpoints and vacuums
snapshot      a table at one version, for readers
database      DuckDB connections for readers and writers

Imports nothing of this project but `ventes.errors` and `ventes.runtime.files`.
"""
