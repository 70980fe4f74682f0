package calib

import (
	"context"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestBlame: of numbers that are not finite, the node that makes the first of them is named, with the sample, and sites that do
// not read them have their moments.
func TestBlame(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", 4), b.Weight("w", 4, 4, 4)})
	x = b.Node("Relu", []string{b.Node("Sqrt", []string{x})})
	b.Output(b.Node("MatMul", []string{x, b.Weight("v", 4, 4, 3)}), tensor.Float32, "N", 3)
	m := testkit.Built(t, b)
	src := random(6, "x", tensor.Float32, 4)
	stats, err := Collect(context.Background(), orttest.Open(t), m, sitetest.Sites(t, m, src[0]), src, testkit.Count(6), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if stats[0].Unusable != "" || stats[0].A == nil {
		t.Errorf("the site before: %+v", stats[0])
	}
	if s := stats[1].Unusable; !strings.Contains(s, "not finite") || !strings.Contains(s, "(Sqrt) makes the first NaN") || !strings.Contains(s, "sample") {
		t.Errorf("the site behind: %q", s)
	}
	if text := blame(context.Background(), feed.Host{Library: orttest.Open(t)}, m, src, nil); text != "" {
		t.Errorf("of no samples: %q", text)
	}
}
