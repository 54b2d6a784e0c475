"""The page. It reads the tables, starts no Spark, and writes nothing but its heartbeat record and its log.

The page
    page             the order of the page: one run of the script for one session
    page_state       what is kept for all sessions together; the settings in force
    style            title, icon, style sheet
    sidebar          refresh, filters, an earlier time; downloads, diagram, commands, help
    freshness        the line at the top: how new, how far behind, what is wrong
    headline         the five figures
    tabs             one module for each tab
    own_tabs         tabs from people's own files
    board            what streamlit_dashboard.py may build upon: `spark`, tabs to write into
    spark            `spark.sql(...)` for snippets, answered by DuckDB in a child process
    commands         commands to copy
    diagram          the pipeline, drawn
Data
    source           the tables, followed; snapshots of all of them that fit together
    as_of            an earlier time or version, in the address
    filters          period, country, segment, category
    query_sources    which rows answer a figure: a roll-up's or those of ventes_clean
    figures          the numbers: functions over DuckDB relations, no Streamlit
    file_cache       sums of each data file, computed once
    newest_rows      the newest rows of a table, kept
    result_cache     results shared by all sessions
    status_poller    the pipeline's status, asked in the background
    page_heartbeat   the page's own heartbeat record
How it is shown
    view             what a tab is given
    charts           Plotly figures from numbers, no Streamlit
    plot             a Plotly chart that keeps its zoom
    grid             rows as a table, every number exact
    text             data as text, whatever it contains
Files
    downloads        links and commands
    download_links   tickets: who may download what
    download_server  CSV over HTTP while it is made
    connections      connections that are opened and not used
    server           what the page's web server has beyond Streamlit's
"""

COMPOSED_BY = "ventes.cli.page"
"""The module that gives this page the function that asks the pipeline's services. This package may not import it."""
