package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/store"
)

// alone are the methods that write by single statements which nothing else has to
// agree with, and why a crash beside them does no harm.
func alone() map[string]string {
	const row, lease, tidy = "it writes one row that stands alone", "a lease runs out", "it is done again within the hour"
	return map[string]string{
		"CreateTenant": row, "SetTenantAssets": row, "CreateUser": row, "RenameUser": row,
		"CreateKey": row, "TouchKeys": row, "Fresh": row, "Record": row, "DescribeNFT": row, "FailNFT": row,
		"Write": "a request is claimed before it begins, and nothing else is", "Kept": "it reads",
		"Acquire": lease, "Release": lease, "AcquireSearch": lease, "ReleaseSearch": lease, "AcquireStream": lease, "RenewStream": lease, "LeaveNumbering": lease, "ClaimNFTs": lease, "ClaimReading": lease,
		"take": "a number of a key is one row that stands alone, durable before it is used", "drop": lease,
		"reseal": "what it writes opens to what stood there before",
		"Upkeep": tidy, "define": tidy, "TrimAudit": tidy, "ThinPrices": tidy,
		"PutPrices": "it is one statement, and the next reading brings newer ones",
	}
}

// writers returns the queries that write.
func writers(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("queries/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	comment := regexp.MustCompile(`(?m)^--.*$`)
	locking := regexp.MustCompile(`(FOR|KEY|DO) UPDATE`)
	writing := regexp.MustCompile(`\b(INSERT INTO|DELETE FROM|UPDATE)\b`)
	found := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for query := range strings.SplitSeq(string(text), "-- name: ") {
			name, body, _ := strings.Cut(query, " ")
			body = locking.ReplaceAllString(comment.ReplaceAllString(body, ""), "")
			if writing.MatchString(body) {
				found[name] = true
			}
		}
	}
	return found
}

// boundaries are what the source says about commit boundaries.
type boundaries struct {
	t       *testing.T
	writers map[string]bool
	named   map[string]bool // transactions that have failpoints
	failing map[string]bool // methods that call failpoints themselves
	unnamed map[string]bool // methods that write outside of these
}

// look notes the boundaries within a function.
func (b *boundaries) look(function *ast.FuncDecl) {
	ast.Inspect(function.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch name := method.Sel.Name; {
		case name == "write" && len(call.Args) == 3:
			b.name(call.Args[1])
			return false // what is written within has its failpoints
		case name == "single" && len(call.Args) == 2:
			b.name(call.Args[0])
			return false
		case name == "fail" && len(call.Args) == 1:
			if sum, ok := call.Args[0].(*ast.BinaryExpr); ok {
				b.name(sum.X)
				b.failing[function.Name.Name] = true
			}
		case b.writers[name] || name == "Exec" || name == "Begin" || name == "New" && onPool(call):
			b.unnamed[function.Name.Name] = true
		}
		return true
	})
}

// onPool reports whether a call is given the pool, to run statements on it.
func onPool(call *ast.CallExpr) bool {
	if len(call.Args) != 1 {
		return false
	}
	arg, ok := call.Args[0].(*ast.SelectorExpr)
	return ok && arg.Sel.Name == "pool"
}

func (b *boundaries) name(arg ast.Expr) {
	b.t.Helper()
	literal, ok := arg.(*ast.BasicLit)
	require.True(b.t, ok, "a transaction's name is written out where it is run")
	name, err := strconv.Unquote(literal.Value)
	require.NoError(b.t, err)
	b.named[name] = true
}

// hasPool reports whether a method is of the store, or of what embeds it.
func hasPool(method *ast.FuncDecl) bool {
	of := method.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	name, ok := of.(*ast.Ident)
	return ok && slices.Contains([]string{"Store", "carrying", "Nonces"}, name.Name)
}

// takesQueries reports whether a function works within the transaction of its
// caller.
func takesQueries(function *ast.FuncDecl) bool {
	for _, field := range function.Type.Params.List {
		pointer, ok := field.Type.(*ast.StarExpr)
		if !ok {
			continue
		}
		if of, ok := pointer.X.(*ast.SelectorExpr); ok && of.Sel.Name == "Queries" {
			return true
		}
	}
	return false
}

// TestEveryCommitBoundaryIsNamed reads the source: whatever commits has
// failpoints under a listed name, or stands in the table of what needs none.
func TestEveryCommitBoundaryIsNamed(t *testing.T) {
	t.Parallel()
	b := &boundaries{t: t, writers: writers(t), named: map[string]bool{}, failing: map[string]bool{}, unnamed: map[string]bool{}}
	require.True(t, b.writers["MoveTip"] && b.writers["FanOut"] && !b.writers["LockCursor"] && !b.writers["Tip"])
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, path := range files {
		// These begin the transactions that are named elsewhere, migrate, and look.
		if strings.HasSuffix(path, "_test.go") || slices.Contains([]string{"store.go", "request.go", "failpoint.go", "migrate.go", "schema.go"}, path) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Recv != nil && function.Body != nil && hasPool(function) && !takesQueries(function) {
				b.look(function)
			}
		}
	}
	listed := map[string]bool{}
	for _, failpoint := range store.Failpoints() {
		name, _, _ := strings.Cut(failpoint, ".")
		listed[name] = true
	}
	require.Equal(t, slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(b.named)))
	for name := range b.failing {
		delete(b.unnamed, name)
	}
	require.Equal(t, slices.Sorted(maps.Keys(alone())), slices.Sorted(maps.Keys(b.unnamed)))
}
