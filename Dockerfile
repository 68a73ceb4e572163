# tallyd as one static binary in an otherwise empty image:
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t tallyd .
#   docker run -v ./tallyd.yaml:/etc/tallyd.yaml:ro --env-file secrets.env --network host tallyd migrate
#   docker run -v ./tallyd.yaml:/etc/tallyd.yaml:ro --env-file secrets.env --network host tallyd
#
# secrets.env has the variables that the settings take in. On the host's network the
# database and the nodes are where they are for a tallyd outside of a container.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /tallyd ./cmd/tallyd

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /tallyd /tallyd
USER 65532:65532
ENV TALLYD_CONFIG=/etc/tallyd.yaml
EXPOSE 8080
ENTRYPOINT ["/tallyd"]
CMD ["serve"]
