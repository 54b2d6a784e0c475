"""What the data is: tables, arithmetic, and the dialect that both engines understand.

tables       columns, keys and partitions of a stream's tables
arithmetic   means and shares, computed in one way everywhere
dialect      SQL written once in Spark's dialect, for DuckDB too
"""
