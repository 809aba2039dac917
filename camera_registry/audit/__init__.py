"""Room sign: what makes the audit chain provable to others.

Belongs here: segments and their signed roots, the key, the root files, what is cut and exported.
Does not belong here: SQL (store), who may (streamhub.access). Called by the composition root, the
API and the command line.
"""
