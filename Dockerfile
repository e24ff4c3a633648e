# Comet: comet, comet-logic and comet-cli in one image.
#   docker build -t comet .
#   docker run -p 127.0.0.1:3101-3102:3101-3102 -p 127.0.0.1:3111:3111 -e COMET_DEMO=yes -e COMET_HTTP_API_KEY=secret comet
# is a comet alone for a first try; without COMET_DEMO it is closed until COMET_AUTH_MODE and COMET_HTTP_API_KEY are set.
#   docker run -e COMET_REDIS_ADDR=redis:6379 comet comet-logic
# Settings are COMET_SECTION_KEY in the environment, or a file at /etc/comet/comet.conf; scripts/container-start has the details.
# docs/operations.md lists the settings for real use. SPDX-License-Identifier: MIT
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        gcc libc6-dev make pkg-config \
        libwebsockets-dev libhiredis-dev libssl-dev libjansson-dev libinih-dev \
        libcurl4-openssl-dev zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The history stays outside, so that it has to be told the commit: docker build --build-arg SOURCE_VERSION="$(scripts/version)"
ARG SOURCE_VERSION=
RUN make -s -j"$(nproc)" BUILD=/build SOURCE_VERSION="$SOURCE_VERSION" all \
    && install -d /image \
    && install -s -m 755 /build/comet /build/comet-logic /build/comet-cli /image \
    && install -m 755 scripts/container-start scripts/container-health /image

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        libwebsockets17 libhiredis0.14 libssl3 libjansson4 libinih1 libcurl4 zlib1g ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log /var/log/alternatives.log \
    && useradd --system --no-create-home --uid 3101 --shell /usr/sbin/nologin comet \
    && install -d -o comet -m 700 /var/lib/comet
# A comet alone keeps its bans there: mount a volume to have them in the next container, too.
ENV STATE_DIRECTORY=/var/lib/comet
COPY --from=build /image /usr/local/bin
USER comet
WORKDIR /tmp
EXPOSE 3101 3102 3111 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=40s CMD ["container-health"]
# SIGTERM sends the clients away over server.drain_timeout; docker stop -t has to be longer than that.
STOPSIGNAL SIGTERM
ENTRYPOINT ["container-start"]
CMD ["comet"]
