"""The archive and the store's streams as tables for questions; the only importer of the engines.

`history` has what is asked, `origin` what answers say of themselves. Nothing is imported here: the engines are heavy,
and the process that shows answers does without them.
"""
