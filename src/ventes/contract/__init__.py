"""What the data is: tables, arithmetic, and the dialect that both engines understand.

tables       columns, keys and partitions of the eight tables
reasons      why a message is rejected: codes and sentences
arithmetic   means and shares, computed in one way everywhere
dialect      SQL written once in Spark's dialect, for DuckDB too
"""
