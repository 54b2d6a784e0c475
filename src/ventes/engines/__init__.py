"""The two jobs, for both engines.

job               running a job process: log, signals, heartbeat, exit code
source            the offsets at which reading the topic continues
kafka_reader      Kafka → Arrow, with read-ahead
bronze_writer     messages → judged rows in Bronze
bronze_edits      handling a Bronze table that another program changed
silver_loop       the loop of the Silver job, for both engines
silver_publication   when the roll-ups are published
lot_range         the Bronze rows of the next lot
bronze_row_groups   the row groups of Bronze's files, and their sizes
lot_measures      what the Silver job counts of its lots for the metrics
lot_sql           the statements that split a lot, for both engines
lot_rows          Bronze's rows as a lot needs them
bronze_rows       reading them in pieces of limited size
duckdb_lots       takes a lot in this process: those of the embedded engine, the small ones of Spark
id_index          the index of the ids of the clean events: which of a lot were seen before
id_manifest       which files it consists of, and of which table
id_runs           these files: sorted keys with their lots
id_lookups        looking keys up in them, by a process that does not write the index
id_keys           the keys of ids
clean_rows        reading the few clean events that a lot needs
split_in_duckdb   a lot → clean and rejected rows
embedded          the embedded engine
spark             the Spark engine
"""
