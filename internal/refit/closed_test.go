package refit

import (
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// columnsOf writes out the columns x_t that a site reads, per group, from their definition.
func columnsOf(s *rewrite.Site, d tensor.Dense) [][][]float64 {
	v, n := d.Float32s(), d.Shape
	k := s.Kernel.In
	last := len(n) - 1
	if s.View.Stack > 0 {
		return stackedColumns(v, n, s.Kernel.Groups, s.View.Kind == rewrite.LastAxis)
	}
	var out [][]float64
	switch s.View.Kind {
	case rewrite.ConvPatches:
		return patchesOf(s, d)
	case rewrite.LastAxis:
		for t := range len(v) / k {
			out = append(out, wide(v[t*k:(t+1)*k]))
		}
	case rewrite.SecondLastAxis:
		for u := range len(v) / (k * n[last]) {
			for t := range n[last] {
				column := make([]float64, k)
				for i := range k {
					column[i] = float64(v[(u*k+i)*n[last]+t])
				}
				out = append(out, column)
			}
		}
	case rewrite.FirstAxis:
		for t := range n[last] {
			column := make([]float64, k)
			for i := range k {
				column[i] = float64(v[i*n[last]+t])
			}
			out = append(out, column)
		}
	}
	return [][][]float64{out}
}

// stackedColumns cuts what a stack of matrices reads or computes into its columns, per group.
func stackedColumns(v []float32, shape []int, groups int, inRows bool) [][][]float64 {
	out := make([][][]float64, groups)
	rows, cols := shape[len(shape)-2], shape[len(shape)-1]
	for i := 0; i < len(v); i += rows * cols {
		one, g := v[i:i+rows*cols], i/(rows*cols)%groups
		if inRows {
			for t := range rows {
				out[g] = append(out[g], wide(one[t*cols:(t+1)*cols]))
			}
			continue
		}
		for t := range cols {
			column := make([]float64, rows)
			for k := range column {
				column[k] = float64(one[k*cols+t])
			}
			out[g] = append(out[g], column)
		}
	}
	return out
}

func wide(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// patchesOf is columnsOf for a 2-D convolution.
func patchesOf(s *rewrite.Site, d tensor.Dense) [][][]float64 {
	v, view := d.Float32s(), s.View
	height, width := d.Shape[2], d.Shape[3]
	begin := view.Lead(d.Shape[2:])
	size := view.Output(d.Shape[2:])
	step, gap := view.Strides, []int{1, 1} // of the windows, and of the input's entries
	if view.Transposed {
		step, gap = gap, step
	}
	channels := s.Kernel.In / view.Groups
	out := make([][][]float64, view.Groups)
	for n := range d.Shape[0] {
		for y := range size[0] {
			for x := range size[1] {
				for g := range out {
					var column []float64
					for c := range channels {
						for i := range view.Window[0] {
							for j := range view.Window[1] {
								u := y*step[0] + i*view.Dilations[0] - begin[0]
								w := x*step[1] + j*view.Dilations[1] - begin[1]
								value := 0.
								if u >= 0 && u%gap[0] == 0 && u/gap[0] < height && w >= 0 && w%gap[1] == 0 && w/gap[1] < width {
									value = float64(v[((n*s.Kernel.In+g*channels+c)*height+u/gap[0])*width+w/gap[1]])
								}
								column = append(column, value)
							}
						}
					}
					out[g] = append(out[g], column)
				}
			}
		}
	}
	return out
}

// outputsOf writes out the outputs y_t of a site, per group, in the order of columnsOf.
func outputsOf(s *rewrite.Site, d tensor.Dense) [][][]float64 {
	v := d.Float32s()
	if s.View.Stack > 0 {
		return stackedColumns(v, d.Shape, s.Kernel.Groups, s.View.Kind == rewrite.LastAxis)
	}
	axis := s.ChannelAxis(len(d.Shape))
	inner, groups, rows := 1, s.Kernel.Groups, s.Kernel.Rows()
	for _, n := range d.Shape[axis+1:] {
		inner *= n
	}
	out := make([][][]float64, groups)
	for u := range len(v) / (inner * s.Kernel.Out) {
		for t := range inner {
			for g := range out {
				y := make([]float64, rows)
				for o := range rows {
					y[o] = float64(v[(u*s.Kernel.Out+g*rows+o)*inner+t])
				}
				out[g] = append(out[g], y)
			}
		}
	}
	return out
}

// regressed is the solution of the regression of targets y on columns x, in float64 from the definition: with means
// removed if centred, and the ridge pulling towards w. It returns W_ls, the covariance of x, and the two means.
func regressed(t *testing.T, x, y [][]float64, w *linalg.Matrix, ridge float64, centred bool) (ls, cov *linalg.Matrix, mx, my []float64) {
	t.Helper()
	k, o := w.Cols, w.Rows
	mx, my = make([]float64, k), make([]float64, o)
	if centred {
		for i := range x {
			accumulate(mx, x[i])
			accumulate(my, y[i])
		}
		for i := range mx {
			mx[i] /= float64(len(x))
		}
		for i := range my {
			my[i] /= float64(len(x))
		}
	}
	cov = linalg.New(k, k)
	cross := linalg.New(k, o)
	for n := range x {
		for i := range k {
			a := (x[n][i] - mx[i]) / float64(len(x))
			for j := range k {
				cov.Data[i*k+j] += a * (x[n][j] - mx[j])
			}
			for j := range o {
				cross.Data[i*o+j] += a * (y[n][j] - my[j])
			}
		}
	}
	if math.IsInf(ridge, 1) {
		return w.Clone(), cov, mx, my
	}
	trace := 0.
	for i := range k {
		trace += cov.At(i, i)
	}
	lambda := ridge * trace / float64(k)
	lifted := cov.Clone()
	for i := range k {
		lifted.Data[i*k+i] += lambda
		for j := range o {
			cross.Data[i*o+j] += lambda * w.At(j, i)
		}
	}
	solved, err := linalg.Gonum().SolveSPD(lifted, cross)
	if err != nil {
		t.Fatal(err)
	}
	return solved.T(), cov, mx, my
}

// regressedNarrow is regressed, of a site that keeps some of its input channels on these alone, towards its fold.
func regressedNarrow(t *testing.T, c *Choice, x, y [][]float64, w *linalg.Matrix, ridge float64, centred bool) (ls, cov *linalg.Matrix, mx, my []float64) {
	t.Helper()
	if c.Narrow == nil {
		return regressed(t, x, y, w, ridge, centred)
	}
	columns := c.Narrow.Fold.Columns(0, c.Narrow.In)
	part := make([][]float64, len(x))
	for n := range x {
		for _, k := range columns {
			part[n] = append(part[n], x[n][k])
		}
	}
	factor := &linalg.Matrix{Rows: w.Rows, Cols: w.Cols, Data: c.Narrow.Fold.Weights}
	small, cov, means, my := regressed(t, part, y, factor.Some(nil, columns), ridge, centred)
	ls, mx = linalg.New(w.Rows, w.Cols), make([]float64, w.Cols)
	for i, k := range columns {
		mx[k] = means[i]
		for o := range w.Rows {
			ls.Set(o, k, small.At(o, i))
		}
	}
	return ls, cov, mx, my
}

// checkClosed holds an outcome against the regression written out: targets are what the original computes at the
// site less its bias, plus, with a shortcut, what the compressed operand lacks divided by scale.
func checkClosed(t *testing.T, lib *ort.Library, m *onnxio.Model, choices []Choice, r *Result, at int, operand string, scale []float64, src memory) {
	t.Helper()
	s, got := &choices[at].Site, r.Sites[at]
	if !got.Kept {
		t.Fatalf("the refit was not kept: %+v", got)
	}
	// The compressed model with everything before the site refitted and nothing behind.
	chains := make([]decomp.Chain, len(choices))
	copy(chains, after(r)[:at])
	small := compress(t, m, choices, chains)
	names := []string{s.Input, s.Output}
	if operand != "" {
		names = append(names, operand)
	}
	z, now := sitetest.Watch(t, lib, m, src, names...), sitetest.Watch(t, lib, small, src, names...)
	kernel, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	groups, rows, cols := kernel.Groups, kernel.Rows(), kernel.Cols()
	x, y, plain := make([][][]float64, groups), make([][][]float64, groups), make([][][]float64, groups)
	for i := range z {
		cx, cy := columnsOf(s, now[i][0]), outputsOf(s, z[i][1])
		py := outputsOf(s, now[i][1])
		if got.Shortcut {
			a, b := outputsOf(s, z[i][2]), outputsOf(s, now[i][2])
			for g := range a {
				for n := range a[g] {
					for o := range a[g][n] {
						d := a[g][n][o] - b[g][n][o]
						if scale != nil {
							d /= scale[g*rows+o]
						}
						cy[g][n][o] += d
					}
				}
			}
		}
		for g := range groups {
			x[g], y[g], plain[g] = append(x[g], cx[g]...), append(y[g], cy[g]...), append(plain[g], py[g]...)
		}
	}
	last := got.Chain[len(got.Chain)-1]
	wanted := decomp.Kernel{Shape: kernel.Shape}
	metric := decomp.Metric{Out: choices[at].felt()}
	var mx, my [][]float64
	for g := range groups {
		w := &linalg.Matrix{Rows: rows, Cols: cols, Data: kernel.Weights[g*rows*cols : (g+1)*rows*cols]}
		for n := range y[g] { // less the bias: what the product is short of
			for o := range rows {
				y[g][n][o] -= plain[g][n][o] - dot(w.Row(o), x[g][n])
			}
		}
		ls, cov, a, b := regressedNarrow(t, &choices[at], x[g], y[g], w, got.Ridge, last.Shift != nil)
		wanted.Weights = append(wanted.Weights, ls.Data...)
		metric.In = append(metric.In, cov)
		mx, my = append(mx, a), append(my, b)
	}
	want := wanted
	if c := &choices[at]; !c.single() {
		whole, chain := wanted.Shape, c.Chain
		if n := c.Narrow; n != nil {
			wanted, chain = wanted.Some(n.In).SomeRows(n.Out), chain.Some(n.In, n.Out)
			if metric.Out != nil {
				metric.Out = []*linalg.Matrix{metric.Out[0].Some(n.Out, n.Out)}
			}
		}
		chain, err := c.Method.Refit(linalg.Gonum(), wanted, metric, chain)
		if err != nil {
			t.Fatal(err)
		}
		if n := c.Narrow; n != nil {
			chain = chain.Among(whole, n.In, n.Out)
		}
		if want, err = chain.Compose(linalg.Gonum(), kernel.Shape); err != nil {
			t.Fatal(err)
		}
	}
	have, err := got.Chain.Compose(linalg.Gonum(), kernel.Shape)
	if err != nil {
		t.Fatal(err)
	}
	if d := sitetest.Apart(have.Weights, want.Weights); !(d <= 2e-3) {
		t.Errorf("the weights differ from the regression's by %.2g of the largest", d)
	}
	if last.Shift == nil {
		return
	}
	var shift []float64
	for g := range groups {
		for o := range rows {
			shift = append(shift, my[g][o]-dot(want.Weights[(g*rows+o)*cols:(g*rows+o+1)*cols], mx[g]))
		}
	}
	if d := sitetest.Apart(last.Shift, shift); !(d <= 5e-3) && !(maxAbs(shift) < 1e-3) {
		t.Errorf("the shift is %v, that of the regression %v", last.Shift, shift)
	}
}

func maxAbs(v []float64) float64 {
	worst := 0.
	for _, x := range v {
		worst = max(worst, math.Abs(x))
	}
	return worst
}

// closedCase is a model whose second site is to be checked, behind a first one that is compressed.
type closedCase struct {
	name  string
	shape []int // of a sample
	build func(b *testmodels.Builder, x string) string
	shift bool // whether the site can take one
}

func closedCases() []closedCase {
	image := []int{4, 7, 6}
	first := func(b *testmodels.Builder, x string) string {
		return b.Node("Relu", []string{b.Conv(x, 4, 6, []int{1, 1})})
	}
	rows := func(b *testmodels.Builder, x string) string { return b.Node("Relu", []string{b.Linear(x, 8, 6, true)}) }
	turned := func(b *testmodels.Builder, x string) string {
		return b.Node("Transpose", []string{rows(b, x)}, graph.Ints("perm", 1, 0))
	}
	gemm := func(b *testmodels.Builder, x string, left bool, c []int, attributes ...string) string {
		inputs := []string{x}
		if left {
			inputs = []string{b.Weight("gemm_weight", 6, 5, 6), x}
		} else {
			inputs = append(inputs, b.Weight("gemm_weight", 6, 6, 5))
		}
		if c != nil {
			inputs = append(inputs, b.Random("gemm_bias", -1, 1, c...))
		}
		return b.Node("Gemm", inputs, graph.Float("alpha", 0.5),
			graph.Int("transA", flag(attributes, "transA")), graph.Int("transB", flag(attributes, "transB")))
	}
	return []closedCase{
		{"conv", image, func(b *testmodels.Builder, x string) string {
			return b.Conv(first(b, x), 6, 5, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))
		}, true},
		{"conv without bias", image, func(b *testmodels.Builder, x string) string {
			return b.ConvBias(first(b, x), 6, 5, []int{3, 3}, "")
		}, false},
		{"conv, normalization", image, func(b *testmodels.Builder, x string) string {
			return b.BatchNorm(b.ConvBias(first(b, x), 6, 5, []int{3, 3}, ""), 5)
		}, true},
		{"grouped strided conv", image, func(b *testmodels.Builder, x string) string {
			return b.Conv(first(b, x), 6, 8, []int{3, 2}, graph.Int("group", 2), graph.Ints("strides", 2, 1), graph.Ints("pads", 0, 1, 2, 0))
		}, true},
		{"conv, same", image, func(b *testmodels.Builder, x string) string {
			return b.Conv(first(b, x), 6, 5, []int{2, 3}, graph.String("auto_pad", "SAME_LOWER"))
		}, true},
		{"dilated conv", image, func(b *testmodels.Builder, x string) string {
			return b.Conv(first(b, x), 6, 5, []int{2, 3}, graph.Ints("dilations", 3, 1))
		}, true},
		{"pointwise conv", image, func(b *testmodels.Builder, x string) string { return b.Conv(first(b, x), 6, 5, []int{1, 1}) }, true},
		{"transposed conv", image, func(b *testmodels.Builder, x string) string {
			return b.ConvTranspose(first(b, x), 6, 5, []int{4, 3}, graph.Ints("strides", 2, 2), graph.Ints("pads", 1, 1, 1, 0))
		}, true},
		{"grouped transposed conv", image, func(b *testmodels.Builder, x string) string {
			return b.ConvTranspose(first(b, x), 6, 8, []int{3, 2}, graph.Int("group", 2), graph.Ints("strides", 3, 1),
				graph.Ints("output_padding", 2, 0), graph.Ints("dilations", 2, 2))
		}, true},
		{"transposed conv, same", image, func(b *testmodels.Builder, x string) string {
			return b.BatchNorm(b.ConvTranspose(first(b, x), 6, 5, []int{4, 2}, graph.Ints("strides", 2, 3), graph.String("auto_pad", "SAME_UPPER")), 5)
		}, true},
		{"matmul", []int{3, 8}, func(b *testmodels.Builder, x string) string { return b.Linear(rows(b, x), 6, 5, false) }, false},
		{"matmul, addition", []int{3, 8}, func(b *testmodels.Builder, x string) string { return b.Linear(rows(b, x), 6, 5, true) }, true},
		{"stack of matmuls", []int{2, 3, 8}, func(b *testmodels.Builder, x string) string {
			return b.Node("MatMul", []string{rows(b, x), b.Weight("stack", 6, 2, 6, 5)})
		}, false},
		{"left stack of matmuls", []int{2, 3, 8}, func(b *testmodels.Builder, x string) string {
			x = b.Node("Transpose", []string{rows(b, x)}, graph.Ints("perm", 0, 1, 3, 2))
			return b.Node("MatMul", []string{b.Weight("stack", 6, 2, 5, 6), x})
		}, false},
		{"left matmul", []int{3, 8}, func(b *testmodels.Builder, x string) string {
			x = b.Node("Transpose", []string{rows(b, x)}, graph.Ints("perm", 0, 2, 1))
			return b.Node("MatMul", []string{b.Weight("left", 6, 5, 6), x})
		}, false},
		{"gemm", []int{8}, func(b *testmodels.Builder, x string) string { return gemm(b, rows(b, x), false, []int{5}) }, true},
		{"gemm, transA", []int{8}, func(b *testmodels.Builder, x string) string {
			return gemm(b, turned(b, x), false, []int{1, 5}, "transA")
		}, true},
		{"left gemm", []int{8}, func(b *testmodels.Builder, x string) string { return gemm(b, turned(b, x), true, []int{5, 1}) }, true},
		{"left gemm, transB", []int{8}, func(b *testmodels.Builder, x string) string {
			return gemm(b, rows(b, x), true, []int{5, 1}, "transB")
		}, true},
		{"gemm without C", []int{8}, func(b *testmodels.Builder, x string) string { return gemm(b, rows(b, x), false, nil) }, false},
	}
}

func flag(list []string, name string) int {
	if slices.Contains(list, name) {
		return 1
	}
	return 0
}

func (c closedCase) model(t *testing.T) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(5, 17, 8)
	dims := []any{"N"}
	for _, n := range c.shape {
		dims = append(dims, n)
	}
	y := c.build(b, b.Input("x", tensor.Float32, dims...))
	for i := range dims {
		dims[i] = nil
	}
	b.Output(y, tensor.Float32, dims...)
	return testkit.Built(t, b)
}

// A refit is the reduced-rank regression of what the original computes on what the compressed model feeds the site.
func TestRefitIsTheRegression(t *testing.T) {
	lib := orttest.Open(t)
	for _, c := range closedCases() {
		t.Run(c.name, func(t *testing.T) {
			m := c.model(t)
			src := sitetest.Draws(80, "x", 0.4, c.shape...)
			sites := sitetest.Sites(t, m, src[0])
			if len(sites) != 2 {
				t.Fatalf("%d sites, want 2", len(sites))
			}
			for _, rank := range []int{0, 2} {
				choices := choose(t, sites, 2, rank)
				r := refit(t, lib, m, choices, src, Options{})
				if !r.Sites[1].Kept {
					t.Fatalf("rank %d: the refit was not kept: %+v", rank, r.Sites[1])
				}
				if got := r.Sites[1].Chain[len(r.Sites[1].Chain)-1].Shift != nil; got != c.shift {
					t.Errorf("rank %d: shifted: %t, want %t", rank, got, c.shift)
				}
				checkClosed(t, lib, m, choices, r, 1, "", nil, src)
				if !(r.Sites[1].After < r.Sites[1].Before) {
					t.Errorf("rank %d: error %g on held-out samples, %g before", rank, r.Sites[1].After, r.Sites[1].Before)
				}
			}
		})
	}
}

// narrowed is a choice of every other input channel, with the weights that the site has there, halved; factored by a method where that
// is given, all output channels but the first.
func narrowed(t *testing.T, s rewrite.Site, method string) Choice {
	t.Helper()
	k, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	n := &Narrow{Out: testkit.Count(k.Out)}
	taps := k.Cols() / k.In
	for i := range k.Weights {
		if channel := i / taps % k.In; channel%2 == 0 {
			k.Weights[i] /= 2
		} else {
			k.Weights[i] = 0
		}
	}
	for channel := 0; channel < k.In; channel += 2 {
		n.In = append(n.In, channel)
	}
	n.Fold = k
	c := Choice{Site: s, Narrow: n, Chain: decomp.Chain{{Part: "fold", Kernel: k, Axes: slices.Repeat([]bool{true}, len(k.Window))}}}
	if method == "" {
		return c
	}
	n.Out = n.Out[1:]
	c.Stays = n.Out
	i := slices.IndexFunc(decomp.Methods(), func(m decomp.Method) bool { return m.Name == method })
	c.Method = decomp.Methods()[i]
	made, err := c.Method.Factor(linalg.Gonum(), k.Some(n.In).SomeRows(n.Out), decomp.Metric{})
	if err != nil {
		t.Fatal(err)
	}
	small, err := made.Chain(decomp.Rank{1})
	if err != nil {
		t.Fatal(err)
	}
	c.Chain = small.Among(k.Shape, n.In, n.Out)
	return c
}

// Of a site that is narrower the refit is the regression on the input channels that stay, split into factors where it has some, and
// the others stay without weights.
func TestRefitOfNarrowSites(t *testing.T) {
	lib := orttest.Open(t)
	tried := 0
	for _, c := range closedCases() {
		for _, method := range []string{"", "svd"} {
			t.Run(c.name+" "+method, func(t *testing.T) {
				m := c.model(t)
				src := sitetest.Draws(80, "x", 0.4, c.shape...)
				sites := sitetest.Sites(t, m, src[0])
				if sites[1].Kernel.Groups > 1 || sites[1].View.Kind == rewrite.TableRows {
					return
				}
				tried++
				choices := choose(t, sites, 2, 0)
				choices[1] = narrowed(t, sites[1], method)
				r := refit(t, lib, m, choices, src, Options{})
				checkClosed(t, lib, m, choices, r, 1, "", nil, src)
				chain := r.Sites[1].Chain
				first, last := chain[0].Kernel, chain[len(chain)-1].Kernel
				for i, v := range first.Weights {
					if channel := i / (first.Cols() / first.In) % first.In; channel%2 == 1 && v != 0 {
						t.Fatalf("input channel %d, which goes, has the weight %g", channel, v)
					}
				}
				for i, v := range last.Weights[:last.Cols()] {
					if method != "" && v != 0 {
						t.Fatalf("weight %d of the output channel that goes is %g", i, v)
					}
				}
			})
		}
	}
	if tried < 6 {
		t.Errorf("%d cases were tried", tried)
	}
	m, src := testkit.Zoo(t, "cnn"), sitetest.Draws(40, "image", 0, 3, 16, 16)
	choices := choose(t, sitetest.Sites(t, m, src[0]))
	choices[0].Narrow = &Narrow{In: []int{0}}
	_, err := Run(t.Context(), lib, m, choices, src, testkit.Count(len(src)), Options{})
	testkit.WantError(t, err, "is narrower as")
}

// What lies far from zero, inputs and errors alike, loses no digits: the regression about the means is the same.
func TestRefitFarFromZero(t *testing.T) {
	lib := orttest.Open(t)
	for _, c := range closedCases() {
		if !slices.Contains([]string{"conv", "conv, normalization", "conv, same", "dilated conv", "transposed conv", "transposed conv, same"}, c.name) {
			continue // the first site leaves channels that are always 0, or nothing to win
		}
		t.Run(c.name, func(t *testing.T) {
			m := c.model(t)
			src := sitetest.Draws(80, "x", 400, c.shape...)
			choices := choose(t, sitetest.Sites(t, m, src[0]), 2, 0)
			checkClosed(t, lib, m, choices, refit(t, lib, m, choices, src, Options{}), 1, "", nil, src)
		})
	}
}

// Grow gives a bias to nodes that had none.
func TestGrow(t *testing.T) {
	lib := orttest.Open(t)
	for _, name := range []string{"conv without bias", "gemm without C"} {
		c := closedCases()[slices.IndexFunc(closedCases(), func(c closedCase) bool { return c.name == name })]
		m := c.model(t)
		src := sitetest.Draws(80, "x", 0.4, c.shape...)
		choices := choose(t, sitetest.Sites(t, m, src[0]), 2, 2)
		r := refit(t, lib, m, choices, src, Options{Grow: true})
		if r.Sites[1].Chain[1].Shift == nil {
			t.Errorf("%s: no shift", name)
		}
		checkClosed(t, lib, m, choices, r, 1, "", nil, src)
	}
}

// Of a chain that no method refits, the bias is.
func TestMethodWithoutRefit(t *testing.T) {
	lib := orttest.Open(t)
	c := closedCases()[0]
	m := c.model(t)
	src := sitetest.Draws(80, "x", 0.4, c.shape...)
	choices := choose(t, sitetest.Sites(t, m, src[0]), 2, 2)
	for i := range choices {
		choices[i].Method = decomp.Method{}
	}
	r := refit(t, lib, m, choices, src, Options{})
	for i, s := range r.Sites {
		plain := slices.Clone(s.Chain)
		plain[1].Shift = nil
		if !s.Kept || s.Chain[1].Shift == nil || !equal(plain, choices[i].Chain) {
			t.Errorf("more or less than the bias was fitted: %+v", s)
		}
	}
}
