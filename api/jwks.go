package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
)

type jwksOutput struct {
	// A key is accepted here before it signs: readers may be a little behind.
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         access.JWKS
}

func (r *Router) mountKeys() {
	op := huma.Operation{
		OperationID: "JWKS", Method: http.MethodGet, Path: "/.well-known/jwks.json", Tags: []string{"Operation"},
		Summary:     "Public keys of user tokens",
		Description: "A JWK set (RFC 7517) of the Ed25519 keys that user tokens may be signed with, the one that signs first.",
	}
	huma.Register(r.api, r.cfg.Gate.Guard(op, access.Rule{Public: true}), r.jwks)
}

func (r *Router) jwks(context.Context, *struct{}) (*jwksOutput, error) {
	return &jwksOutput{CacheControl: "public, max-age=300", Body: r.cfg.Gate.Tokens().Public()}, nil
}
