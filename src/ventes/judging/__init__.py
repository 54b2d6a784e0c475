"""The verdict on a message, given once: by both engines, by `verify` and by `rebuild`. Needs neither Kafka nor Spark.

messages       the columns of a Kafka message, the input of a verdict
judge_batch    messages → Bronze rows
fast_path      the SQL that gives the verdicts which it can prove
fast_json      what that SQL proves of a message as JSON
fast_extra     how it writes the fields that it does not know
unknown_names  which of them a batch has
judge_rows     all other messages, one by one
verdict        the definition of a valid event, composed from the kinds of its fields
rules          a stream's own rules, applied to whole batches
"""
