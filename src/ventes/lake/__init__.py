"""The tables of one pipeline on disk: paths, content and consistency.

tables               paths and properties
open_tables          the open tables of one process
positions            the position of each table
accepted_gaps        offsets that are accepted as missing
writer_lock          one writer per table group
rollups              the five aggregate tables
distinct_customers   exact counts of customers
silver_recovery      making Silver's tables consistent after a crash or an edit
damage               data files that are missing or cannot be read
sql                  the statements of the roll-ups
"""
