package graph

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// Names of nodes in other domains are made of the operator's type alone.
func TestBuilderNames(t *testing.T) {
	b := NewBuilder(NewNameSet(onnxio.New(small())), 13, "root")
	b.Prefix = "a"
	if got, want := b.Several("com.example::Cut", []string{"x"}, 2), []string{"a/cut", "a/cut.1"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	if op := b.Nodes[0].Op(); op != "com.example::Cut" {
		t.Errorf("operator %q", op)
	}
	if !b.Names.Has("a/cut.1") {
		t.Error("the names are not taken")
	}
}
