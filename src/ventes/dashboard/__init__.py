"""The page. It reads the tables without Spark, and writes only its heartbeat and its log.

What it shows is declared (stream/page.py): no field of an event is named in this package.

The page
    page             draws the page: one run of the script for one session
    script_run       the end of a run before the script's last line
    page_state       objects shared by all sessions; the settings in force
    style            icon, style sheets (page.css, wall.css)
    page_tools       print, link, notice of another server: what only the browser can do
    wall             the wall view, which turns its tabs
    address          what the address asks for and is not there
    sidebar          filters, pause, refresh; downloads, diagram, commands, help
    choices          the values that the filters offer, or that are searched for
    earlier          the inputs for an earlier time or version
    chips            what narrows or holds the page, each with a click that takes it back
    freshness        the line at the top: time of the newest event, lag, problems
    headline         the figures, with change, target and small line
    help_text        the "?" beside a figure or a chart
    picked           what a click on a chart picks, in the address
    troubles         the guide's troubleshooting with its present answers
    tabs             one module for each kind of tab
    own_tabs         tabs from users' own files
    board            the objects for code in streamlit_dashboard.py: `spark`, tabs
    spark            `spark.sql(...)` for snippets, answered by DuckDB in a child process
    commands         commands to copy
    set_up           how to set up a login and an alert, in steps
    diagram          the pipeline, drawn
Data
    source           consistent snapshots of all tables, refreshed at new commits
    as_of            an earlier time or version, in the address
    period           presets and ranges in the business zone
    filters          the period, and the values of fields
    questions        what is asked of the events, which table answers it, the SQL
    comparison       the figures against the same time of earlier days
    trend            the small lines: the figures per unit of time
    over_time        the points of the timeline
    growth           how the values of a ranking change, and what rises
    explained        the figures and charts in SQL, to check them by hand
    query_sources    the rows behind a figure: of a roll-up, or sums of the clean table
    headline_values  the values of the figures at the top
    figures          the numbers: functions over DuckDB relations, no Streamlit
    file_cache       sums of each data file, computed once
    first_rows       the first rows of large tables in some order, kept up by the files that change
    distinct_counts  different values of large tables, kept up by the files that change
    newest_rows      a cache of the newest rows of a table
    result_cache     results shared by all sessions
    status_poller    the pipeline's status, asked in the background
    page_heartbeat   the page's own heartbeat record
How it is shown
    view             the argument of a tab
    language         the viewer's language: words, numbers, dates
    locales          the catalogs of other languages than English
    translated       a declared page in it
    states           empty, waiting, refused, wrong: each drawn in one way
    charts           Plotly figures from numbers, no Streamlit
    card             change and target of a card
    sparkline        the small line of a card
    plot             a Plotly chart that keeps its zoom
    chart_script     the part of Plotly's script that it needs
    early_scripts    links in the first answer to the scripts that the page needs
    grid             rows as a table, every number exact
    text             data as text, whatever it contains
Who sees it
    login            who may come in, in which role
Files
    downloads        links and commands
    download_links   random tickets for downloads
    download_server  streams CSV files over HTTP
    probes           /healthz and /readyz
    connections      closes unused connections
    server           additions to Streamlit's web server
    first_visit      the server opens the page once when it starts
"""

COMPOSED_BY = "ventes.cli.page"
"""The module that passes the status function to this page. This package must not import it."""
