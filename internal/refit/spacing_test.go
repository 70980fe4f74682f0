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

// TestSpacing: runs are left out only where the others show plenty.
func TestSpacing(t *testing.T) {
	for _, c := range []struct {
		samples, side, channels, want int
	}{
		{1024, 32, 16, 7},   // 1,024·1,024 columns of 144 inputs
		{1024, 16, 32, 1},   // 1,024·256 of 288
		{8, 224, 3, 14},     // 8·224² of 27
		{8, 224, 64, 1},     // of 576
		{1 << 20, 1, 16, 7}, // as many columns, one a sample
	} {
		s := &rewrite.Site{Located: true, Batch: 1, Kernel: decomp.Shape{Out: 8, In: c.channels, Window: []int{3, 3}, Groups: 1}}
		s.Geometry.Out = []int{c.side, c.side}
		w := &walk{samples: c.samples}
		if got := w.spacing(s); got != c.want {
			t.Errorf("%d samples of %d×%d, %d channels: one run of %d is summed, want %d", c.samples, c.side, c.side, c.channels, got, c.want)
		}
		s.Located = false
		if got := w.spacing(s); got != 1 {
			t.Errorf("where sizes are not known, one run of %d is summed", got)
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
