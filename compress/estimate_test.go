package compress

import (
	"context"
	"errors"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestEstimateShrink: nothing lost leaves a random model as it is, more may go the more may
// be lost, and a layer of low rank is found at any tolerance.
func TestEstimateShrink(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	const n, rank = 24, 3
	w := make([]float64, n*n)
	for i := range n {
		for k := range n {
			for r := range rank {
				w[i*n+k] += float64((i*7+r*5)%11-5) * float64((k*3+r*2)%13-6)
			}
		}
	}
	b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", n), b.Tensor("w", tensor.Float32, []int{n, n}, w)})
	b.Output(b.Rename("y"), tensor.Float32, "N", n)
	thin := built(t, b)
	e, err := EstimateShrink(context.Background(), in(t), thin, Options{}, 1e-6)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Need{2 * n * rank, 2 * n * rank}); e.After != want || e.Before != (Need{n * n, n * n}) || e.Factored != 1 || e.Sites != 1 || !e.DataFree {
		t.Errorf("a matrix of rank %d: %+v, want %+v after", rank, e, want)
	}
	if got, want := e.Shrink(), 1-2.*rank/n; got < want-1e-12 || got > want+1e-12 {
		t.Errorf("shrinks by %v, want %v", got, want)
	}

	m := zoo(t, "cnn")
	before := -1.0
	for _, tolerance := range []float64{0, 0.1, 0.3, 0.6} {
		e, err := EstimateShrink(context.Background(), in(t), m, Options{}, tolerance)
		if err != nil {
			t.Fatal(err)
		}
		if s := e.Shrink(); s < before || tolerance == 0 && s != 0 || tolerance == 0.6 && s < 0.1 {
			t.Errorf("tolerance %v: shrinks by %v, before by %v", tolerance, s, before)
		}
		before = e.Shrink()
	}
	for _, bad := range []float64{-0.1, 1} {
		_, err := EstimateShrink(context.Background(), in(t), m, Options{}, bad)
		if usage := (*UsageError)(nil); !errors.As(err, &usage) {
			t.Errorf("tolerance %v: %v", bad, err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := EstimateShrink(ctx, in(t), m, Options{}, 0.1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestEstimateOnData: with samples the tolerance is one of the outputs' variance.
func TestEstimateOnData(t *testing.T) {
	needRuntime(t)
	e, err := EstimateShrink(context.Background(), in(t), zoo(t, "cnn"), Options{Source: images(40), CalibSamples: 32}, 0.2)
	if err != nil {
		t.Fatal(err)
	}
	if e.DataFree || e.Factored == 0 || e.Shrink() <= 0 {
		t.Errorf("%+v", e)
	}
}
