"""What an inspection found out about cameras: the cards, the rules that judge them, the runs.

Belongs here: the words (`card`), the table of rules (`verdicts`, `verdicts.yaml`), the use cases
(`cases`). Does not belong here: dialling cameras (`gateways.rtsp.inspect` looks,
`streamhub.inspection` says when), SQL (the store). May be called by: `gateways.rtsp` (the words),
`streamhub.inspection`, `api`, `app`.
"""
