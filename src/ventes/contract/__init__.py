"""What the data is: tables and arithmetic.

tables       columns, keys and partitions of a stream's tables
arithmetic   means and shares, computed in one way everywhere
"""
