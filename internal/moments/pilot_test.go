package moments

import (
	"context"
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// gather sums samples in two runs, of which the first sets the pilot.
func gather(t *testing.T, summation Summation, groups, k int, x []float32, roots []float32, perSample, samples int) ([]*linalg.Matrix, [][]float64, *Pilot) {
	t.Helper()
	pilot := NewPilot()
	sum := NewInputs(groups, k, pilot)
	var part Part
	var s Scratch
	var buf []float32
	for run, cut := range [][2]int{{0, samples / 2}, {samples / 2, samples}} {
		from, to := cut[0], cut[1]
		own, n, w := x[from*perSample:to*perSample], to-from, []float32(nil)
		if roots != nil {
			w = roots[from:to]
			own, n = Weigh(own, w), len(felt(w))
		}
		if run == 0 {
			pilot.Set(summation, own, n, w)
		}
		if err := pilot.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		sum.Run(linalg.Gonum(), summation, pilot.Off(summation, own, n, w, &buf), n, w, &part, &s)
		sum.Add(&part)
	}
	second, first := sum.Means()
	return second, first, pilot
}

// holdCovariance holds E[x xᵀ] − E[x]E[x]ᵀ against sums of x xᵀ and x over n positions in float64, element by element
// by the deviations of its two columns.
func holdCovariance(t *testing.T, second []*linalg.Matrix, first [][]float64, sums []*linalg.Matrix, columns []float64, n float64, tolerance float64) {
	t.Helper()
	for g, m := range sums {
		k := m.Rows
		mean := make([]float64, k)
		for i := range mean {
			mean[i] = columns[g*k+i] / n
			if d := math.Abs(first[g][i] - mean[i]); !(d <= 1e-9*(1+math.Abs(mean[i]))) {
				t.Errorf("mean %d of group %d is %v, want %v", i, g, first[g][i], mean[i])
			}
		}
		of := func(i, j int) float64 { return m.At(i, j)/n - mean[i]*mean[j] }
		for i := range k {
			for j := range k {
				scale := math.Sqrt(of(i, i) * of(j, j))
				if scale < 1e-6 { // a tap that never meets the input, or always the same
					scale = 1
				}
				got := second[g].At(i, j) - first[g][i]*first[g][j]
				if d := math.Abs(got - of(i, j)); !(d <= tolerance*scale) {
					t.Fatalf("covariance (%d, %d) of group %d is %v, want %v of deviations %v", i, j, g, got, of(i, j), scale)
				}
				if second[g].At(i, j) != second[g].At(j, i) {
					t.Fatalf("(%d, %d) of group %d is not symmetric", i, j, g)
				}
			}
		}
	}
}

// far is noise of deviation 1 around 3000, different for each channel of [samples, channels, plane], and around 0 for
// every third.
func far(samples, channels, plane int, seed uint64) []float32 {
	x := noise(samples*channels*plane, seed)
	for i := range x {
		if c := i / plane % channels; c%3 != 2 {
			x[i] += float32(3000 - 10*c)
		}
	}
	return x
}

func TestCovarianceFarFromZero(t *testing.T) {
	const samples = 6
	for _, c := range append(convs(), stridedConvs()...) {
		p := c.patches()
		x := far(samples, p.Channels, tensor.Product(p.In), 11)
		sums, columns := plain(p, x, samples)
		summations := map[string]Summation{"direct": Direct(p), "chosen": Conv(p)}
		if p.unitStride() {
			summations["lag"] = newLag(p, math.MaxInt)
		}
		for name, summation := range summations {
			t.Run(name+" "+c.String(), func(t *testing.T) {
				second, first, pilot := gather(t, summation, p.Groups, p.Length(), x, nil, p.Channels*tensor.Product(p.In), samples)
				if pilot.values == nil {
					t.Fatal("there is no pilot")
				}
				holdCovariance(t, second, first, sums, columns, float64(summation.Positions(samples)), 2e-6)
			})
		}
	}
}

func TestTransposedFarFromZero(t *testing.T) {
	const samples = 6
	for _, p := range transposedCases() {
		t.Run(describe(p), func(t *testing.T) {
			x := far(samples, p.Channels, tensor.Product(p.In), 11)
			wide, zeros := inserted(p, x, samples)
			sums, columns := plain(wide, zeros, samples)
			second, first, _ := gather(t, Transposed(p), p.Groups, p.Length(), x, nil, p.Channels*tensor.Product(p.In), samples)
			holdCovariance(t, second, first, sums, columns, float64(samples*tensor.Product(p.Out)), 2e-6)
		})
	}
}

func TestRowsFarFromZero(t *testing.T) {
	const k, each, samples = 7, 3, 40
	for _, groups := range []int{1, 3} {
		x := noise(k*groups*each*samples, 3)
		for i := range x {
			x[i] += 3000
		}
		sums, columns := rowSums(x, k, groups, each, nil)
		second, first, _ := gather(t, StackedRows(k, groups, each), groups, k, x, nil, k*groups*each, samples)
		holdCovariance(t, second, first, sums, columns, samples*each, 2e-6)
	}
	// weighed, as many of the rows left out
	x, weights := noise(k*samples, 4), make([]float32, samples)
	for i := range x {
		x[i] += 3000
	}
	for i := range weights {
		weights[i] = float32(i % 5)
	}
	roots := Roots(weights)
	sums, columns := rowSums(x, k, 1, 1, roots)
	total := 0.
	for _, r := range roots {
		total += float64(r) * float64(r)
	}
	second, first, _ := gather(t, Rows(k, 1), 1, k, x, roots, k, samples)
	for i := range first[0] { // the weights make the number of positions but for rounding
		if d := math.Abs(first[0][i] - columns[i]/total); !(d <= 1e-3) {
			t.Errorf("mean %d is %v, want %v", i, first[0][i], columns[i]/total)
		}
		for j := range first[0] {
			want := sums[0].At(i, j)/total - columns[i]*columns[j]/total/total
			if got := second[0].At(i, j) - first[0][i]*first[0][j]; !(math.Abs(got-want) <= 1e-4) {
				t.Errorf("covariance (%d, %d) is %v, want %v", i, j, got, want)
			}
		}
	}
}

// rowSums are the sums of w x xᵀ and w x over rows [units, groups, each, k], from their definition.
func rowSums(x []float32, k, groups, each int, roots []float32) ([]*linalg.Matrix, []float64) {
	sums, columns := make([]*linalg.Matrix, groups), make([]float64, groups*k)
	for g := range sums {
		sums[g] = linalg.New(k, k)
	}
	for r := range len(x) / k {
		g, w := r/each%groups, root(roots, r)
		for i := range k {
			columns[g*k+i] += w * w * float64(x[r*k+i])
			for j := range k {
				sums[g].Data[i*k+j] += w * w * float64(x[r*k+i]) * float64(x[r*k+j])
			}
		}
	}
	return sums, columns
}

// A pilot is for means that are many deviations from zero; else inputs are summed as they are.
func TestPilot(t *testing.T) {
	summation := Rows(3, 1)
	x := noise(300, 9)
	for i := range x {
		if i%3 == 1 {
			x[i] += 100
		}
	}
	p := NewPilot()
	p.Set(summation, x, 100, nil)
	if p.values == nil || p.values[0] != 0 || p.values[2] != 0 || math.Abs(float64(p.values[1])-100.3) > 0.5 {
		t.Errorf("the pilot is %v, want about 100.3 in the middle and 0 at the sides", p.values)
	}
	p = NewPilot()
	p.Set(summation, noise(300, 9), 100, nil)
	var buf []float32
	if off := p.Off(summation, x, 100, nil, &buf); p.values != nil || &off[0] != &x[0] {
		t.Errorf("near zero the pilot is %v", p.values)
	}
	p = NewPilot()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Wait(ctx); err == nil {
		t.Error("the wait for a pilot that is never set does not end with the context")
	}
	p.Set(nil, nil, 0, nil)
	if err := p.Wait(context.Background()); err != nil || p.values != nil {
		t.Errorf("a first run without positions: %v, %v", err, p.values)
	}
}

// Without a pilot, Inputs is what Sum and Columns are, to the bit.
func TestInputsNearZero(t *testing.T) {
	p := conv{4, 2, []int{6, 5}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}}.patches()
	x := noise(4*p.Channels*tensor.Product(p.In), 7)
	summation := Conv(p)
	second, first, _ := gather(t, summation, p.Groups, p.Length(), x, nil, p.Channels*tensor.Product(p.In), 4)
	want := compute(summation, p.Groups, p.Length(), x, p.Channels*tensor.Product(p.In), 4)
	columns := make([]float64, p.Groups*p.Length())
	summation.Columns(x, 4, columns)
	n := float64(summation.Positions(4))
	for g, m := range want {
		for i, v := range m.Data {
			if got := second[g].Data[i]; math.Abs(got-v/n) > 1e-15*math.Abs(v) {
				t.Fatalf("element %d of group %d is %v, want %v", i, g, got, v/n)
			}
		}
		for i, v := range first[g] {
			if want := columns[g*p.Length()+i] / n; math.Abs(v-want) > 1e-12 {
				t.Errorf("mean %d of group %d is %v, want %v", i, g, v, want)
			}
		}
	}
}
