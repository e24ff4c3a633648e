# Comet: comet, comet-logic and comet-cli in one image.
#   docker build -t comet .
#   docker run -p 3101:3101 -p 3102:3102 -p 8080:8080 comet                 a comet alone
#   docker run -p 8080:8080 -e COMET_REDIS_ADDR=redis:6379 comet comet-logic
# Every setting is COMET_SECTION_KEY in the environment; PORT is the port of the HTTP API. SPDX-License-Identifier: MIT
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        gcc libc6-dev make pkg-config \
        libwebsockets-dev libmicrohttpd-dev libhiredis-dev libssl-dev libjansson-dev libinih-dev libxxhash-dev \
        libcurl4-openssl-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make -s -j"$(nproc)" BUILD=/build all \
    && make -s BUILD=/build DESTDIR=/install PREFIX=/usr/local install \
    && install -m 755 scripts/container-start scripts/container-health /install/usr/local/bin/

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        libwebsockets17 libmicrohttpd12 libhiredis0.14 libssl3 libjansson4 libinih1 libcurl4 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --shell /usr/sbin/nologin comet
COPY --from=build /install /
USER comet
WORKDIR /tmp
EXPOSE 3101 3102 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=40s CMD ["container-health"]
# SIGTERM sends the clients away over server.drain_timeout.
STOPSIGNAL SIGTERM
ENTRYPOINT ["container-start"]
CMD ["comet"]
