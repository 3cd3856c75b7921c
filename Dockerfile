# One static program, the CA certificates, and nothing else: no shell, no libraries, no root.
# Builds for the architecture it is built on (x86_64 or aarch64).
FROM rust:1.95.0-bookworm AS build
# The toolchain of the image as it is: without this, rustup fetches what rust-toolchain.toml adds for developers.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    scripts/image-root /image

FROM scratch
COPY --from=build /image/ /
# Replaced by a volume where the root file system is read-only.
COPY --from=build --chown=65532:65532 /image/var/lib/gitmoor /var/lib/gitmoor
ENV HOME=/var/lib/gitmoor
WORKDIR /var/lib/gitmoor
USER 65532:65532
ENTRYPOINT ["/usr/bin/gitmoor"]
