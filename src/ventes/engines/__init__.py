"""The two jobs, for both engines.

job               how a job process runs and ends; how it says that it waits
source            where to go on reading the topic
kafka_reader      Kafka → Arrow, read ahead
bronze_writer     messages → judged rows in Bronze
bronze_edits      a Bronze table that somebody else changed
silver_loop       Silver, whichever engine takes the lots
lot_range         which Bronze rows make the next lot
split_in_duckdb   a lot → clean and rejected rows
sql               the statements of a lot
embedded          the embedded engine
spark             the Spark engine
"""
