"""The tables of one pipeline on disk: where they are, what they hold, and what keeps them together.

tables               paths and properties
open_tables          the tables as one process follows them
positions            up to which message a table holds
accepted_gaps        offsets that are accepted as missing
writer_lock          one writer per table group
rollups              the five aggregate tables
distinct_customers   exact counts of customers
silver_recovery      making Silver's tables agree after a crash or an edit
damage               data files that are gone or cannot be read
sql                  the statements of the roll-ups
"""
