# The server in a container. Everything that lasts is in /data; docker-compose.yml shows how to run it.

# SQLite is the original in C (cgo), not its translation to Go, because it is the default database and the original is the
# faster one. The price is that the last stage needs the C library, hence Debian and not an empty image. Its Debian is at
# least as new as the builder's, so that the C library always fits.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=1 go build -trimpath -ldflags="-s -w" -o /out/fosite-mcp ./cmd/fosite-mcp

FROM debian:trixie-slim
# Certificate authorities, for an upstream OpenID Connect provider.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/fosite-mcp /usr/local/bin/fosite-mcp
COPY scripts/healthcheck /usr/local/bin/healthcheck
RUN install -d -m 0700 -o 65532 -g 65532 /data
USER 65532:65532
ENV FOSITE_MCP_DATA_DIR=/data
VOLUME /data
# The admin listener, 8081, is left out on purpose: publish it by hand, and to this machine only.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/local/bin/healthcheck"]
ENTRYPOINT ["/usr/local/bin/fosite-mcp"]
CMD ["serve"]
