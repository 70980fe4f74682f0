package refit

import (
	"context"
	"errors"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// TestThin: only positions of convolutions are left out, and those where sizes are known.
func TestThin(t *testing.T) {
	view := rewrite.View{Kind: rewrite.ConvPatches, Window: []int{3, 3}, Strides: []int{1, 1}, Dilations: []int{1, 1}, AutoPad: "SAME_UPPER"}
	s := &rewrite.Site{Located: true, Batch: 1, View: view, Kernel: decomp.Shape{Out: 8, In: 16, Window: []int{3, 3}, Groups: 1}}
	s.Geometry.In = []int{32, 32}
	w := &walk{samples: 1024}
	if got := w.thin(s).Share(); got != 36 {
		t.Errorf("one of %d positions is summed, want 36", got)
	}
	for name, change := range map[string]func(*rewrite.Site){
		"sizes are not known":         func(s *rewrite.Site) { s.Located = false },
		"convolutions are transposed": func(s *rewrite.Site) { s.View.Transposed = true },
		"matrices have rows":          func(s *rewrite.Site) { s.View.Kind = rewrite.LastAxis },
	} {
		other := *s
		if change(&other); w.thin(&other) != nil {
			t.Errorf("where %s, one of %d positions is summed", name, w.thin(&other).Share())
		}
	}
}

// TestStopsWithinASite: when the context ends while factors are made, no further operation begins.
func TestStopsWithinASite(t *testing.T) {
	m, _ := shortcutModel(t, true, false, true)
	src := sitetest.Draws(160, "x", 0.3, 4, 6, 6)
	choices := choose(t, sitetest.Sites(t, m, src[0]), 2)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range choices {
		choices[i].Method.Refit = func(b linalg.Backend, target decomp.Kernel, _ decomp.Metric, start decomp.Chain) (decomp.Chain, error) {
			cancel()
			b.Mul(false, false, 1, linalg.Identity(1), linalg.Identity(1))
			t.Error("an operation begins though the context has ended")
			return start, nil
		}
	}
	if _, err := Run(ctx, orttest.Open(t), m, choices, src, testkit.Count(len(src)), Options{Batch: 4}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}
