"""Camera-side protocols, one folder each; siblings never import each other.

Belongs here: how one kind of camera is reached, as a `SourceSpec` for the core. Does not belong
here: packets (core), when to dial (router), who may (access). `decode` is the one exception: it
serves pictures, not cameras. What several protocols share lies beside them: `challenge`. May be
called by: `router`, `delivery` (decode), `cli` (checks).
"""
