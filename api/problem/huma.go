package problem

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
)

// Install makes every error of an API made with cfg a Problem, in its answers
// and in its OpenAPI document. The API must also use Middleware.
func Install(cfg *huma.Config) {
	cfg.Transformers = append(cfg.Transformers, transform)
	cfg.OnAddOperation = append(cfg.OnAddOperation, document)
}

// Middleware gives each request a trail if it has none, and lets a problem
// answer with its own status. It goes before every other middleware.
func Middleware(ctx huma.Context, next func(huma.Context)) {
	trail, ok := ctx.Context().Value(trailKey{}).(*Trail)
	if !ok {
		trail = &Trail{}
		ctx = huma.WithContext(ctx, WithTrail(ctx.Context(), trail))
	}
	next(statusContext{humaContext: ctx, trail: trail})
}

// Answer ends a request with p from within a middleware, whatever else was meant to
// answer it.
func Answer(ctx huma.Context, p *Problem) {
	TrailOf(ctx.Context()).status = p.Status
	for name, values := range p.header {
		for _, value := range values {
			ctx.AppendHeader(name, value)
		}
	}
	ctx.SetHeader("Content-Type", ContentType)
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p) //nolint:errchkjson // the caller may be gone; then there is nobody left to tell
}

// statusContext answers with the status of the trail where it has one. huma
// fixes the status before it transforms the body, and its own 422 is our 400.
type statusContext struct {
	humaContext
	trail *Trail
}

// humaContext is huma.Context under a name that its method Context leaves free.
type humaContext huma.Context

// SetStatus writes the status line.
func (c statusContext) SetStatus(code int) {
	c.humaContext.SetStatus(c.trail.Status(code))
}

// Unwrap returns the context below, as huma's adapters expect.
func (c statusContext) Unwrap() huma.Context { return c.humaContext } //nolint:ireturn // the library's signature

// transform turns huma's own errors into problems and lets all else pass.
func transform(ctx huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	trail := TrailOf(ctx.Context())
	p := fromHuma(ctx.Context(), model, trail)
	trail.status = p.Status
	return p, nil
}

// fromHuma returns the problem of an error that huma made. Its values and the
// texts of unknown errors stay here: either may be a credential.
func fromHuma(ctx context.Context, model *huma.ErrorModel, trail *Trail) *Problem {
	switch model.Status {
	case http.StatusRequestEntityTooLarge:
		return New(model.Status, BodyTooLarge, "request body is too large")
	case http.StatusUnsupportedMediaType:
		return New(model.Status, UnsupportedMedia, "content type must be application/json")
	case http.StatusRequestTimeout:
		return New(model.Status, RequestTimeout, "request body came too slowly")
	case http.StatusBadRequest:
		// Of a body that cannot be parsed, huma gives the parser's text and the
		// body itself.
		if len(model.Errors) == 1 && model.Errors[0].Location == "body" {
			for _, known := range []error{errTwice, errNUL, errNotUTF8} {
				if text := known.Error(); model.Errors[0].Message == text {
					return New(model.Status, BadRequest, "request body "+text).Field("body", text)
				}
			}
			return New(model.Status, BadRequest, "request body is not valid JSON").Field("body", "not valid JSON")
		}
		return New(model.Status, BadRequest, model.Detail)
	case http.StatusUnprocessableEntity:
		return invalid(model)
	}
	return unknown(ctx, model, trail)
}

// invalid returns the problem of input that breaks its schema.
func invalid(model *huma.ErrorModel) *Problem {
	p := New(http.StatusBadRequest, InvalidInput, "")
	for _, e := range model.Errors {
		if e == nil {
			continue
		}
		_, field, _ := strings.Cut(e.Location, ".")
		// After a colon some rules repeat what was sent.
		rule, _, _ := strings.Cut(e.Message, ": ")
		if name, lacks := missing(rule); lacks {
			// The library names the object that lacks it.
			field, rule = strings.TrimPrefix(field+"."+name, "."), "is required"
		}
		p = p.Field(field, rule)
		if p.Message == "" {
			p.Message = strings.TrimPrefix(field+": "+rule, ": ")
		}
	}
	p.Detail, p.Reason, p.Explained.Message = p.Message, p.Message, p.Message
	return p
}

// missing returns the member that a rule of the schema finds missing, if it is such a
// rule.
func missing(rule string) (string, bool) {
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	name, begins := strings.CutPrefix(rule, before)
	name, ends := strings.CutSuffix(name, after)
	return name, begins && ends
}

// unknown returns the problem of an error nobody foresaw, and leaves its text
// for the log.
func unknown(ctx context.Context, model *huma.ErrorModel, trail *Trail) *Problem {
	texts := []string{model.Detail}
	for _, e := range model.Errors {
		if e != nil {
			texts = append(texts, e.Message)
		}
	}
	trail.Cause = errors.New(strings.Join(texts, ": "))
	if ctx.Err() != nil {
		return New(http.StatusServiceUnavailable, Unavailable, "the answer took too long")
	}
	return Fault()
}

// document describes the problem as the answer of an operation to every error.
func document(doc *huma.OpenAPI, op *huma.Operation) {
	schema := doc.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	op.Responses["default"] = &huma.Response{
		Description: "Problem",
		Content:     map[string]*huma.MediaType{ContentType: {Schema: schema}},
	}
}

// Prune takes huma's own error types out of the document, which no operation
// mentions any more. Call it once, after the last operation was added.
func Prune(doc *huma.OpenAPI) {
	delete(doc.Components.Schemas.Map(), "ErrorModel")
	delete(doc.Components.Schemas.Map(), "ErrorDetail")
}
