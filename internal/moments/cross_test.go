package moments

import (
	"fmt"
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// plainCross is the definition, written out: the sum of z xᵀ over all patches, in float64.
func plainCross(p Patches, z, x []float32, out, samples int) []float64 {
	cg, k, plane, area, rows := p.Channels/p.Groups, p.Length(), tensor.Product(p.In), tensor.Product(p.Out), out/p.Groups
	taps := coordinates(p.Window)
	sum := make([]float64, out*k)
	for n := range samples {
		for position, o := range coordinates(p.Out) {
			for g := range p.Groups {
				for c := range cg {
					for t, tap := range taps {
						at, inside := 0, true
						for i := range o {
							u := o[i]*p.Strides[i] + tap[i]*p.Dilations[i] - p.PadBegin[i]
							inside = inside && u >= 0 && u < p.In[i]
							at = at*p.In[i] + u
						}
						if !inside {
							continue
						}
						v := float64(x[(n*p.Channels+g*cg+c)*plane+at])
						for r := range rows {
							sum[(g*rows+r)*k+c*len(taps)+t] += float64(z[(n*out+g*rows+r)*area+position]) * v
						}
					}
				}
			}
		}
	}
	return sum
}

// apart is the largest difference relative to the largest entry.
func apart(got []float32, want []float64) float64 {
	worst, largest := 0., 0.
	for i, w := range want {
		worst, largest = max(worst, math.Abs(float64(got[i])-w)), max(largest, math.Abs(w))
	}
	return worst / largest
}

// inTwo runs a plan over the samples in two runs.
func inTwo(plan Cross, p Patches, z, x []float32, out, samples int) []float32 {
	const cut = 2
	got := make([]float32, plan.Size())
	var s Scratch
	plan.Run(linalg.Gonum(), z[:cut*out*tensor.Product(p.Out)], x[:cut*p.Channels*tensor.Product(p.In)], cut, got, &s)
	plan.Run(linalg.Gonum(), z[cut*out*tensor.Product(p.Out):], x[cut*p.Channels*tensor.Product(p.In):], samples-cut, got, &s)
	return got
}

func TestConvCrossAgreesWithDefinition(t *testing.T) {
	const samples = 5
	long := conv{2, 1, []int{140000}, []int{3}, []int{2}, nil, []int{1}, []int{1}}
	for _, c := range append(append(convs(), stridedConvs()...), long) {
		t.Run(c.String(), func(t *testing.T) {
			p := c.patches()
			out := 3 * p.Groups
			x, z := noise(samples*p.Channels*tensor.Product(p.In), 7), noise(samples*out*tensor.Product(p.Out), 8)
			got := inTwo(ConvCross(p, out), p, z, x, out, samples)
			if d := apart(got, plainCross(p, z, x, out, samples)); !(d <= 2e-5) {
				t.Errorf("differs from the definition by %.2g of the largest entry", d)
			}
		})
	}
}

func TestMatrixCrossAgreesWithDefinition(t *testing.T) {
	const out, k, n, samples = 4, 7, 5, 3
	at := func(i, v, width int, inRows bool) int {
		if inRows {
			return i*width + v
		}
		return v*n + i
	}
	for bits := range 8 {
		zRows, xRows, groups := bits&1 != 0, bits&2 != 0, 1+bits/4*2
		t.Run(fmt.Sprint(zRows, xRows, groups), func(t *testing.T) {
			z, x := noise(out*n*samples*groups, 1), noise(k*n*samples*groups, 2)
			want := make([]float64, groups*out*k)
			for s := range samples * groups {
				for i := range n {
					for o := range out {
						for c := range k {
							want[(s%groups*out+o)*k+c] += float64(z[s*out*n+at(i, o, out, zRows)]) * float64(x[s*k*n+at(i, c, k, xRows)])
						}
					}
				}
			}
			plan := StackedCross(groups, out, k, n, zRows, xRows)
			if groups == 1 {
				plan = MatrixCross(out, k, n, zRows, xRows)
			}
			got := make([]float32, plan.Size())
			plan.Run(linalg.Gonum(), z, x, samples, got, nil)
			if d := apart(got, want); !(d <= 1e-6) {
				t.Errorf("differs from the definition by %.2g of the largest entry", d)
			}
		})
	}
}
