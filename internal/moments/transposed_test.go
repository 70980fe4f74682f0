package moments

import (
	"fmt"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// transposedCases are geometries of transposed convolutions: strides over and under the window, strides and dilations
// with and without a common factor, pads on both sides, crops, outputs cut short and prolonged.
func transposedCases() []Patches {
	one := []int{1, 1}
	return []Patches{
		{Channels: 3, Groups: 1, In: []int{5, 4}, Window: []int{3, 3}, Strides: one, Dilations: one, PadBegin: []int{2, 2}, Out: []int{7, 6}},
		{Channels: 3, Groups: 1, In: []int{5, 4}, Window: []int{3, 3}, Strides: []int{2, 2}, Dilations: one, PadBegin: []int{1, 2}, Out: []int{10, 9}},
		{Channels: 4, Groups: 2, In: []int{5, 6}, Window: []int{4, 2}, Strides: []int{2, 3}, Dilations: one, PadBegin: []int{2, 1}, Out: []int{10, 18}},
		{Channels: 2, Groups: 1, In: []int{6, 7}, Window: []int{3, 5}, Strides: []int{2, 3}, Dilations: []int{3, 2}, PadBegin: []int{6, 5}, Out: []int{16, 25}},
		{Channels: 2, Groups: 1, In: []int{6, 5}, Window: []int{3, 2}, Strides: []int{4, 2}, Dilations: []int{2, 2}, PadBegin: []int{4, 1}, Out: []int{25, 9}},
		{Channels: 3, Groups: 1, In: []int{4, 4}, Window: []int{1, 2}, Strides: []int{2, 3}, Dilations: one, PadBegin: []int{0, -2}, Out: []int{8, 9}},
		{Channels: 3, Groups: 1, In: []int{6, 6}, Window: []int{2, 2}, Strides: []int{2, 2}, Dilations: one, PadBegin: []int{-1, -3}, Out: []int{3, 12}},
		{Channels: 3, Groups: 1, In: []int{8, 4}, Window: []int{1, 1}, Strides: one, Dilations: one, PadBegin: []int{0, 0}, Out: []int{4, 8}},
		{Channels: 2, Groups: 2, In: []int{9}, Window: []int{5}, Strides: []int{2}, Dilations: []int{1}, PadBegin: []int{3}, Out: []int{18}},
		{Channels: 2, Groups: 1, In: []int{3, 4, 3}, Window: []int{2, 3, 2}, Strides: []int{2, 1, 3}, Dilations: []int{1, 2, 1}, PadBegin: []int{1, 4, 0}, Out: []int{6, 8, 10}},
		{Channels: 2, Groups: 1, In: []int{1, 1}, Window: []int{4, 4}, Strides: []int{2, 2}, Dilations: one, PadBegin: []int{2, 2}, Out: []int{2, 2}},
	}
}

func describe(p Patches) string {
	return fmt.Sprintf("c%d g%d in%v k%v s%v d%v pad%v out%v", p.Channels, p.Groups, p.In, p.Window, p.Strides, p.Dilations, p.PadBegin, p.Out)
}

// inserted writes an input out with zeros between its entries, and returns it with the convolution of stride 1 over it.
func inserted(p Patches, x []float32, samples int) (Patches, []float32) {
	wide := p
	wide.In, wide.Strides = make([]int, len(p.In)), make([]int, len(p.In))
	for i, n := range p.In {
		wide.In[i], wide.Strides[i] = (n-1)*p.Strides[i]+1, 1
	}
	out := make([]float32, samples*p.Channels*tensor.Product(wide.In))
	for n := range samples * p.Channels {
		for i, at := range coordinates(p.In) {
			to := 0
			for axis, u := range at {
				to = to*wide.In[axis] + u*p.Strides[axis]
			}
			out[n*tensor.Product(wide.In)+to] = x[n*tensor.Product(p.In)+i]
		}
	}
	return wide, out
}

func TestTransposedAgreesWithDefinition(t *testing.T) {
	const samples = 5
	for _, p := range transposedCases() {
		t.Run(describe(p), func(t *testing.T) {
			x := noise(samples*p.Channels*tensor.Product(p.In), 7)
			wide, spread := inserted(p, x, samples)
			want, sums := plain(wide, spread, samples)
			summation := Transposed(p)
			holdPlan(t, summation, p, x, samples, want, sums)
			if k := p.Length(); summation.Size() > p.Groups*k*k {
				t.Errorf("a partial result of %d numbers for moments of %d", summation.Size(), p.Groups*k*k)
			}

			out := 3 * p.Groups
			z := noise(samples*out*tensor.Product(p.Out), 8)
			products := inTwo(TransposedCross(p, out), p, z, x, out, samples)
			if d := apart(products, plainCross(wide, z, spread, out, samples)); !(d <= 2e-5) {
				t.Errorf("the products with outputs differ from the definition by %.2g of the largest entry", d)
			}
		})
	}
}

// A site whose inputs come in several sizes has several summations in one sum.
func TestSumOfTransposedPlans(t *testing.T) {
	a := Patches{
		Channels: 2, Groups: 1, In: []int{40, 30}, Window: []int{6, 6}, Strides: []int{2, 2}, Dilations: []int{1, 1},
		PadBegin: []int{3, 3}, Out: []int{80, 60},
	}
	b := a
	b.In, b.Out = []int{7, 9}, []int{14, 18}
	sum, want := NewSum(1, a.Length()), linalg.New(a.Length(), a.Length())
	var s Scratch
	for i, p := range []Patches{a, a, b, a} {
		x := noise(2*2*tensor.Product(p.In), uint64(i))
		summation := Transposed(p)
		partial := make([]float32, summation.Size())
		summation.Run(linalg.Gonum(), x, 2, partial, &s)
		sum.Add(summation, partial)
		wide, spread := inserted(p, x, 2)
		once, _ := plain(wide, spread, 2)
		for j, v := range once[0].Data {
			want.Data[j] += v / 10
		}
	}
	if d := difference(t, sum.Mean(10), []*linalg.Matrix{want}); !(d <= 2e-6) {
		t.Errorf("differs from the definition by %.2g of the largest entry", d)
	}
}
