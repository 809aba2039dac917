"""Room sign: what is told outward of channels, as it happens.

Belongs here: the hub that gathers events (changes of channels, online and offline), the listeners
of the event stream, the sans-IO machines (`presence`, `outbox`), the signing and sending of
webhooks. Does not belong here: HTTP routes (`api`), what is stored (`camera_registry.webhooks`),
who may (`access` is asked). Callers: `api`, and `app` to build it.
"""
