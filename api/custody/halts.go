package custody

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
)

func (s *surface) mountHalts(api huma.API) {
	huma.Register(api, s.Gate.Guard(huma.Operation{
		OperationID: "ResumeChain", Method: http.MethodPost, Path: "/v1/chains/{chain}/resume", Tags: []string{"Operation"},
		Summary:       "Credit the deposits of a halted chain again",
		Description:   "A chain is halted when a reorg takes credited deposits back, or more blocks than the operator allows. What became due meanwhile is credited at once.",
		DefaultStatus: http.StatusNoContent,
	}, access.Rule{Surface: access.Own, Master: true}), s.resume)
}

func (s *surface) resume(ctx context.Context, in *ChainPath) (*struct{}, error) {
	if err := s.Halts.Resume(ctx, in.Chain); err != nil {
		return nil, edge("resume a chain", err)
	}
	return nil, nil //nolint:nilnil // 204
}
