"""The only door to the packet plane.

Belongs here: the `MediaCore` protocol, its typed events and errors (`contract`), its
implementations (`native` wraps `streamhub._core`, `pycore` is the baseline in Python, `fake` is for
unit tests) and the pump that hands events to their owners. Does not belong here: policy, SQL, HTTP,
retry decisions.
May be called by: `router`, `delivery`, and `app` (which builds the one core there is).
"""
