# The image of Sluice: one binary, certificates, no shell. Builds with the classic builder and with BuildKit alike:
#
#   docker build -t sluice .
#   docker build -t sluice --build-arg HTTPS_PROXY=http://proxy.example:3128 .
#   docker build -t sluice:profiling --build-arg FEATURES=profiling .
#
# HTTP_PROXY, HTTPS_PROXY and NO_PROXY are arguments of every build: declared here, they would stay in the image. Authorities that a
# proxy signs with are put into docker/ca. Both base images can be other ones, such as a registry's copies.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# The manifests with sources that hold nothing. What it makes is the same until a manifest changes, and so the layers below last.
FROM ${BUILD_IMAGE} AS manifests
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo/ .cargo/
COPY docker/empty-sources.sh docker/
COPY crates/ crates/
COPY loadtest/ loadtest/
RUN sh docker/empty-sources.sh

FROM ${BUILD_IMAGE} AS build
# The profile of cargo; `dev` builds in a third of the time what is good for a trial only.
ARG PROFILE=release
# Cargo features of the binary: `profiling` is the CPU profiler of the operations port.
ARG FEATURES=
WORKDIR /src

COPY docker/ca/ /usr/local/share/ca-certificates/
RUN update-ca-certificates
ENV CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt \
    CARGO_NET_RETRY=5

# Dependencies alone. .cargo tells jemalloc how to be built.
COPY --from=manifests /src/ ./
RUN cargo build --locked --profile "$PROFILE" --features "$FEATURES" -p sluice

# Cargo goes by times of files, and a checkout's may be older than the layer above.
COPY crates/ crates/
COPY loadtest/ loadtest/
RUN find crates loadtest -name '*.rs' -exec touch {} + \
    && cargo build --locked --profile "$PROFILE" --features "$FEATURES" -p sluice \
    && install -D target/*/sluice /out/sluice \
    && /out/sluice --version

FROM ${RUNTIME_IMAGE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/sluice /usr/local/bin/sluice
USER 65532:65532
EXPOSE 8080 8081 8082
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/usr/local/bin/sluice", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/sluice"]
CMD ["gateway"]
