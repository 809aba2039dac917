"""Bulk import and export of cameras: files in, a plan, one transaction; and files out again.

What belongs here: reading and writing of spreadsheets and foreign configurations, templates, fields
and code tables as data, the rules of a row, the plan against the registry, import jobs. What does
not: HTTP, the command line, who may. The way of a file:

    readers -> SourceRow -> templates -> CameraRow -> rules -> Finding, plan -> one transaction

and out again: `writers` in a template's columns, `annotate` with the findings beside the rows, in
the words of `said`.

Callers: `streamhub.api`, `streamhub.cli`.
"""
