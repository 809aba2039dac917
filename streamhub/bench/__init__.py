"""Room sign: the instruments. Starts the farm, the service and the load viewers afresh for each
row, reads CPU from the kernel, and says on which machine.

Belongs here: scenarios and their figures. Does not: receiving or counting packets (`core/loadgen`,
which shares no code with what it judges; of RTSP only when bytes come), the command line
(`streamhub.cli.bench`, `bench_rights`). Called by the command line and by tests. The method is in
benchmarks/README.md.
"""
