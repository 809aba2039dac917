"""Room sign: api. HTTP and nothing else: parse, authorize, call, map.

Belongs here: one file per noun, the declared right of each route (`rights`), errors as RFC 9457
bodies (`problems`), the outer layers (`middleware`). Does not belong here: rules, SQL, media.
Callers: `streamhub.app` alone. `http.make_api` puts the routes together.
"""
