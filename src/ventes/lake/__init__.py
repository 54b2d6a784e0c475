"""The tables of one pipeline on disk: paths, content and consistency.

tables               paths and properties
open_tables          the open tables of one process
positions            the position of each table
accepted_gaps        offsets that are accepted as missing
readers              processes that read one moment of the tables for long
writer_lock          one writer per table group
fit                  whether a table on disk is the declared one
rollup_plan          the statements of the aggregate tables, composed from the declaration
rollup_partials      what lots give to the aggregate tables
rollups              keeping the aggregate tables up to date
rollup_files         which files of a roll-up hold which keys
rollup_merge         merging partial rows into these files
unpublished          partial rows that wait for their publication
clean_lots           the clean events of some lots, in parts
distinct_values      exact distinct counts
silver_recovery      making Silver's tables consistent after a crash or an edit
doubled_rows         removing rows that two programs merged at once
alert_history        the table of alerts
damage               data files that are missing or cannot be read
"""
