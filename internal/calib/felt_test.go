package calib

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// maskedModel multiplies what two matrix products and a table give at each of 5 positions with a mask.
func maskedModel(t *testing.T) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 5, 6)
	mask := b.Input("mask", tensor.Float32, "N", 5, 1)
	ids := b.Input("ids", tensor.Int64, "N", 5)
	rows := b.Node("Gather", []string{b.Weight("table", 9, 9, 4), ids}, graph.Int("axis", 0))
	first := b.Node("MatMul", []string{x, b.Weight("first", 6, 6, 4)})
	second := b.Node("MatMul", []string{x, b.Weight("second", 6, 6, 4)})
	b.Node("Mul", []string{b.Node("Add", []string{b.Node("Add", []string{first, second}), rows}), mask})
	b.Output(b.Rename("y"), tensor.Float32, "N", nil, nil)
	return testkit.Built(t, b)
}

// masks are those of the samples of masked: 0 at what is padding.
var masks = [][]float32{{1, 1, 0, 0, 0}, {1, 3, 2, 0, 1}, {2, 1, 1, 1, 1}, {0, 1, 0, 0, 1}}

// masked draws samples; what stands at padding is drawn by another seed.
func masked(padding uint64) memory {
	seen, hidden := rand.New(rand.NewPCG(7, 0)), rand.New(rand.NewPCG(padding, 1))
	var out memory
	for _, m := range masks {
		var x []float32
		var ids []int64
		for _, w := range m {
			a, b := float32(seen.NormFloat64()), float32(hidden.NormFloat64())
			i, j := seen.Int64N(9), hidden.Int64N(9)
			if w == 0 {
				a, i = 100*b, j
			}
			for k := range 6 {
				x = append(x, a+float32(k))
			}
			ids = append(ids, i)
		}
		out = append(out, samples.Sample{Name: "sequence", Label: -1, Inputs: map[string]tensor.Dense{
			"x": tensor.FromFloat32([]int{5, 6}, x), "mask": tensor.FromFloat32([]int{5, 1}, m), "ids": tensor.FromInt64([]int{5}, ids),
		}})
	}
	return out
}

// What stands behind a mask must not be seen.
func TestPaddingIsNotSeen(t *testing.T) {
	m := maskedModel(t)
	for _, batch := range []int{1, 2, 4} {
		o := Options{Probes: 2, Seed: 3, Batch: batch}
		one, other := sensitivities(t, m, masked(1), o), sensitivities(t, m, masked(2), o)
		if len(one) != 3 {
			t.Fatalf("%d sites, want three", len(one))
		}
		for i := range one {
			if one[i].Positions != 13 || one[i].PositionsPerSample() != 13./4 {
				t.Errorf("%s: %d positions, want the 13 that are no padding", one[i].Site, one[i].Positions)
			}
			if !reflect.DeepEqual(one[i], other[i]) {
				t.Errorf("batch %d, %s: statistics depend on the padding: %+v and %+v", batch, one[i].Site, one[i], other[i])
			}
			if g := one[i].G[0]; g.At(0, 0) < 0.5 {
				t.Errorf("%s: G is %v, want means over the positions that are no padding", one[i].Site, g)
			}
		}
		without := sensitivities(t, m, masked(1), Options{Batch: batch})
		if without[0].Positions != 20 || without[0].Felt != nil {
			t.Errorf("without sensitivities %d positions and weights %v, want all 20 alike", without[0].Positions, without[0].Felt)
		}
	}
}

// A and the mean are weighed by what Felt says within a run, of two samples here; it is 0 where the mask is.
func TestWeighed(t *testing.T) {
	src := masked(1)
	got := sensitivities(t, maskedModel(t), src, Options{Probes: 1, Seed: 3, Batch: 4})
	for _, s := range got {
		for i, mask := range masks {
			for k, w := range s.Felt[i] {
				if (w == 0) != (mask[k] == 0) || w < 0 {
					t.Errorf("%s: the weights of sample %d are %v under the mask %v", s.Site, i, s.Felt[i], mask)
				}
			}
		}
		if s.Counts != nil {
			continue
		}
		a, mean, sum := linalg.New(6, 6), make([]float64, 6), 0.
		for i, sample := range src {
			x := sample.Inputs["x"].Float32s()
			run, positions := 0., 0.
			for _, w := range slices.Concat(s.Felt[i/2*2], s.Felt[i/2*2+1]) {
				if run += float64(w); w != 0 {
					positions++
				}
			}
			for k, w := range s.Felt[i] {
				w *= float32(positions / run)
				sum += float64(w)
				for p, v := range x[6*k : 6*k+6] {
					mean[p] += float64(w) * float64(v)
					for q, u := range x[6*k : 6*k+6] {
						a.Data[6*p+q] += float64(w) * float64(v) * float64(u)
					}
				}
			}
		}
		for k, v := range a.Data {
			if d := s.A[0].Data[k] - v/sum; math.Abs(d) > 1e-5*math.Abs(v/sum) {
				t.Errorf("%s: element %d of A is %v, want %v", s.Site, k, s.A[0].Data[k], v/sum)
			}
		}
		for k, v := range mean {
			if d := s.Mean[0][k] - v/sum; math.Abs(d) > 1e-5*(1+math.Abs(v/sum)) {
				t.Errorf("%s: element %d of the mean is %v, want %v", s.Site, k, s.Mean[0][k], v/sum)
			}
		}
	}
}

// What tokens stand at padding changes nothing of what is seen of a language model that itself takes no notice of the mask.
func TestPaddingOfTextsIsNotSeen(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	ids := b.Input("input_ids", tensor.Int64, "N", 5)
	b.Input("attention_mask", tensor.Int64, "N", "total")
	x := b.Node("Gather", []string{b.Weight("table", 9, 9, 4), ids}, graph.Int("axis", 0))
	h := b.Node("Relu", []string{b.Node("MatMul", []string{x, b.Weight("first", 4, 4, 6)})})
	b.Node("MatMul", []string{h, b.Weight("head", 6, 6, 9)})
	b.Output(b.Rename("logits"), tensor.Float32, "N", 5, 9)
	m := testkit.Built(t, b)
	saw := func(padding int64) []Stats {
		var src memory
		for i, mask := range [][]int64{{1, 1, 1, 1, 0, 0}, {1, 1, 1, 1, 1, 1}, {1, 1, 1, 0, 0, 0}} { // of a cache's position and 5 others
			tokens := []int64{}
			for k, real := range mask[1:] {
				token := int64(i+2*k) % 9
				if real == 0 {
					token = padding
				}
				tokens = append(tokens, token)
			}
			src = append(src, samples.Sample{Name: "text", Label: -1, Inputs: map[string]tensor.Dense{
				"input_ids": tensor.FromInt64([]int{5}, tokens), "attention_mask": tensor.FromInt64([]int{6}, mask),
			}})
		}
		return sensitivities(t, m, src, Options{Probes: 1, Batch: 2, Seed: 3})
	}
	one, other := saw(0), saw(8)
	for i := range one {
		if !reflect.DeepEqual(one[i].A, other[i].A) || !reflect.DeepEqual(one[i].G, other[i].G) || one[i].G == nil && one[i].Pullback == nil {
			t.Errorf("%s: A %v and %v, G %v and %v under other tokens at padding", one[i].Site, one[i].A, other[i].A, one[i].G, other[i].G)
		}
	}
}
