"""What there is to set: sections, types, limits. config.py reads the values; other rooms import `Settings` from there.

whole         `Settings`: all sections, the places of tables, logs and state, fingerprints
sections      the small sections
page          [page]
login         [page.login]
kafka         [kafka]
spark         [spark]
alerts        [[alerts]] and [alert_channels]: what an alert may measure, and what is refused
value_types   types of values, and what they refuse
sources       ventes.toml and the environment as nested values
refused       what is wrong with a value, and where it stands, in words
secret_keys   which keys hold a secret
"""
