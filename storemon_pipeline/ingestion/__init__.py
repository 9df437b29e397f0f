"""Raw files -> good rows for the tables, and bad rows with the reason why.

======================  ========================================================================
:mod:`.errors`          what a person is told when a file cannot be used
:mod:`.sources`           the kinds of raw files, their names and columns
:mod:`.discovery`     which files of a directory are read, and which are not
:mod:`.raw_file`        one open file: its identity, and whether it changed
:mod:`.line_reader`         a file's content as blocks of whole lines: compression, encoding, growth
:mod:`.csv_parser`            lines -> rows of text: header, columns, quotes
:mod:`.text`            columns of text, as a whole
:mod:`.timestamps`      instants as files write them
:mod:`.time_zone_names`           time zones as files name them, and what to write instead
:mod:`.validation`         rows of text -> typed, valid rows (Pandera), and the reasons of the
others :mod:`.row_stream`         blocks of rows, checked one ahead
:mod:`.bad_rows`        bad rows on their way to quarantine, and when to refuse a file
:mod:`.snapshots`        a snapshot in place of the one before, unless it broke off
:mod:`.results`         what came of each file and table
:mod:`.ingest`          all of it, into the database, in one transaction
======================  ========================================================================

What the rows mean for the figures is decided by :mod:`storemon_pipeline.uptime`; how they are
stored, by :mod:`storemon_pipeline.storage`.
"""
