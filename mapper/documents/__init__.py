"""What is written for programs: results as plain data, one source for JSON, CSV, `to_dict()` and `rows()`.

Functions from results to dicts, lists, strings and numbers, which read no file and print nothing.
"""
