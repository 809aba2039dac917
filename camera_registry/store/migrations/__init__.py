"""Schema steps, one file each in `versions/`; run by `store.migrate` alone.

A step never changes once released. It names its tables itself and does not import `schema`.
"""
