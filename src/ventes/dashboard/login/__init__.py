"""Who may see the page ([page.login]). Without that section everything here lets everyone pass.

    people          the rules: from what is known of a person to a role, or to why there is none
    running         the login with which this process was started: what the web server needs, logins that have ended
    cookie          what Streamlit's own login knows of a person, read from a request's cookies
    requests        who sends an HTTP request; headers of a proxy, log-outs, addresses that need a login
    return_address  what the address asked for, over a login
    gate            who runs the page's script, and the pages for those who may not
    audit           one line for each login, log-out, refusal, query and download

Streamlit itself talks to the provider (`st.login`, `st.logout`) and keeps what it said in a signed cookie.
"""
