"""A small Delta library: read a table, commit to it, compact it, vacuum it. It has no code about sales.

table         the definition of a table
actions       add, remove, txn: the lines of a commit
checkpoints   what stands for many commits, and what to do about one that cannot be read
log           the state of a table, and the next commit
features      which table features these writers support
data_files    writing Parquet files, with fsync and statistics
commit        appending or replacing rows, each transaction once
create        creating a table, and adding columns
compaction    choosing and merging small files
present       the data files of a table as files of this machine
history       which versions the log keeps, and when each was committed
vacuumed      what a vacuum sees and deletes, on a disk or on a store
vacuum        deleting files that the kept history does not need
maintenance   when a writer compacts, writes checkpoints and vacuums
snapshot      a table at one version, for readers
database      DuckDB connections for readers and writers

Imports nothing of this project but `ventes.errors`, `ventes.runtime.files` and `ventes.store`.
"""
