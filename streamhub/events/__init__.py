"""Room sign: what is told outward of channels, as it happens.

Belongs here: the hub that gathers events (changes of channels, online and offline, what devices
say), who of the devices is listened to, the listeners of the event stream, the sans-IO machines
(`presence`, `outbox`, `said`), the signing and sending of webhooks. Does not belong here: HTTP
routes (`api`), what is stored (`camera_registry.webhooks`), how a device is asked
(`gateways.onvif`), who may (`access` is asked). Callers: `api`, and `app` to build it.
"""
