"""The verdict on a message, given once: by both engines, by `verify` and by `rebuild`. Needs neither Kafka nor Spark.

messages      what a verdict is given on
judge_batch   messages → Bronze rows
fast_path     the SQL that types what it can prove valid
judge_rows    all other messages, one by one
verdict       the rule: fields and limits
strict_json   bytes → one JSON object, or why not
event_time    text → time, and whether it may be
zones         what DuckDB needs to know of a time zone
"""
