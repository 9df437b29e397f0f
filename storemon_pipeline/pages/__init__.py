"""What people look at: tables in, HTML text out.

No database, no Dagster and no web framework: :mod:`.timeline` cuts a store's time into what a
chart shows, :mod:`.charts` says what is drawn and :mod:`.vega` draws it, :mod:`.report` and
:mod:`.store` put a page together, :mod:`.rendering` is what all pages have in common. A page is one
file: its style, its script and its charts are in it, and nothing is loaded from elsewhere.
"""
