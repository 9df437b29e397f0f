"""Ingestion: raw files to valid rows in tables, and bad rows with their reason to quarantine.

=============================  =================================================================
:mod:`.ingest`                 ingests all files in one transaction
:mod:`.file_ingestion`         skips, resumes or reads one file
:mod:`.discovery`              selects the files of a data directory
:mod:`.sources`                kinds of raw files, their names and columns
:mod:`.raw_file`               an open file; :mod:`.line_reader` reads it in blocks of lines
:mod:`.csv_parser`             lines to rows of text
:mod:`.validation`             rows of text to typed, valid rows (Pandera); also
                               :mod:`.timestamps`, :mod:`.time_zone_names`, :mod:`.columns`
:mod:`.row_stream`             stream of validated rows
:mod:`.bad_rows`               quarantine, and rejection of files with too many bad rows
:mod:`.snapshots`              replacement of a reference table
:mod:`.results`                results per file and table; :mod:`.result_log` logs them
:mod:`.file_errors`            errors for unusable files
=============================  =================================================================
"""
