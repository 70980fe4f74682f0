package costs

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// conv is a convolution of a site with a padded 3×3 or 1×1 window.
func conv(out, in, k, side int) Piece {
	return Piece{Op: "Conv", Type: "float32", Out: out, In: in, Window: []int{k, k}, Groups: 1, Reads: []int{1, in, side, side}, Writes: []int{1, out, side, side}}
}

// machine is what pieces take, with noise, where blocks have 16 channels.
func machine(random *rand.Rand, noise float64, pieces ...Piece) []Point {
	var out []Point
	for _, p := range pieces {
		us := 20*p.Work(16)*1e-6 + 30*p.Bytes()*1e-6 + 4
		out = append(out, Point{p, us * (1 + noise*(2*random.Float64()-1))})
	}
	return out
}

func some() (out []Piece) {
	for _, r := range []int{16, 17, 32, 48, 64, 96} {
		for _, side := range []int{8, 16, 31} {
			out = append(out, conv(r, 64, 3, side), conv(64, r, 1, side))
		}
	}
	return out
}

func table(t *testing.T, noise float64) *Table {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	out, err := New(Machine{"CPU", "1.32.0", "cpu", 1, 1}, 2, []Model{{SHA256: "abc", Micros: 1000, Int8: Static}}, machine(random, noise, some()...))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestExact: what was measured is answered as it was, and without noise so is what lies between.
func TestExact(t *testing.T) {
	for _, noise := range []float64{0, 0.2} {
		tab := table(t, noise)
		for _, p := range tab.Points {
			if us, err := tab.Node(p.Piece); err != nil || us != p.Micros || !tab.Measured(p.Piece) {
				t.Errorf("%s: %g, %v; want %g", p.Piece, us, err, p.Micros)
			}
		}
		between := conv(80, 64, 3, 12)
		want := machine(rand.New(rand.NewPCG(3, 4)), 0, between)[0].Micros
		if us, err := tab.Node(between); err != nil || math.Abs(us/want-1) > noise/2+1e-6 || tab.Measured(between) {
			t.Errorf("%s with noise %g: %g, %v; want %g", between, noise, us, err, want)
		}
		for _, f := range tab.Fits {
			if f.Error > noise+1e-12 || f.Worst < f.Error || f.Points != 18 || noise == 0 && f.Block != 16 {
				t.Errorf("noise %g: %+v", noise, f)
			}
		}
	}
}

// TestMonotone: coefficients are not negative, and fits do not fall with any rank, whatever was measured.
func TestMonotone(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var points []Point
		for _, p := range some()[:2+random.IntN(30)] {
			points = append(points, Point{p, random.ExpFloat64() * 100})
		}
		tab, err := New(Machine{Threads: 1, Batch: 1}, 0, nil, points)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range tab.Fits {
			if f.Work < 0 || f.Moved < 0 || f.Constant < 0 || f.Error < 0 || math.IsNaN(f.Worst) {
				t.Fatalf("%+v", f)
			}
			for r := 1; r < 80; r++ {
				if f.Micros(conv(r, 64, 3, 8)) > f.Micros(conv(r+1, 64, 3, 8)) || f.Micros(conv(64, r, 3, 8)) > f.Micros(conv(64, r+1, 3, 8)) {
					t.Fatalf("%+v falls from rank %d on", f, r)
				}
			}
		}
	}
}

// TestLeastSquares: no other numbers of at least zero, in any direction, fit better.
func TestLeastSquares(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		rows := make([][3]float64, 1+random.IntN(12))
		for i := range rows {
			rows[i] = [3]float64{random.Float64(), random.Float64() * 10, random.NormFloat64()}
		}
		residual := func(v [3]float64) (sum float64) {
			for _, r := range rows {
				d := r[0]*v[0] + r[1]*v[1] + r[2]*v[2] - 1
				sum += d * d
			}
			return sum
		}
		best := nonNegative(rows)
		least := residual(best)
		for range 200 {
			v := best
			for k := range v {
				v[k] = max(0, v[k]+random.NormFloat64()*0.1)
			}
			if residual(v) < least-1e-6 {
				t.Fatalf("%v has %g, %v has %g", best, least, v, residual(v))
			}
		}
	}
}

func TestWork(t *testing.T) {
	for _, c := range []struct {
		p    Piece
		want float64
		kind string
	}{
		{conv(16, 16, 3, 4), 16 * 16 * 9 * 16, "Conv 2D"},
		{conv(17, 16, 3, 4), 32 * 16 * 9 * 16, "Conv 2D"},
		{conv(16, 3, 1, 4), 16 * 3 * 16, "Conv 2D, few inputs"},
		{conv(16, 33, 1, 4), 16 * 48 * 16, "Conv 2D, one tap"},
		{Piece{Op: "Conv", Out: 20, In: 20, Window: []int{3}, Groups: 20, Reads: []int{1, 20, 8}, Writes: []int{1, 20, 8}}, 32 * 3 * 8, "Conv 1D, depthwise, beside blocks"},
		{Piece{Op: "Conv", Out: 64, In: 32, Window: []int{3, 1}, Groups: 2, Reads: []int{2, 32, 2, 2}, Writes: []int{2, 64, 2, 2}}, 2 * 32 * 16 * 3 * 8, "Conv 2D, in groups"},
		{Piece{Op: "ConvTranspose", Out: 16, In: 16, Window: []int{2, 2}, Groups: 1, Reads: []int{1, 16, 2, 2}, Writes: []int{1, 16, 4, 4}}, 16 * 16 * 4 * 4, "ConvTranspose 2D"},
		{Piece{Op: "MatMul", Out: 16, In: 48, Groups: 1, Reads: []int{5, 48}, Writes: []int{5, 16}}, 16 * 48 * 5, "MatMul"},
		{Piece{Op: "Gemm", Out: 10, In: 48, Groups: 1, Reads: []int{1, 48}, Writes: []int{1, 10}}, 16 * 48, "Gemm, one row"},
		{Piece{Op: "Gather", Out: 10, In: 48, Groups: 1, Reads: []int{1, 7}, Writes: []int{1, 7, 10}}, 0, "Gather"},
	} {
		if got := c.p.Work(16); got != c.want || c.p.Kind() != c.kind {
			t.Errorf("%s: %g of kind %q, want %g of %q", c.p, got, c.p.Kind(), c.want, c.kind)
		}
	}
}

// TestMissing: what a table does not know it says.
func TestMissing(t *testing.T) {
	tab := table(t, 0)
	missing := (*MissingError)(nil)
	if _, err := tab.Chain([]Piece{conv(16, 16, 1, 3), {Op: "MatMul", Type: "float32", Out: 4, In: 8, Groups: 1, Reads: []int{2, 8}, Writes: []int{2, 4}}}); !errors.As(err, &missing) || !strings.Contains(err.Error(), "MatMul 4×8 on float32 2x8") {
		t.Error(err)
	}
	if _, err := tab.Model("def"); !errors.As(err, &missing) || !strings.Contains(err.Error(), "def") {
		t.Error(err)
	}
	if m, err := tab.Model("abc"); err != nil || m.Micros != 1000 || tab.Int8() != Static {
		t.Error(m, err)
	}
	a, b := tab.Points[0], tab.Points[1]
	if us, err := tab.Chain([]Piece{a.Piece, b.Piece}); err != nil || us != a.Micros+b.Micros {
		t.Error(us, err)
	}
}

func TestRoundTrip(t *testing.T) {
	tab := table(t, 0.1)
	var b bytes.Buffer
	if err := tab.Write(&b); err != nil {
		t.Fatal(err)
	}
	back, err := Parse(b.Bytes())
	if err != nil || !reflect.DeepEqual(back, tab) {
		t.Fatalf("%v: %+v is not %+v", err, back, tab)
	}
	shuffled := slices.Clone(tab.Points)
	slices.Reverse(shuffled)
	again, err := New(tab.Machine, tab.PerNode, tab.Models, shuffled)
	if err != nil || !reflect.DeepEqual(again, tab) {
		t.Errorf("%v: the order of the points matters", err)
	}
	for _, c := range []struct{ old, now, want string }{
		{`costs/1`, `costs/2`, "its schema is"},
		{`"threads": 1`, `"threads": 0`, "at least one thread"},
		{`"per_node_us": 2`, `"per_node_us": 1e999`, "no table of costs"},
		{`"sha256": "abc"`, `"sha256": ""`, "digest"},
		{`"groups": 1`, `"groups": 7`, "channels that the groups divide"},
		{`"block": 16`, `"block": 0`, "block"},
		{`"kind": "Conv 2D, one tap"`, `"kind": "Conv 2D"`, "twice"},
		{`"points": [`, `"points": {`, "no table of costs"},
	} {
		text := strings.Replace(b.String(), c.old, c.now, 1)
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s in place of %s: %v", c.now, c.old, err)
		}
	}
	if _, err := New(tab.Machine, 0, nil, append(shuffled, shuffled[0])); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schema":"onnx-compress/costs/1","threads":1,"batch":1,"points":[{"op":"Conv","type":"float32","out":16,"in":16,"window":[3,3],"groups":1,"reads":[1,16,4,4],"writes":[1,16,4,4],"us":3}],"fits":[{"kind":"Conv 2D","block":16,"work":1,"moved":1,"constant":1}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tab, err := Parse(data)
		if err != nil {
			return
		}
		for _, p := range append(tab.Points, Point{Piece: conv(17, 33, 3, 5)}) {
			us, err := tab.Chain([]Piece{p.Piece})
			if err == nil && !(us >= 0) {
				t.Errorf("%s takes %g", p.Piece, us)
			}
		}
		var first, second bytes.Buffer
		if err := tab.Write(&first); err != nil {
			t.Fatal(err)
		}
		back, err := Parse(first.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if err := back.Write(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%v: written twice it differs", err)
		}
	})
}

// TestEightBitsBesideBlocks: what is computed in eight bits beside blocks of channels is fitted for itself, and by the rest where none of
// it was measured.
func TestEightBitsBesideBlocks(t *testing.T) {
	conv := func(out, in int) Piece {
		return Piece{Op: "Conv", Type: "int8", Out: out, In: in, Window: []int{3, 3}, Groups: 1, Reads: []int{1, in, 8, 8}, Writes: []int{1, out, 8, 8}}
	}
	var whole, odd []Point
	for _, n := range []int{16, 32, 48, 64} {
		whole = append(whole, Point{conv(n, n), float64(n * n)})
		odd = append(odd, Point{conv(n+1, n), 3 * float64(n*n)})
	}
	at := Machine{Processor: "a", Runtime: "b", Provider: "c", Threads: 1, Batch: 1}
	ask := func(points []Point) float64 {
		t.Helper()
		table, err := New(at, 0, []Model{{SHA256: "d", Micros: 1}}, points)
		if err != nil {
			t.Fatal(err)
		}
		us, err := table.Node(conv(50, 48))
		if err != nil {
			t.Fatal(err)
		}
		return us
	}
	if apart, alone := ask(append(odd, whole...)), ask(whole); !(apart > 2*alone) {
		t.Errorf("%g µs beside blocks, %g where only blocks were measured", apart, alone)
	}
	if a, b := conv(50, 48).Kind(), conv(48, 48).Kind(); a != b+", beside blocks" {
		t.Errorf("%q and %q", a, b)
	}
}
