package moments

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// conv is a geometry as the tests write it down; Out follows from the pads.
type conv struct {
	channels, groups                       int
	in, window, strides, dilations, lo, hi []int
}

func (c conv) patches() Patches {
	fill := func(v []int, d int) []int {
		out := make([]int, len(c.in))
		for i := range out {
			if out[i] = d; v != nil {
				out[i] = v[i]
			}
		}
		return out
	}
	p := Patches{
		Channels: c.channels, Groups: c.groups, In: c.in, Window: c.window,
		Strides: fill(c.strides, 1), Dilations: fill(c.dilations, 1), PadBegin: fill(c.lo, 0), Out: make([]int, len(c.in)),
	}
	hi := fill(c.hi, 0)
	for i := range p.Out {
		p.Out[i] = (p.In[i]+p.PadBegin[i]+hi[i]-p.reach(i)-1)/p.Strides[i] + 1
	}
	return p
}

func (c conv) String() string {
	return fmt.Sprintf("c%d g%d in%v k%v s%v d%v pad%v/%v", c.channels, c.groups, c.in, c.window, c.strides, c.dilations, c.lo, c.hi)
}

// convs are geometries of every kind: same, valid, odd and asymmetric pads, pads wider
// than the window, dilations, groups, one to three axes, inputs smaller than a window.
func convs() []conv {
	return []conv{
		{3, 1, []int{8, 8}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}},
		{4, 1, []int{9, 7}, []int{3, 3}, nil, nil, nil, nil},
		{4, 2, []int{6, 5}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}},
		{2, 1, []int{7, 9}, []int{5, 3}, nil, nil, []int{2, 0}, []int{1, 2}},
		{2, 1, []int{9, 9}, []int{3, 3}, nil, []int{2, 2}, []int{2, 2}, []int{2, 2}},
		{2, 1, []int{9, 12}, []int{3, 3}, nil, []int{2, 3}, nil, []int{0, 1}},
		{3, 1, []int{4, 4}, []int{3, 3}, nil, nil, []int{4, 3}, []int{5, 2}},
		{2, 1, []int{2, 2}, []int{5, 5}, nil, nil, []int{2, 2}, []int{2, 2}},
		{3, 1, []int{1, 1}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}},
		{3, 1, []int{6, 6}, []int{2, 2}, nil, nil, []int{0, 0}, []int{1, 1}},
		{3, 1, []int{6, 6}, []int{1, 3}, nil, nil, []int{0, 1}, []int{0, 1}},
		{3, 1, []int{6, 6}, []int{3, 1}, nil, nil, []int{1, 0}, []int{1, 0}},
		{5, 1, []int{6, 6}, []int{1, 1}, nil, nil, nil, nil},
		{5, 1, []int{3, 3}, []int{1, 1}, nil, nil, []int{1, 1}, []int{1, 1}},
		{3, 1, []int{17}, []int{5}, nil, nil, []int{2}, []int{2}},
		{2, 2, []int{17}, []int{4}, nil, []int{3}, []int{5}, []int{4}},
		{2, 1, []int{4, 5, 6}, []int{3, 3, 3}, nil, nil, []int{1, 1, 1}, []int{1, 1, 1}},
		{2, 1, []int{4, 5, 6}, []int{2, 3, 1}, nil, []int{1, 2, 1}, []int{0, 2, 0}, []int{1, 1, 0}},
		{6, 6, []int{5, 5}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}},
	}
}

// stridedConvs are geometries that only the direct summation takes.
func stridedConvs() []conv {
	return []conv{
		{3, 1, []int{8, 8}, []int{3, 3}, []int{2, 2}, nil, []int{1, 1}, []int{1, 1}},
		{4, 2, []int{9, 8}, []int{3, 2}, []int{1, 3}, []int{2, 1}, []int{1, 0}, []int{0, 1}},
		{3, 1, []int{7, 7}, []int{1, 1}, []int{2, 2}, nil, nil, nil},
		{2, 1, []int{40}, []int{5}, []int{3}, nil, []int{2}, []int{2}},
		{2, 1, []int{5, 4, 6}, []int{2, 2, 2}, []int{2, 1, 2}, nil, []int{1, 0, 0}, []int{0, 1, 0}},
	}
}

func noise(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64()) + 0.3
	}
	return out
}

// plain is the definition, written out: the sums of x xᵀ and of x over all patches, in
// float64.
func plain(p Patches, x []float32, samples int) ([]*linalg.Matrix, []float64) {
	cg, k, plane := p.Channels/p.Groups, p.Length(), tensor.Product(p.In)
	taps := coordinates(p.Window)
	var out []*linalg.Matrix
	sums := make([]float64, p.Groups*k)
	for g := range p.Groups {
		m := linalg.New(k, k)
		for n := range samples {
			for _, o := range coordinates(p.Out) {
				column := make([]float64, 0, k)
				for c := range cg {
					for _, t := range taps {
						at, inside := 0, true
						for i := range o {
							u := o[i]*p.Strides[i] + t[i]*p.Dilations[i] - p.PadBegin[i]
							inside = inside && u >= 0 && u < p.In[i]
							at = at*p.In[i] + u
						}
						v := 0.
						if inside {
							v = float64(x[(n*p.Channels+g*cg+c)*plane+at])
						}
						column = append(column, v)
					}
				}
				for i := range k {
					sums[g*k+i] += column[i]
					for j := range k {
						m.Data[i*k+j] += column[i] * column[j]
					}
				}
			}
		}
		out = append(out, m)
	}
	return out, sums
}

// compute runs a summation over the samples in two runs and returns the sums.
func compute(p Summation, groups, k int, x []float32, perSample, samples int) []*linalg.Matrix {
	sum := NewSum(groups, k)
	var s Scratch
	for _, cut := range [][2]int{{0, samples / 2}, {samples / 2, samples}} {
		from, to := cut[0], cut[1]
		partial := make([]float32, p.Size())
		p.Run(linalg.Gonum(), x[from*perSample:to*perSample], to-from, partial, &s)
		sum.Add(p, partial)
	}
	return sum.Mean(1)
}

// difference is the largest |a−b| relative to the largest |b| over all groups.
func difference(t *testing.T, a, b []*linalg.Matrix) float64 {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d groups, want %d", len(a), len(b))
	}
	worst := 0.
	for g := range a {
		if a[g].Rows != b[g].Rows || a[g].Cols != b[g].Cols {
			t.Fatalf("group %d is %d×%d, want %d×%d", g, a[g].Rows, a[g].Cols, b[g].Rows, b[g].Cols)
		}
		for i := range a[g].Data {
			worst = max(worst, math.Abs(a[g].Data[i]-b[g].Data[i])/max(b[g].MaxAbs(), 1e-30))
		}
	}
	return worst
}

// holdPlan holds a summation against moments and sums of columns, [Groups] and one by one, from their definition.
func holdPlan(t *testing.T, summation Summation, p Patches, x []float32, samples int, want []*linalg.Matrix, sums []float64) {
	t.Helper()
	got := compute(summation, p.Groups, p.Length(), x, p.Channels*tensor.Product(p.In), samples)
	if d := difference(t, got, want); !(d <= 2e-6) {
		t.Errorf("differs from the definition by %.2g of the largest entry", d)
	}
	columns := make([]float64, len(sums))
	summation.Columns(x, samples, columns)
	for i, v := range columns {
		if d := math.Abs(v - sums[i]); !(d <= 1e-9*(1+math.Abs(sums[i]))) {
			t.Errorf("sum of entry %d of the columns is %g, want %g", i, v, sums[i])
		}
	}
	if n := summation.Positions(samples); n != int64(samples*tensor.Product(p.Out)) {
		t.Errorf("%d positions, want %d", n, samples*tensor.Product(p.Out))
	}
}

func TestPlansAgreeWithDefinition(t *testing.T) {
	const samples = 5
	for _, c := range append(convs(), stridedConvs()...) {
		p := c.patches()
		x := noise(samples*p.Channels*tensor.Product(p.In), 7)
		want, sums := plain(p, x, samples)
		summations := map[string]Summation{"direct": Direct(p), "chosen": Conv(p)}
		if p.unitStride() {
			summations["lag"] = newLag(p, math.MaxInt)
		}
		for name, summation := range summations {
			t.Run(name+" "+c.String(), func(t *testing.T) {
				holdPlan(t, summation, p, x, samples, want, sums)
			})
		}
	}
}

func TestLagProducts(t *testing.T) {
	same := conv{2, 1, []int{8, 8}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}}
	l := newLag(same.patches(), math.MaxInt)
	if n := len(l.strips[0].offsets); n != 13 {
		t.Errorf("a 3×3 window has %d lags, want 13", n)
	}
	if newLag(same.patches(), l.keys-1) != nil {
		t.Errorf("a summation of %d products was made under a limit of %d", l.keys, l.keys-1)
	}
}

func TestRowsAgreeWithDefinition(t *testing.T) {
	const k, each, samples = 7, 3, 4
	for _, groups := range []int{1, 3} {
		x := noise(k*groups*each*samples, 3)
		var want []*linalg.Matrix
		sums := make([]float64, groups*k)
		for range groups {
			want = append(want, linalg.New(k, k))
		}
		for r := range samples * groups * each {
			g := r / each % groups
			for i := range k {
				sums[g*k+i] += float64(x[r*k+i])
				for j := range k {
					want[g].Data[i*k+j] += float64(x[r*k+i]) * float64(x[r*k+j])
				}
			}
		}
		summations := []Summation{StackedRows(k, groups, each)}
		if groups == 1 {
			summations = append(summations, Rows(k, each))
		}
		for _, summation := range summations {
			got := compute(summation, groups, k, x, k*groups*each, samples)
			if d := difference(t, got, want); !(d <= 1e-6) {
				t.Errorf("%d groups: differs from the definition by %.2g of the largest entry", groups, d)
			}
			columns := make([]float64, len(sums))
			summation.Columns(x, samples, columns)
			for i, v := range columns {
				if d := math.Abs(v - sums[i]); !(d <= 1e-9) {
					t.Errorf("%d groups: sum of entry %d of the columns is %g, want %g", groups, i, v, sums[i])
				}
			}
			if n := summation.Positions(samples); n != samples*each {
				t.Errorf("%d groups: %d positions, want %d", groups, n, samples*each)
			}
		}
	}
}

// A site whose inputs come in several sizes has several summations in one sum.
func TestSumOfSeveralPlans(t *testing.T) {
	a := conv{2, 1, []int{8, 8}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}}.patches()
	b := conv{2, 1, []int{5, 9}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}}.patches()
	sum, want := NewSum(1, 18), linalg.New(18, 18)
	var s Scratch
	for i, p := range []Patches{a, b, a} {
		x := noise(2*2*tensor.Product(p.In), uint64(i))
		for _, summation := range []Summation{newLag(p, math.MaxInt), Direct(p)} {
			partial := make([]float32, summation.Size())
			summation.Run(linalg.Gonum(), x, 2, partial, &s)
			sum.Add(summation, partial)
		}
		once, _ := plain(p, x, 2)
		for j, v := range once[0].Data {
			want.Data[j] += 2 * v / 10
		}
	}
	if d := difference(t, sum.Mean(10), []*linalg.Matrix{want}); !(d <= 2e-6) {
		t.Errorf("differs from the definition by %.2g of the largest entry", d)
	}
}

func TestCopyStrided(t *testing.T) {
	src := []float32{1, 2, 3, 4, 5}
	for stride := 1; stride <= 4; stride++ {
		for first := -12; first <= 12; first++ {
			for n := range 6 {
				dst := []float32{9, 9, 9, 9, 9, 9}[:n]
				copyStrided(dst, src, first, stride)
				for i, got := range dst {
					want := float32(0)
					if u := first + i*stride; u >= 0 && u < len(src) {
						want = src[u]
					}
					if got != want {
						t.Fatalf("stride %d, first %d, length %d: element %d is %v, want %v", stride, first, n, i, got, want)
					}
				}
			}
		}
	}
}

// Patches are written out in chunks; long rows are cut in the middle.
func TestDirectChunks(t *testing.T) {
	for _, c := range []conv{
		{2, 1, []int{140000}, []int{3}, []int{2}, nil, []int{1}, []int{1}},
		{20, 2, []int{60, 61}, []int{3, 3}, []int{1, 2}, nil, []int{1, 1}, []int{1, 1}},
	} {
		p := c.patches()
		x := noise(2*p.Channels*tensor.Product(p.In), 5)
		got := compute(Direct(p), p.Groups, p.Length(), x, p.Channels*tensor.Product(p.In), 2)
		want, _ := plain(p, x, 2)
		if d := difference(t, got, want); !(d <= 1e-5) {
			t.Errorf("%v: differs from the definition by %.2g of the largest entry", c, d)
		}
	}
}
