# The bridge as an image: built with the toolchain's image, run as nobody in particular on a small Debian.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches belong to the builder, not to the image: a second build compiles only what has changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin rtmn-bridge \
    && install -D target/release/rtmn-bridge /out/rtmn-bridge

FROM debian:bookworm-slim
# Certificates for TLS to brokers and registries; time zones for the dashboard's midnight.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tzdata \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/rtmn-bridge /usr/local/bin/rtmn-bridge
USER 10001:10001
EXPOSE 3001
# Ready: the broker is there and the window is filled. The image has no HTTP client; bash can do this much.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${PORT:-3001} && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r -t 4 line <&3 && [[ $line == *' 200 '* ]]"]
ENTRYPOINT ["rtmn-bridge"]
CMD ["serve"]
