"""HTML pages and charts: tables in, HTML out, without database, Dagster or web framework.

:mod:`.timeline` splits the time of a store into days. :mod:`.charts` has a module per chart, and
:mod:`.vega` renders them. :mod:`.report_html`, :mod:`.report_pages` and :mod:`.store` build the
pages with :mod:`.rendering`. Each page is one self-contained file: style, script and charts are
inline.
"""
