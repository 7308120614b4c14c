# The image of Sluice: one binary, certificates, no shell. Builds with the classic builder and with BuildKit alike:
#
#   docker build -t sluice .
#   docker build -t sluice --build-arg HTTPS_PROXY=http://proxy.example:3128 .
#
# HTTP_PROXY, HTTPS_PROXY and NO_PROXY are arguments of every build: declared here, they would stay in the image. Authorities that a
# proxy signs with are put into docker/ca. Both base images can be other ones, such as a registry's copies.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src

COPY docker/ca/ /usr/local/share/ca-certificates/
RUN update-ca-certificates
ENV CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt \
    CARGO_NET_RETRY=5

# Dependencies alone: a layer that lasts until a manifest changes. Its sources are empty; .cargo tells jemalloc how to be built.
COPY Cargo.toml Cargo.lock ./
COPY .cargo/ .cargo/
COPY crates/sluice/Cargo.toml crates/sluice/
COPY crates/sluice-broker/Cargo.toml crates/sluice-broker/
COPY crates/sluice-fanout/Cargo.toml crates/sluice-fanout/
COPY crates/sluice-gateway/Cargo.toml crates/sluice-gateway/
COPY crates/sluice-publisher/Cargo.toml crates/sluice-publisher/
COPY crates/sluice-runtime/Cargo.toml crates/sluice-runtime/
COPY crates/sluice-testkit/Cargo.toml crates/sluice-testkit/
COPY crates/sluice-wire/Cargo.toml crates/sluice-wire/
COPY loadtest/Cargo.toml loadtest/
COPY docker/empty-sources.sh docker/
RUN sh docker/empty-sources.sh && cargo build --locked --release -p sluice

# Cargo goes by times of files, and a checkout's may be older than the layer above.
COPY crates/ crates/
COPY loadtest/ loadtest/
RUN find crates loadtest -name '*.rs' -exec touch {} + \
    && cargo build --locked --release -p sluice \
    && target/release/sluice --version

FROM ${RUNTIME_IMAGE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/sluice /usr/local/bin/sluice
USER 65532:65532
EXPOSE 8080 8081 8082
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/usr/local/bin/sluice", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/sluice"]
CMD ["gateway"]
