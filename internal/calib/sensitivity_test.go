package calib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// sensitivities collects over all samples of a source.
func sensitivities(t *testing.T, m *onnxio.Model, src memory, o Options) []Stats {
	t.Helper()
	stats, err := Collect(context.Background(), orttest.Open(t), m, sitetest.Sites(t, m, src[0]), src, testkit.Count(len(src)), o)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// matrix returns an initializer of two axes.
func matrix(t *testing.T, m *onnxio.Model, name string) *linalg.Matrix {
	t.Helper()
	v, shape := testkit.Numbers(t, m, name)
	return &linalg.Matrix{Rows: shape[0], Cols: shape[1], Data: v}
}

// centring is the projection that takes the mean off c numbers.
func centring(c int) *linalg.Matrix {
	p := linalg.Identity(c)
	for i := range p.Data {
		p.Data[i] -= 1 / float64(c)
	}
	return p
}

func trace(m *linalg.Matrix) float64 {
	sum := 0.
	for i := range m.Rows {
		sum += m.At(i, i)
	}
	return sum
}

// chain is x [N,6] → first [5] → op → second [out]: two matrix products, and a node between.
func chain(t *testing.T, batch any, out int, op func(b *testmodels.Builder, x string) string) *onnxio.Model {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, batch, 6)
	x = b.Node("MatMul", []string{x, b.Weight("first", 6, 6, 12)})
	if op != nil {
		x = op(b, x)
	}
	b.Node("MatMul", []string{x, b.Weight("second", 12, 12, out)})
	b.Output(b.Rename("y"), tensor.Float32, batch, out)
	return testkit.Built(t, b)
}

// In y = x F S the sensitivity of x F is v Sᵀ, and that of y is v itself. The directions
// are drawn again here, sample by sample.
func TestSensitivityOfProducts(t *testing.T) {
	m := chain(t, "N", 4, nil)
	src := random(7, "x", tensor.Float32, 6)
	const probes = 3
	stats := sensitivities(t, m, src, Options{Batch: 3, Probes: probes, Seed: 5})
	s := matrix(t, m, "second")
	var first, last parts
	b := linalg.Gonum()
	for i := range src {
		for p := range probes {
			v := make([]float32, 4)
			stream{5, uint64(i), uint64(p), 0}.normal(v, 1)
			center(v, 4)
			product := linalg.New(4, 4)
			for k := range product.Data {
				product.Data[k] = float64(v[k/4]) * float64(v[k%4])
			}
			last.add(product, 1)
			first.add(b.Mul(false, true, 1, b.Mul(false, false, 1, s, product), s), 1)
		}
	}
	for i, want := range []*linalg.Matrix{first.shrunk(), last.shrunk()} {
		if d := worst(stats[i].G[0], want); !(d <= 1e-6) {
			t.Errorf("%s: G differs by %.2g of its largest entry", stats[i].Site, d)
		}
		if stats[i].Note != "" {
			t.Errorf("%s: note %q where gradients exist", stats[i].Site, stats[i].Note)
		}
	}
}

// parts are sums of second moments over the positions of single samples.
type parts struct {
	sums []*linalg.Matrix
	n    []float64
}

func (p *parts) add(m *linalg.Matrix, n int) {
	p.sums, p.n = append(p.sums, m), append(p.n, float64(n))
}

// mean is that over all positions.
func (p *parts) mean() *linalg.Matrix {
	out, all := linalg.New(p.sums[0].Rows, p.sums[0].Cols), 0.
	for b, s := range p.sums {
		all += p.n[b]
		for i, v := range s.Data {
			out.Data[i] += v
		}
	}
	for i := range out.Data {
		out.Data[i] /= all
	}
	return out
}

// shrunk is the mean with the share off the diagonal taken away that the definition of the
// shrinkage says, entry by entry.
func (p *parts) shrunk() *linalg.Matrix {
	m := p.mean()
	all, q, variance, norm := 0., 0., 0., 0.
	for _, n := range p.n {
		all, q = all+n, q+n*n
	}
	for i := range m.Rows {
		for j := range m.Cols {
			if i == j {
				continue
			}
			squares := 0.
			for _, s := range p.sums {
				squares += s.At(i, j) * s.At(i, j)
			}
			variance += (squares - q*m.At(i, j)*m.At(i, j)) / (all*all - q)
			norm += m.At(i, j) * m.At(i, j)
		}
	}
	for i := range m.Rows {
		for j := range m.Cols {
			if i != j {
				m.Set(i, j, m.At(i, j)*(1-min(max(variance/norm, 0), 1)))
			}
		}
	}
	return m
}

// Where a site gives the model's output, its sensitivity is the direction: this checks
// every way of cutting an output into columns.
func TestSensitivityOfOutputs(t *testing.T) {
	for _, l := range linears() {
		t.Run(l.name, func(t *testing.T) {
			m := testkit.Built(t, l.build())
			src := random(7, "x", l.typ, l.shape...)
			st := sensitivities(t, m, src, Options{Batch: 3, Probes: 1})[0]
			site := sitetest.Sites(t, m, src[0])[0]
			rows := site.Kernel.Rows()
			want := make([]parts, site.Kernel.Groups)
			channels, inner, outer := site.Kernel.Out, 1, 1
			for i, n := range st.OutputShape {
				if i >= l.axis {
					inner *= n
				} else if i < l.axis-1 {
					outer *= n
				}
			}
			if len(st.OutputShape) != len(l.shape) {
				// A transposed input hides the batch: the output is [N, channels] all the same.
				inner, outer = 1, 1
			}
			for i := range src {
				v := make([]float32, outer*channels*inner)
				stream{0, uint64(i), 0, 0}.normal(v, 1)
				if len(l.shape) == 1 {
					center(v, channels)
				}
				if l.typ == tensor.Float16 {
					d, err := encode(l.typ, []int{len(v)}, v)
					if err != nil {
						t.Fatal(err)
					}
					v = d.Float32s()
				}
				// Rows of a matrix make one part a sample, planes one each.
				planes, each := outer, inner
				if inner == 1 {
					planes, each = 1, outer
				}
				for plane := range planes {
					for g := range want {
						w := linalg.New(rows, rows)
						for p := plane * each; p < (plane+1)*each; p++ {
							at := func(c int) float64 { return float64(v[(p/inner*channels+c)*inner+p%inner]) }
							for k := range w.Data {
								w.Data[k] += at(g*rows+k/rows) * at(g*rows+k%rows)
							}
						}
						want[g].add(w, each)
					}
				}
			}
			for g := range want {
				if d := worst(st.G[g], want[g].shrunk()); !(d <= 3e-6) {
					t.Errorf("group %d: G differs by %.2g of its largest entry", g, d)
				}
			}
			if got, want := st.PositionsPerSample(), float64(outer*inner); got != want {
				t.Errorf("%v positions per sample, want %v", got, want)
			}
		})
	}
}

// The directions have the covariance that the estimate rests on, in every stream.
func TestDirections(t *testing.T) {
	const c, n = 5, 4000
	for name, at := range map[string]func(k uint64) stream{
		"seeds":   func(k uint64) stream { return stream{seed: k} },
		"samples": func(k uint64) stream { return stream{sample: k} },
		"probes":  func(k uint64) stream { return stream{probe: k} },
		"tensors": func(k uint64) stream { return stream{tensor: k} },
	} {
		got, next := linalg.New(c, c), linalg.New(c, c)
		before := make([]float32, c)
		for k := range uint64(n) {
			v := make([]float32, c)
			at(k).normal(v, 2)
			center(v, c)
			for i := range got.Data {
				got.Data[i] += float64(v[i/c]) * float64(v[i%c]) / (4 * n)
				next.Data[i] += float64(v[i/c]) * float64(before[i%c]) / (4 * n)
			}
			before = v
		}
		// The entries deviate by about 1/√n.
		if d := worst(got, centring(c)) * 0.8; d > 5/math.Sqrt(n) {
			t.Errorf("%s: the covariance differs by %.2g from a centring", name, d)
		}
		if d := next.MaxAbs(); d > 5/math.Sqrt(n) {
			t.Errorf("%s: neighbours have a covariance of %.2g", name, d)
		}
	}
	for _, shape := range []struct {
		shape []int
		want  int
	}{{[]int{3, 10}, 10}, {[]int{3, 10, 1, 1}, 10}, {[]int{3, 1}, 0}, {[]int{10}, 0}, {nil, 0}, {[]int{3, 10, 4}, 0}, {[]int{3, 1, 1}, 0}, {[]int{0, 2}, 2}} {
		if got := outputs.Classes(shape.shape); got != shape.want {
			t.Errorf("an output %v has %d classes, want %d", shape.shape, got, shape.want)
		}
	}
}

// J = T·tr(G ΔW A ΔWᵀ) is the squared change of the model's output. For one product behind
// another it is so exactly, but for the chance in G.
func TestLossIsOutputChange(t *testing.T) {
	m := chain(t, "N", 4, nil)
	src := random(300, "x", tensor.Float32, 6)
	st := sensitivities(t, m, src, Options{Probes: 12})[0]
	delta := linalg.New(12, 6)
	for i := range delta.Data {
		delta.Data[i] = math.Sin(float64(i)) // whatever
	}
	b := linalg.Gonum()
	loss := st.PositionsPerSample() * trace(b.Mul(false, false, 1, st.G[0], b.Mul(false, true, 1, b.Mul(false, false, 1, delta, st.A[0]), delta)))
	change := 0.
	p := b.Mul(false, true, 1, centring(4), matrix(t, m, "second")) // [4,12]
	for _, s := range src {
		x, err := s.Inputs["x"].Float64s()
		if err != nil {
			t.Fatal(err)
		}
		f := b.Mul(false, false, 1, p, b.Mul(false, false, 1, delta, &linalg.Matrix{Rows: 6, Cols: 1, Data: x}))
		for _, v := range f.Data {
			change += v * v / float64(len(src))
		}
	}
	if r := loss / change; math.Abs(r-1) > 0.08 {
		t.Errorf("the loss is %g, the change of the output %g", loss, change)
	}
}

// sourceFor draws samples for a model of the zoo.
func sourceFor(t *testing.T, m *onnxio.Model, n int) memory {
	t.Helper()
	var src memory
	for i := range n {
		feeds, err := testmodels.Feeds(m, uint64(i), map[string]int{"N": 1}, 16)
		if err != nil {
			t.Fatal(err)
		}
		src = append(src, samples.Sample{Name: fmt.Sprint("sample ", i), Label: -1, Inputs: feeds, Whole: true})
	}
	return src
}

func TestSensitivityOverZoo(t *testing.T) {
	lib := orttest.Open(t)
	for _, c := range testmodels.All() {
		if !c.Runs {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			m, err := c.Build(3)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			src := sourceFor(t, m, 3)
			sites := sitetest.Sites(t, m, src[0])
			stats, err := Collect(context.Background(), lib, m, sites, src, testkit.Count(3), Options{Probes: 1})
			if err != nil {
				t.Fatal(err)
			}
			for i, st := range stats {
				if len(st.G) != sites[i].Kernel.Groups {
					t.Fatalf("%s: %d groups, want %d (%s)", st.Site, len(st.G), sites[i].Kernel.Groups, st.Note)
				}
				for _, g := range st.G {
					if g.Rows != sites[i].Kernel.Rows() || g.Check() != nil {
						t.Errorf("%s: sensitivities of order %d, want %d finite ones", st.Site, g.Rows, sites[i].Kernel.Rows())
					}
				}
				if st.Note != "" && !strings.Contains(st.Note, "perturbing") {
					t.Errorf("%s: note %q", st.Site, st.Note)
				}
			}
		})
	}
}

func sameBits(a, b []*linalg.Matrix) bool {
	return slices.EqualFunc(a, b, func(a, b *linalg.Matrix) bool { return slices.Equal(a.Data, b.Data) })
}

func TestThreadsDoNotMatterForSensitivity(t *testing.T) {
	m := zooModel(t, "cnn")
	src := random(23, "image", tensor.Float32, 3, 16, 16)
	var first []Stats
	for _, threads := range []int{1, 2, 9} {
		stats := sensitivities(t, m, src, Options{Batch: 4, Threads: threads, Probes: 2, Seed: 9})
		if first == nil {
			first = stats
		}
		for i := range stats {
			if !sameBits(stats[i].G, first[i].G) || !sameBits(stats[i].A, first[i].A) {
				t.Errorf("%d threads: the moments of %s are other bytes than with one", threads, stats[i].Site)
			}
		}
	}
	for i, st := range sensitivities(t, m, src, Options{Batch: 7, Probes: 2, Seed: 9}) {
		if d := worst(st.G[0], first[i].G[0]); d > 1e-5 {
			t.Errorf("%s: another batch moves G by %.2g", st.Site, d)
		}
	}
	if other := sensitivities(t, m, src, Options{Batch: 4, Probes: 2, Seed: 10}); sameBits(other[0].G, first[0].G) {
		t.Error("another seed gives the same sensitivities")
	}
	if none := sensitivities(t, m, src, Options{Batch: 4}); none[0].G != nil || none[0].Note != "" {
		t.Errorf("without probes: %d groups of sensitivities, note %q", len(none[0].G), none[0].Note)
	}
}

func TestOutputWeights(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 6)
	h := b.Node("MatMul", []string{x, b.Weight("w", 6, 6, 12)})
	for _, name := range []string{"p", "q"} {
		b.Node("MatMul", []string{h, b.Weight("w"+name, 12, 12, 5)})
		b.Output(b.Rename(name), tensor.Float32, "N", 5)
	}
	m := testkit.Built(t, b)
	src := random(9, "x", tensor.Float32, 6)
	collect := func(p, q float64) *linalg.Matrix {
		return sensitivities(t, m, src, Options{Probes: 1, Weights: map[string]float64{"p": p, "q": q}})[0].G[0]
	}
	both, p, q, twice := collect(1, 1), collect(1, 0), collect(0, 1), collect(4, 4)
	four := both.Clone()
	for i := range four.Data {
		four.Data[i] *= 4
	}
	if d := worst(twice, four); d > 1e-6 {
		t.Errorf("four times the weight is not four times G, by %.2g", d)
	}
	if worst(p, q) < 0.1 || worst(both, p) < 0.1 {
		t.Error("the outputs share their directions")
	}
	for _, c := range []struct {
		weights map[string]float64
		words   []string
	}{
		{map[string]float64{"r": 1}, []string{`"r"`, "does not have"}},
		{map[string]float64{"p": -1}, []string{`"p"`, "-1"}},
		{map[string]float64{"p": math.NaN()}, []string{`"p"`, "NaN"}},
		{map[string]float64{"p": 0, "q": 0}, []string{"all outputs", "weight 0"}},
	} {
		_, err := Collect(context.Background(), orttest.Open(t), m, sitetest.Sites(t, m, src[0]), src, testkit.Count(9), Options{Probes: 1, Weights: c.weights})
		testkit.WantError(t, err, c.words...)
	}
}

func TestGroupsCountSensitivities(t *testing.T) {
	m := zooModel(t, "cnn")
	site := sitetest.Sites(t, m, random(1, "image", tensor.Float32, 3, 16, 16)[0])[0]
	site.Kernel.Out = 4096 // G takes 128 MiB
	const g, fixed = 128 << 20, 8 << 20
	a := InputBytes(&site, 0) // and as much for the other half of the samples
	sites := []rewrite.Site{site, site, site}
	_, err := Groups(sites, Options{Memory: 2*g + a + fixed - 1, Probes: 1})
	var large *TooLargeError
	if !errors.As(err, &large) || large.Needed != 2*g+a+fixed {
		t.Errorf("%v, want that a site needs %d bytes", err, 2*g+a+fixed)
	}
	for _, c := range []struct {
		probes int
		memory int64
		want   [][]int
	}{
		{0, 2*g + a + fixed, [][]int{{0, 1, 2}}},
		{1, 2*g + a + fixed, [][]int{{0}, {1}, {2}}},
		{1, 2 * (2*g + a), [][]int{{0, 1}, {2}}}, // they read the same columns
		{1, 2 * (3*g + a), [][]int{{0, 1, 2}}},
	} {
		groups, err := Groups(sites, Options{Memory: c.memory, Probes: c.probes})
		if err != nil || fmt.Sprint(groups) != fmt.Sprint(c.want) {
			t.Errorf("%d probes in %d bytes: groups %v (%v), want %v", c.probes, c.memory, groups, err, c.want)
		}
	}
}

func TestCancelSensitivity(t *testing.T) {
	lib, m := orttest.Open(t), zooModel(t, "cnn")
	src := random(24, "image", tensor.Float32, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	for after := 1; after < 20; after += 6 {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := Collect(ctx, lib, m, sites, src, testkit.Count(24), Options{Batch: 1, Threads: 3, Probes: 1, Progress: func(_ string, done, _ int) {
			if done >= after {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d samples: %v", after, err)
		}
		cancel()
	}
}

// A model keeps its bytes.
func TestSensitivityLeavesModelAlone(t *testing.T) {
	m := zooModel(t, "cnn")
	before, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	sensitivities(t, m, random(2, "image", tensor.Float32, 3, 16, 16), Options{Probes: 1})
	if after, err := m.Marshal(); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the original has changed (%v)", err)
	}
}
