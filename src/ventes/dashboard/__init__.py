"""The page. It reads the tables without Spark, and writes only its heartbeat and its log.

What it shows is declared (stream/page.py): no field of an event is named in this package.

The page
    page             draws the page: one run of the script for one session
    page_state       objects shared by all sessions; the settings in force
    style            icon, style sheet
    address          what the address asks for and is not there
    sidebar          refresh, filters, an earlier time; downloads, diagram, commands, help
    freshness        the line at the top: time of the newest event, lag, problems
    headline         the figures
    tabs             one module for each kind of tab
    own_tabs         tabs from users' own files
    board            the objects for code in streamlit_dashboard.py: `spark`, tabs
    spark            `spark.sql(...)` for snippets, answered by DuckDB in a child process
    commands         commands to copy
    diagram          the pipeline, drawn
Data
    source           consistent snapshots of all tables, refreshed at new commits
    as_of            an earlier time or version, in the address
    filters          the period, and the dimensions of the stream
    questions        what is asked of the events, which table answers it, the SQL
    trend            recent activity per unit of time
    query_sources    the rows behind a figure: of a roll-up, or sums of the clean table
    figures          the numbers: functions over DuckDB relations, no Streamlit
    file_cache       sums of each data file, computed once
    newest_rows      a cache of the newest rows of a table
    result_cache     results shared by all sessions
    status_poller    the pipeline's status, asked in the background
    page_heartbeat   the page's own heartbeat record
How it is shown
    view             the argument of a tab
    charts           Plotly figures from numbers, no Streamlit
    sparkline        the small line of a card
    plot             a Plotly chart that keeps its zoom
    grid             rows as a table, every number exact
    text             data as text, whatever it contains
Files
    downloads        links and commands
    download_links   random tickets for downloads
    download_server  streams CSV files over HTTP
    probes           /healthz and /readyz
    connections      closes unused connections
    server           additions to Streamlit's web server
"""

COMPOSED_BY = "ventes.cli.page"
"""The module that passes the status function to this page. This package must not import it."""
