package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
)

// TestByReason: reasons that differ in names alone are one, and a list of all nodes has each one's own.
func TestByReason(t *testing.T) {
	skip := func(name, reason string) compress.Skipped {
		return compress.Skipped{Name: name, Op: "MatMul", Reason: reason}
	}
	nodes := []compress.Skipped{
		skip("a", `"x" is computed by Add "p"`), skip("b", `"y" is computed by Mul "p"`), skip("c", `"z" is computed by Add "q"`),
		skip("d", `"u" is no matrix`), skip("e", `"u" is no matrix`),
	}
	var names []string
	for _, g := range ByReason(nodes) {
		names = append(names, g.Name)
	}
	if want := []string{"… is computed by Add …", `"y" is computed by Mul "p"`, `"u" is no matrix`}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	for all, want := range map[bool]string{
		false: "  … is computed by Add …\n    MatMul a\n    MatMul c\n",
		true:  "  … is computed by Add …\n    MatMul a: \"x\" is computed by Add \"p\"\n    MatMul c: \"z\" is computed by Add \"q\"\n",
	} {
		var b strings.Builder
		p := &printer{w: &b}
		if p.nodes("left alone:", nodes, all); p.err != nil || !strings.HasPrefix(b.String(), "left alone:\n"+want) {
			t.Errorf("%v: %q, want %q first (%v)", all, b.String(), want, p.err)
		}
	}
}
