package api

import (
	"log"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

// NewServer returns a server for handler with a limit on everything a slow or
// hostile client could hold open. The caller listens and shuts it down.
func NewServer(handler http.Handler, logger zerolog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(serverLog{logger}, "", 0),
	}
}

// serverLog takes what net/http says about broken connections.
type serverLog struct{ log zerolog.Logger }

// Write logs one message of the server.
func (l serverLog) Write(text []byte) (int, error) {
	l.log.Debug().Bytes("text", text).Msg("connection failed")
	return len(text), nil
}
