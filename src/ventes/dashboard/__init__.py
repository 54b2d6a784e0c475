"""The page. It reads tables only, starts no Spark and writes nothing.

page        the order of the page; what a user tab is given
source      the tables as they are at one moment, shared by all sessions
filters     what a viewer asked to see, kept in the URL
slices      ventes_clean narrowed to filters, one data file read once
figures     the numbers: functions over DuckDB relations, no Streamlit
charts      Plotly figures from numbers, no Streamlit
past        an earlier moment, in the address
text        data shown as text, whatever it contains
freshness   how old and how far behind: the line at the top
streaming   CSV over HTTP while it is made
sidebar     settings of the page, diagram, commands, help
spark       `spark.sql(...)` for snippets, answered by DuckDB in a child process
tabs/       one module a tab
"""
