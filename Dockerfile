# Built by the same scripts that `make` calls; nothing is installed here by other means.
#
#   docker build --tag streamhub .
#   docker run --rm --network host --volume streamhub:/var/lib/streamhub \
#       --env STREAMHUB_MEDIA__ADVERTISE='["192.0.2.10"]' streamhub
#
# 192.0.2.10 stands for the address at which viewers reach this machine.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates make python3
WORKDIR /src
COPY . .
RUN make install DEST=/opt/streamhub

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/streamhub --create-home streamhub
COPY --from=build /opt/streamhub /opt/streamhub
USER streamhub
WORKDIR /var/lib/streamhub
VOLUME /var/lib/streamhub
# 8080 the page and the API, 8189/udp and 8189/tcp all viewers' media.
ENV PATH=/opt/streamhub/bin:$PATH \
    STREAMHUB_DATA_DIR=/var/lib/streamhub \
    STREAMHUB_LOG__FORMAT=json \
    STREAMHUB_HTTP__HOST=0.0.0.0 \
    STREAMHUB_MEDIA__UDP_HOST=0.0.0.0 \
    STREAMHUB_MEDIA__UDP_PORT=8189
EXPOSE 8080/tcp 8189/udp 8189/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["/opt/streamhub/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["streamhub"]
CMD ["serve"]
