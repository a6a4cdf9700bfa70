# One image with every program of mangabus; compose.yaml gives each container its command.
# syntax: classic, so that an engine without BuildKit builds it too.
FROM debian:trixie-slim AS build
WORKDIR /src
COPY tools/install-deps tools/install-deps
RUN tools/install-deps build && rm -rf /var/lib/apt/lists/*
COPY Makefile LICENSE README.md CHANGELOG.md ./
COPY proto proto
COPY kit kit
COPY broker broker
COPY services services
COPY tools tools
ARG MANGABUS_VERSION=container
RUN MANGABUS_VERSION="$MANGABUS_VERSION" make -j"$(nproc)" all && make install DESTDIR=/out PREFIX=/usr/local && strip /out/usr/local/bin/*

FROM debian:trixie-slim
# libc6's gconv modules hold CP932, which the ERP speaks; a build without them would answer in mojibake.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libzmq5 libczmq4 libmsgpack-c2 libxml2 libpq5 libcurl4t64 libssl3t64 libunistring5 libmicrohttpd12t64 libgnutls30t64 ca-certificates tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && printf '\207\100' | iconv -f CP932 -t UTF-8 >/dev/null \
    && groupadd --gid 10001 mangabus && useradd --uid 10001 --gid mangabus --no-create-home --home-dir /var/lib/mangabus mangabus \
    && install -d -o mangabus -g mangabus -m 0750 /var/lib/mangabus /etc/mangabus /etc/mangabus/keys
COPY --from=build /out/usr/local /usr/local
USER mangabus
ENV MANGABUS_STATE=/var/lib/mangabus
STOPSIGNAL SIGTERM
CMD ["mangactl", "--help"]
