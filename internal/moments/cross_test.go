package moments

import (
	"fmt"
	"math"
	"slices"
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

// inTwo runs a summation over the samples in two runs.
func inTwo(summation Cross, p Patches, z, x []float32, out, samples int) []float32 {
	const cut = 2
	got := make([]float32, summation.Size())
	var s Scratch
	summation.Run(linalg.Gonum(), [][]float32{z[:cut*out*tensor.Product(p.Out)]}, x[:cut*p.Channels*tensor.Product(p.In)], cut, [][]float32{got}, &s)
	summation.Run(linalg.Gonum(), [][]float32{z[cut*out*tensor.Product(p.Out):]}, x[cut*p.Channels*tensor.Product(p.In):], samples-cut, [][]float32{got}, &s)
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
			summation := StackedCross(groups, out, k, n, zRows, xRows)
			if groups == 1 {
				summation = MatrixCross(out, k, n, zRows, xRows)
			}
			got := make([]float32, summation.Size())
			summation.Run(linalg.Gonum(), [][]float32{z}, x, samples, [][]float32{got}, nil)
			if d := apart(got, want); !(d <= 1e-6) {
				t.Errorf("differs from the definition by %.2g of the largest entry", d)
			}
		})
	}
}

// About a pilot, E[e xᵀ] − E[e]E[x]ᵀ loses no digits where inputs are far from zero.
func TestErrorsFarFromZero(t *testing.T) {
	const samples = 5
	hold := func(t *testing.T, summation Summation, cross Cross, y Summation, p Patches, z, x []float32, out int, want []float64, sums []float64) {
		t.Helper()
		k, rows, n := p.Length(), out/p.Groups, summation.Positions(samples)
		pilot := NewPilot()
		pilot.Set(summation, x, samples, nil)
		errors := NewErrors(p.Groups, rows, k, pilot)
		var s Scratch
		var buf []float32
		var part ErrorsPart
		RunErrors(linalg.Gonum(), []*Errors{errors}, cross, samples, y, samples, [][]float32{z}, pilot.Off(summation, x, samples, nil, &buf), nil, []*ErrorsPart{&part}, &s)
		errors.Add(&part)
		crossed, first := errors.Means(n)
		for i, v := range want {
			o, j := i/k, i%k
			mean := first[o/rows][o%rows]
			exact := v/float64(n) - mean*sums[o/rows*k+j]/float64(n)
			got := crossed[o/rows].At(o%rows, j) - mean*sums[o/rows*k+j]/float64(n)
			if d := math.Abs(got - exact); !(d <= 5e-6) {
				t.Fatalf("covariance of error %d and column %d is %v, want %v", o, j, got, exact)
			}
		}
	}
	for _, c := range append(convs(), stridedConvs()...) {
		t.Run(c.String(), func(t *testing.T) {
			p := c.patches()
			out := 3 * p.Groups
			x, z := far(samples, p.Channels, tensor.Product(p.In), 7), noise(samples*out*tensor.Product(p.Out), 8)
			_, sums := plain(p, x, samples)
			y := Direct(conv{out, p.Groups, p.Out, slices.Repeat([]int{1}, len(p.Out)), nil, nil, nil, nil}.patches())
			hold(t, Conv(p), ConvCross(p, out), y, p, z, x, out, plainCross(p, z, x, out, samples), sums)
		})
	}
	for _, p := range transposedCases() {
		t.Run(describe(p), func(t *testing.T) {
			out := 3 * p.Groups
			x, z := far(samples, p.Channels, tensor.Product(p.In), 7), noise(samples*out*tensor.Product(p.Out), 8)
			wide, spread := inserted(p, x, samples)
			_, sums := plain(wide, spread, samples)
			y := Direct(conv{out, p.Groups, p.Out, slices.Repeat([]int{1}, len(p.Out)), nil, nil, nil, nil}.patches())
			hold(t, Transposed(p), TransposedCross(p, out), y, p, z, x, out, plainCross(wide, z, spread, out, samples), sums)
		})
	}
}

// A matrix has one tap, which is always inside, whichever way its operands lie.
func TestMatrixCrossInside(t *testing.T) {
	const out, n, samples = 4, 5, 3
	for _, groups := range []int{1, 2} {
		for _, inRows := range []bool{false, true} {
			z := noise(groups*out*n*samples, 1)
			got, want := make([]float64, groups*out), make([]float64, groups*out)
			StackedCross(groups, out, 7, n, inRows, true).Inside(z, samples, got)
			for i, v := range z {
				o := i / n % out
				if inRows {
					o = i % out
				}
				want[i/(out*n)%groups*out+o] += float64(v)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d groups, in rows %t: %v, want %v", groups, inRows, got, want)
			}
		}
	}
}
