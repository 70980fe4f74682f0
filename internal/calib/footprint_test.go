package calib

import (
	"context"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Two products, of 12 and 4 numbers; a fixed batch counts as it is. Small models are taken to hold all.
func TestFootprint(t *testing.T) {
	src := random(6, "x", tensor.Float32, 6)
	for _, c := range []struct {
		batch any
		count int
	}{{"N", 1}, {4, 4}} {
		m := chain(t, c.batch, 4, nil)
		inputs, err := samples.Inputs(m)
		if err != nil {
			t.Fatal(err)
		}
		col := newCollector(sitetest.Sites(t, m, src[0]), inputs, Options{Probes: 1}.withDefaults())
		gs, err := col.newGradients(feed.Host{Library: orttest.Open(t), Memory: col.o.Memory}, m, inputs)
		if err != nil {
			t.Fatal(err)
		}
		bytes, live, err := gs.footprint(context.Background(), src, 0)
		if want := int64(c.count * 4 * (12 + 4)); err != nil || bytes != want || live != want {
			t.Errorf("batch %v: %d bytes, %d live (%v), want %d", c.batch, bytes, live, err, want)
		}
	}
}
