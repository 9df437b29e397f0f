"""Raw files -> good rows for the tables, and bad rows with the reason why.

======================  ========================================================================
:mod:`.errors`          what a person is told when a file cannot be used
:mod:`.files`           which files there are, under which names
:mod:`.content`         a file's content as blocks of whole lines: compression, encoding, growth
:mod:`.rows`            lines -> rows of text: header, columns, quotes
:mod:`.text`            columns of text, as a whole
:mod:`.timestamps`      instants as files write them
:mod:`.zones`           time zones as files name them, and what to write instead
:mod:`.schemas`         rows of text -> typed, valid rows (Pandera), and the reasons of the others
:mod:`.snapshot`        a snapshot in place of the one before, unless it broke off
:mod:`.ingest`          all of it, into the database, in one transaction
======================  ========================================================================

What the rows mean for the figures is decided by :mod:`storemon_pipeline.uptime`; how they are
stored, by :mod:`storemon_pipeline.storage`.
"""
