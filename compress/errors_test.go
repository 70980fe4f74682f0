package compress

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// TestReword: every option is reworded, and no text of the package calls an option by a flag.
func TestReword(t *testing.T) {
	for _, o := range OptionNames() {
		if got := Reword("give "+string(o)+", or not", func(p Option) string { return "--" + strings.ToLower(string(p)) }); got != "give --"+strings.ToLower(string(o))+", or not" {
			t.Errorf("%s: %s", o, got)
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING && strings.Contains(text.Value, "--") {
				t.Errorf("%s has the text %s", e.Name(), text.Value)
			}
			return true
		})
	}
}
