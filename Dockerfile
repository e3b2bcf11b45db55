# Takt as one binary in a small image, run by a user without rights.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay on the machine that builds: a second build compiles only what has changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release -p takt-cli --bin takt \
    && install -D -m 0755 target/release/takt /out/takt

FROM debian:bookworm-slim
COPY --from=build /out/takt /usr/local/bin/takt
RUN mkdir -p /data && chown 10001:10001 /data
USER 10001:10001
VOLUME /data
EXPOSE 7420
# The same question that a person would ask: it fails when the server is not ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["takt", "doctor"]
ENTRYPOINT ["takt"]
CMD ["serve", "--data", "/data"]
