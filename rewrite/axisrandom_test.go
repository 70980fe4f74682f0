package rewrite_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/seeds"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// sketch is a net in the making: a value [N, channels, size...] or, behind the head, [N, channels].
type sketch struct {
	*testmodels.Builder
	r        *rand.Rand
	x        string
	channels int
	size     []int
	names    int
}

// randomNet puts blocks of all kinds together at random.
func randomNet(t testing.TB, seed uint64) *onnxio.Model {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 21))
	place := []testmodels.Placement{testmodels.Initializers, testmodels.Initializers, testmodels.Overridable, testmodels.ConstantNodes}[r.IntN(4)]
	s := &sketch{Builder: testmodels.NewBuilder(seed, 17, 8).Place(place), r: r, channels: 3 + r.IntN(4)}
	dims := []any{"N", s.channels}
	for range 1 + r.IntN(2) {
		n := 8 + 2*r.IntN(3)
		s.size, dims = append(s.size, n), append(dims, n)
	}
	s.x = s.Input("x", s.Type(), dims...)
	s.conv(4+2*r.IntN(4), 3)
	blocks := []func(){
		func() { s.conv(4+2*r.IntN(4), 1+2*r.IntN(2)) }, s.shortcut, s.shortcut, s.depthwise, s.excite, s.branches, s.gate, s.halves, s.groups,
		s.padded, s.transposed, s.normalised, s.pooled, s.moved,
	}
	for range 2 + r.IntN(6) {
		blocks[r.IntN(len(blocks))]()
	}
	s.head()
	s.Node("Identity", []string{s.x})
	s.Output(s.Rename("y"), s.Type(), "N", s.channels)
	m := model(t, s.Builder)
	if why := infer(m).Why("y"); why != "" {
		t.Fatal(why)
	}
	return m
}

func (s *sketch) name(kind string) string {
	s.names++
	return fmt.Sprintf("%s_%d", kind, s.names)
}

func (s *sketch) window(k int) []int { return slices.Repeat([]int{k}, len(s.size)) }

func (s *sketch) around(k int) graph.Attr {
	return graph.Ints("pads", slices.Repeat([]int{k / 2}, 2*len(s.size))...)
}

// wide is a constant for each channel, as a [C, 1, ...] that is broadcast.
func (s *sketch) wide(low, high float64) string {
	return s.Random(s.name("wide"), low, high, append([]int{s.channels}, s.window(1)...)...)
}

func (s *sketch) activate(x string) string {
	switch s.r.IntN(7) {
	case 0:
		return s.Node("Relu", []string{x})
	case 1:
		return s.Node("Clip", []string{x, s.Tensor(s.name("low"), s.Type(), nil, []float64{-0.5})})
	case 2:
		return s.Node("Mul", []string{x, s.Node("Sigmoid", []string{x})})
	case 3:
		return s.Node("LeakyRelu", []string{x})
	case 4:
		return s.Node("PRelu", []string{x, s.wide(0, 1)})
	case 5:
		return s.Node("Add", []string{x, s.wide(-1, 1)})
	}
	return x
}

func (s *sketch) conv(out, k int) {
	y := s.Builder.Conv(s.x, s.channels, out, s.window(k), s.around(k))
	s.channels = out
	s.x = s.activate(y)
}

func (s *sketch) shortcut() {
	x, channels := s.x, s.channels
	s.conv(2+2*s.r.IntN(5), 1)
	s.x = s.ConvBias(s.x, s.channels, channels, s.window(3), "", s.around(3))
	s.channels = channels
	s.x = s.BatchNorm(s.x, channels)
	s.x = s.activate(s.Node([]string{"Add", "Sum", "Sub"}[s.r.IntN(3)], []string{x, s.x}))
}

func (s *sketch) depthwise() {
	s.conv(s.channels*2, 1)
	times := 1 + s.r.IntN(2)
	s.x = s.Builder.Conv(s.x, s.channels, s.channels*times, s.window(3), s.around(3), graph.Int("group", s.channels))
	s.channels *= times
	s.conv(4+2*s.r.IntN(4), 1)
}

func (s *sketch) excite() {
	y := s.Node("GlobalAveragePool", []string{s.x})
	y = s.Node("Relu", []string{s.Builder.Conv(y, s.channels, 4, s.window(1))})
	s.x = s.Node("Mul", []string{s.Node("HardSigmoid", []string{s.Builder.Conv(y, 4, s.channels, s.window(1))}), s.x})
}

func (s *sketch) branches() {
	x, channels := s.x, s.channels
	s.conv(4, 3)
	a, wide := s.x, s.channels
	s.x, s.channels = x, channels
	s.conv(2+s.r.IntN(3), 1)
	parts := []string{a, s.x}
	s.channels += wide
	if s.r.IntN(2) == 0 {
		parts = append(parts, x)
		s.channels += channels
	}
	s.x = s.activate(s.Node("Concat", parts, graph.Int("axis", 1)))
}

func (s *sketch) gate() {
	out := 4 + 2*s.r.IntN(3)
	a := s.Builder.Conv(s.x, s.channels, out, s.window(1))
	b := s.Builder.Conv(s.x, s.channels, out, s.window(3), s.around(3))
	s.channels = out
	s.x = s.Node("Mul", []string{s.activate(a), s.Node("Tanh", []string{b})})
}

func (s *sketch) halves() {
	s.conv(8, 1)
	inputs := []string{s.x}
	if s.r.IntN(2) == 0 {
		inputs = append(inputs, s.Ints(s.name("sizes"), 4, 4))
	}
	part := s.Several("Split", inputs, 2, graph.Int("axis", 1))
	switch s.r.IntN(3) {
	case 0:
		s.x = s.Node("Mul", []string{part[0], s.Node("Sigmoid", []string{part[1]})})
	case 1:
		s.x = s.Node("Add", []string{part[0], s.Builder.Conv(part[1], 4, 4, s.window(1))})
	default:
		s.x = s.Builder.Conv(part[1], 4, 4, s.window(1))
		s.x = s.Node("Concat", []string{s.x, part[0]}, graph.Int("axis", 1))
		s.channels = 8
		return
	}
	s.channels = 4
}

func (s *sketch) groups() {
	s.conv(8, 1)
	y := s.Builder.Conv(s.x, 8, 12, s.window(3), s.around(3), graph.Int("group", 4))
	s.channels = 12
	s.x = s.activate(y)
	s.conv(6, 1)
}

func (s *sketch) padded() {
	x, channels := s.x, s.channels
	s.conv(channels+3, 1)
	pads := make([]int, 2*(2+len(s.size)))
	pads[1], pads[3+len(s.size)] = 1, 2
	s.x = s.Node("Add", []string{s.x, s.Node("Pad", []string{x, s.Ints(s.name("pads"), pads...)})})
}

func (s *sketch) transposed() {
	out := 4 + 2*s.r.IntN(2)
	y := s.ConvTranspose(s.x, s.channels, out, s.window(3), s.around(3))
	s.channels = out
	s.x = s.activate(y)
}

func (s *sketch) normalised() {
	switch s.r.IntN(3) {
	case 0:
		s.x = s.BatchNorm(s.x, s.channels)
	case 1:
		name := s.name("instance")
		s.x = s.Node("InstanceNormalization", []string{s.x, s.Random(name+"_scale", 0.5, 1.5, s.channels), s.Random(name+"_bias", -1, 1, s.channels)})
	default:
		s.x = s.Node("Softmax", []string{s.x}, graph.Int("axis", 1))
	}
}

func (s *sketch) pooled() {
	s.x = s.Node([]string{"MaxPool", "AveragePool"}[s.r.IntN(2)], []string{s.x}, graph.Ints("kernel_shape", s.window(3)...), s.around(3))
}

// moved takes the channels to the last axis and back, between them what works there.
func (s *sketch) moved() {
	back := append([]int{0, len(s.size) + 1}, make([]int, len(s.size))...)
	there := append([]int{0}, make([]int, len(s.size)+1)...)
	for i := range s.size {
		there[i+1], back[i+2] = i+2, i+1
	}
	there[len(s.size)+1] = 1
	y := s.Node("Transpose", []string{s.x}, graph.Ints("perm", there...))
	y = s.Linear(y, s.channels, 6, true)
	s.channels = 6
	if s.r.IntN(2) == 0 {
		shape := s.Node("Shape", []string{y})
		y = s.Node("Reshape", []string{s.Node("Reshape", []string{y, s.Ints(s.name("rows"), 0, -1, 6)}), shape})
	}
	s.x = s.Node("Transpose", []string{y}, graph.Ints("perm", back...))
}

// head ends in a matrix.
func (s *sketch) head() {
	if s.r.IntN(2) == 0 {
		s.x = s.Node("GlobalAveragePool", []string{s.x})
		s.size = s.window(1)
	}
	n := s.channels
	for _, k := range s.size {
		n *= k
	}
	if s.r.IntN(2) == 0 {
		s.x = s.Node("Flatten", []string{s.x})
	} else {
		s.x = s.Node("Reshape", []string{s.x, s.Ints(s.name("flat"), []int{-1, 0}[s.r.IntN(2)], n)})
	}
	gate, up := s.Linear(s.x, n, 8, true), s.Linear(s.x, n, 8, false)
	s.x = s.Linear(s.Node("Mul", []string{s.Node("Sigmoid", []string{gate}), up}), 8, 6, s.r.IntN(2) == 0)
	s.channels = 5
	name := s.name("last")
	s.x = s.Node("Gemm", []string{s.Node("Relu", []string{s.x}), s.Weight(name, 6, 5, 6), s.Random(name+"_c", -1, 1, 5)}, graph.Int("transB", 1))
}

// TestNarrowRandom narrows nets made at random.
func TestNarrowRandom(t *testing.T) {
	lib, python := orttest.Open(t), newPythonCheck(t)
	n := uint64(60)
	if testing.Short() {
		n = 10
	}
	found := 0
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { found += len(holdNarrow(t, lib, python, randomNet(t, seed), seed)) })
	}
	python.done(t)
	if found < int(n)*4 {
		t.Errorf("%d axes in %d nets", found, n)
	}
}

// FuzzNarrow narrows nets made at random: what is left has the shapes that it must have.
func FuzzNarrow(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { holdNarrow(t, nil, nil, randomNet(t, seed), seed) })
}

// FuzzAxes reads arbitrary messages as models, sound or not: nothing may panic, and what comes of a sound model must be
// sound.
func FuzzAxes(f *testing.F) {
	seeds.Add(f, "models", "")
	for _, data := range testkit.ZooFiles(f) {
		f.Add(data)
	}
	for seed := range uint64(10) {
		f.Add(testkit.Bytes(f, randomNet(f, seed)))
	}
	for name := range axisNets() {
		f.Add(testkit.Bytes(f, axisNet(f, name, netBuilder(name))))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, ok := testkit.Unchecked(data)
		if !ok {
			return
		}
		list, _, err := rewrite.Axes(m, infer(m))
		if err != nil || m.Check() != nil || len(list) == 0 {
			return
		}
		small, err := rewrite.Narrow(m, halves(list, 1), nil)
		if err != nil {
			t.Fatalf("axes that were found cannot be narrowed: %v", err)
		}
		if err := small.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
