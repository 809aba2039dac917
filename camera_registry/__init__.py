"""The camera registry: what cameras exist, the area tree, who was granted what.

Belongs here: the words of the domain (`domain`), the use cases (`service`, `people`), the store
behind one interface (`store`), the change feed, the vault of device passwords, the demo district.
Does not belong here: who may do what (`streamhub.access` decides), HTTP, anything live.
Who may call: `streamhub.access`, `router`, `delivery`, `api`, `cli` and `app`. This package
imports nothing of `streamhub`.
"""
