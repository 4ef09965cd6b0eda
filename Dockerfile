# syntax=docker/dockerfile:1
#
# The image of a worker in this repository: docker build --build-arg WORKER=example-worker --tag example-worker .

ARG WORKER=example-worker

FROM rust:1.95-slim-bookworm AS build
ARG WORKER
WORKDIR /src
COPY . .
# The caches keep downloads and compiled crates for the next build.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package "$WORKER" --bin "$WORKER" \
    && cp "target/release/$WORKER" /usr/local/bin/worker

FROM gcr.io/distroless/cc-debian12:nonroot
ARG WORKER
WORKDIR /app
LABEL org.opencontainers.image.title="$WORKER" \
      org.opencontainers.image.description="A worker for the ReefGuide job API" \
      org.opencontainers.image.source="https://github.com/open-AIMS/reefguide-worker" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /usr/local/bin/worker /usr/local/bin/worker
ENV PORT=8080
EXPOSE 8080
# For scratch files. The rest of the file system can be read-only.
VOLUME ["/tmp"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s CMD ["/usr/local/bin/worker", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/worker"]
