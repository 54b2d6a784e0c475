"""The verdict on a message, given once: by both engines, by `verify` and by `rebuild`. Needs neither Kafka nor Spark.

messages      the columns of a Kafka message, the input of a verdict
judge_batch   messages → Bronze rows
fast_path     the SQL that converts messages it can prove valid
judge_rows    all other messages, one by one
verdict       the definition of a valid sale: fields and limits
strict_json   bytes → one JSON object, or a reason code
event_time    text → time, and its allowed range
zones         the offsets of a time zone as SQL for DuckDB
"""
