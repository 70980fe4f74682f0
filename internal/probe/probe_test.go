package probe

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/timing"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// TestOwn: of the kernels around a piece, those in front of it and what brings its output into blocks are its own.
func TestOwn(t *testing.T) {
	us := slices.Repeat([]float64{1}, 50)
	list := func(words string) (out []timing.Kernel) {
		for word := range strings.FieldsSeq(words) {
			op := "Conv"
			switch {
			case strings.HasPrefix(word, "Reorder"):
				op = word
			case strings.HasSuffix(word, "activation"):
				op = "Relu"
			}
			out = append(out, timing.Kernel{Node: word, Op: op, Micros: us})
		}
		return out
	}
	for words, want := range map[string]float64{
		"piece.node": 1,
		"front.out_nchwc piece.out_nchwc behind.out_nchwc ReorderOutput":                         1,
		"front.out_nchwc ReorderOutput piece.out_nchwc ReorderOutput behind.out_nchwc":           2,
		"ReorderInput front.out_nchwc ReorderOutput piece.node ReorderInput behind.out_nchwc":    3,
		"front.out_nchwc piece.out_nchwc piece.activation ReorderInput behind.out ReorderOutput": 3,
	} {
		if got, multiply, n := own(list(words)); got != want || multiply != 1 || float64(n) != want {
			t.Errorf("%s: %g, want %g", words, got, want)
		}
	}
}

// TestPlausible: what a node takes beyond its kernel is what the model says, as far as a trivial one bears it out.
func TestPlausible(t *testing.T) {
	for _, c := range [][3]float64{{-5, -2, -5}, {-50, -2, -6}, {3, -2, -2. / 3}, {0.5, 1, 0.5}, {9, 1, 3}} {
		if got := plausible(c[0], c[1]); math.Abs(got-c[2]) > 1e-12 {
			t.Errorf("%g beside %g gives %g, want %g", c[0], c[1], got, c[2])
		}
	}
}

// TestBeside: where all that multiplies in the reference was probed, what it takes there tells by how much nodes take longer.
func TestBeside(t *testing.T) {
	us := func(v float64) []float64 { return slices.Repeat([]float64{v}, 50) }
	ref := []timing.Kernel{{Op: "FusedConv", Micros: us(30)}, {Op: "Conv", Micros: us(30)}, {Op: "Add", Micros: us(20)}}
	groups := []group{{points: []point{{multiply: 20, count: 2}, {multiply: 7}}, kernels: 80}}
	if got := beside(groups, ref, 0); math.Abs(got-1.5) > 1e-9 {
		t.Error(got)
	}
	groups[0].points[0].count = 1
	if got := beside(groups, ref, 0); got != 1 {
		t.Errorf("%g where one node was not probed", got)
	}
}

// TestRuns: kernels are summed run by run, as far as all of them ran.
func TestRuns(t *testing.T) {
	if got := runs([]timing.Kernel{{Micros: []float64{1, 2, 3}}, {Micros: []float64{10, 20}}}); !slices.Equal(got, []float64{11, 22}) {
		t.Error(got)
	}
}

// convolution is a probe of one with so many channels, behind another node of its model or not.
func convolution(t *testing.T, out, in int, raw bool) Probe {
	t.Helper()
	w, err := numbers(tensor.Float32, []int{out, in, 3, 3})
	if err != nil {
		t.Fatal(err)
	}
	return Probe{
		Piece: costs.Piece{
			Op: "Conv", Type: "float32", Out: out, In: in, Window: []int{3, 3}, Groups: 1,
			Reads: []int{1, in, 16, 16}, Writes: []int{1, out, 16, 16}, Raw: raw, Behind: "Relu",
		},
		Node:   graph.NewNode("Conv", "conv", []string{"x", "w"}, []string{"y"}, graph.Ints("pads", 1, 1, 1, 1)),
		Behind: graph.NewNode("Relu", "relu", []string{"y"}, []string{"z"}), Reads: "x",
		Constants: []onnxio.Tensor{onnxio.DenseTensor("w", w)}, IR: 8, Opsets: []graph.Opset{{Version: 17}},
	}
}

// TestMeasure measures a few convolutions: each has a time, what the runtime does not run is refused with the reason, and the whole
// model takes as long as its kernels.
func TestMeasure(t *testing.T) {
	lib := orttest.Open(t)
	small, large, first, odd := convolution(t, 16, 16, false), convolution(t, 128, 128, false), convolution(t, 32, 3, true), convolution(t, 16, 16, false)
	odd.Node = graph.NewNode("NoSuch", "odd", []string{"x", "w"}, []string{"y"})
	data, inputs, err := large.model()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	m, err := onnxio.Parse(data, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := onnxio.Write(context.Background(), m, path, onnxio.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := Measure(context.Background(), lib, Reference{path, inputs}, []Probe{small, large, first, odd}, 1, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Points) != 3 || len(got.Refused) != 1 || !strings.Contains(got.Refused[0].Error(), "NoSuch") || !(got.Whole > 0) || math.IsNaN(got.PerNode) {
		t.Fatalf("%+v", got)
	}
	// 64 times the work takes more, however busy the machine is.
	if a, b := got.Points[0].Micros, got.Points[1].Micros; b < 2*a || b > got.Whole*2 {
		t.Errorf("%g µs with 16 channels, %g with 128, %g for the model of the latter", a, b, got.Whole)
	}
	if _, err := Measure(context.Background(), lib, Reference{"none.onnx", inputs}, []Probe{small}, 1, func(int, int) {}); err == nil || !strings.Contains(err.Error(), "none.onnx") {
		t.Error(err)
	}
}

// inEight is a probe of a node in eight bits.
func inEight(t *testing.T, how EightBits, p Probe) Probe {
	t.Helper()
	p.Eight = how
	if p.Piece.Type = how.Type(p.Piece.Op, tensor.Float32); p.Piece.Type != Int8 {
		t.Fatalf("%s has no kernel of eight bits", p.Piece.Op)
	}
	return p
}

// product is a probe of a matrix.
func product(t *testing.T, node graph.Node, weight, reads, writes []int, constants ...onnxio.Tensor) Probe {
	t.Helper()
	w, err := numbers(tensor.Float32, weight)
	if err != nil {
		t.Fatal(err)
	}
	return Probe{
		Piece: costs.Piece{Op: node.Op(), Type: "float32", Out: writes[len(writes)-1], In: reads[len(reads)-1], Groups: 1, Reads: reads, Writes: writes},
		Node:  node, Reads: "x", Constants: append(constants, onnxio.DenseTensor("w", w)), IR: 8, Opsets: []graph.Opset{{Version: 11}},
	}
}

// TestEightBits: every probe in eight bits is computed by the runtime's kernel for these, and its own time is told from what stands around it.
func TestEightBits(t *testing.T) {
	lib := orttest.Open(t)
	bias, err := numbers(tensor.Float32, []int{24})
	if err != nil {
		t.Fatal(err)
	}
	b := onnxio.DenseTensor("b", bias)
	bounded, curved, deep := convolution(t, 32, 16, false), convolution(t, 24, 16, false), convolution(t, 16, 16, false)
	curved.Behind = graph.NewNode("Sigmoid", "bent", []string{"y"}, []string{"z"})
	curved.Node, curved.Constants = graph.NewNode("Conv", "conv", []string{"x", "w", "b"}, []string{"y"}, graph.Ints("pads", 1, 1, 1, 1)), append(curved.Constants, b)
	w, err := numbers(tensor.Float32, []int{16, 1, 3, 3})
	if err != nil {
		t.Fatal(err)
	}
	deep.Piece.Groups, deep.Constants = 16, []onnxio.Tensor{onnxio.DenseTensor("w", w)}
	deep.Node = graph.NewNode("Conv", "conv", []string{"x", "w"}, []string{"y"}, graph.Ints("pads", 1, 1, 1, 1), graph.Int("group", 16))
	gemm := product(t, graph.NewNode("Gemm", "gemm", []string{"x", "w", "b"}, []string{"y"}, graph.Int("transB", 1)), []int{24, 40}, []int{2, 40}, []int{2, 24}, b)
	matrix := product(t, graph.NewNode("MatMul", "matmul", []string{"x", "w"}, []string{"y"}), []int{40, 24}, []int{2, 8, 40}, []int{2, 8, 24})
	for name, c := range map[string]struct {
		probe  Probe
		kernel string
	}{
		"convolution":        {inEight(t, Static, bounded), "QLinearConv"},
		"of the input":       {inEight(t, Static, convolution(t, 32, 3, true)), "QLinearConv"},
		"with an activation": {inEight(t, Static, curved), "QLinearConv"},
		"depthwise":          {inEight(t, Static, deep), "QLinearConv"},
		"Gemm":               {inEight(t, Static, gemm), "QGemm"},
		"MatMul":             {inEight(t, Static, matrix), "QLinearMatMul"},
		"dynamic MatMul":     {inEight(t, Dynamic, matrix), "DynamicQuantizeMatMul"},
		"dynamic Gemm":       {inEight(t, Dynamic, gemm), "DynamicQuantizeMatMul"},
	} {
		t.Run(name, func(t *testing.T) {
			data, inputs, err := c.probe.model()
			if err != nil {
				t.Fatal(err)
			}
			s, err := lib.NewSession(data, ort.Options{Threads: 1, ProfilePrefix: filepath.Join(t.TempDir(), "p")})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			l := limits()
			for range (l.WarmUps + 4) * (l.Settle + 1) {
				if err := timing.Runner(s, inputs)(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			kernels, err := timing.Profile(s)
			if err != nil {
				t.Fatal(err)
			}
			var ops []string
			for _, k := range kernels {
				ops = append(ops, k.Op+" "+k.Node)
			}
			if !slices.ContainsFunc(kernels, func(k timing.Kernel) bool { return k.Op == c.kernel && strings.HasPrefix(k.Node, piece) }) {
				t.Errorf("no %s for the piece: %q", c.kernel, ops)
			}
			us, multiply, _ := own(kernels)
			theirs := 0.
			for _, k := range kernels {
				if strings.HasPrefix(k.Node, piece) || c.probe.Piece.Raw && k.Node == "Transpose" {
					theirs += settled(k)
				}
			}
			if !(multiply > 0) || us < multiply || math.Abs(us-theirs) > 1e-9 {
				t.Errorf("%g µs of %g are its own, %g multiply: %q", us, theirs, multiply, ops)
			}
		})
	}
}

// TestEightBitsRefused: what has no kernel of eight bits is not measured as if it had.
func TestEightBitsRefused(t *testing.T) {
	for op, how := range map[string]EightBits{"ConvTranspose": Static, "Gather": Static, "Conv": Dynamic, "MatMul": Never} {
		if got := how.Type(op, tensor.Float32); got != "float32" {
			t.Errorf("%s is of %s", op, got)
		}
	}
	if got := Static.Type("Conv", tensor.Float16); got != "float16" {
		t.Errorf("half of a convolution is of %s", got)
	}
	left := product(t, graph.NewNode("MatMul", "matmul", []string{"w", "x"}, []string{"y"}), []int{40, 24}, []int{24, 8}, []int{40, 8})
	left.Piece.Type, left.Eight = Int8, Dynamic
	if _, _, err := left.model(); err == nil || !strings.Contains(err.Error(), "on the right") {
		t.Error(err)
	}
}
