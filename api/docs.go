package api

import (
	"embed"
	"net/http"
	"path"

	"tallyd/api/access"
)

// docsFiles are the documentation page: one document, one sheet, one script,
// nothing from elsewhere.
//
//go:embed docs/index.html docs/docs.css docs/docs.js
var docsFiles embed.FS

// mountDocs serves the documentation page.
func (r *Router) mountDocs(rule access.Rule) {
	serve := func(pattern, name, contentType string) {
		// The file is embedded: it is there.
		content, _ := docsFiles.ReadFile(path.Join("docs", name))
		r.page(pattern, rule, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Content-Security-Policy",
				"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			_, _ = w.Write(content)
		})
	}
	serve("GET /docs", "index.html", "text/html; charset=utf-8")
	serve("GET /docs/docs.css", "docs.css", "text/css; charset=utf-8")
	serve("GET /docs/docs.js", "docs.js", "text/javascript; charset=utf-8")
}
