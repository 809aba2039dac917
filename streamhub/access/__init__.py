"""Room sign: access. Who may do what, and who is asking.

Belongs here: the one pure decision (`policy`), the only maker of a `Permit` (`guard`), the facts
they read (`facts`), sign-in (`passwords`, `tokens`, `sign_in`, `rate_limit`) and the audit log.
Does not belong here: HTTP, SQL, packets, what should be live.
Callers: every door (api, delivery, router, the command line). It calls only `camera_registry`.
"""
