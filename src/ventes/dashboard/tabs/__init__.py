"""The tabs, one module each. A module has LABEL and `render(view)`; a file of the same form in the folder
settings.page.tabs adds a tab (docs/dashboard.md)."""
