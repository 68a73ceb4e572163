# tallyd as one static binary in an otherwise empty image:
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t tallyd .
#   docker run -v ./tallyd.yaml:/etc/tallyd.yaml:ro -p 127.0.0.1:8080:8080 tallyd

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
# Within the container the API must listen on its outer address to be reached.
ENV TALLYD_LISTEN=0.0.0.0:8080 TALLYD_CONFIG=/etc/tallyd.yaml
EXPOSE 8080
ENTRYPOINT ["/tallyd"]
CMD ["serve"]
