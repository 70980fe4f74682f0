package decomptest

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Axes returns axes on which choices of units are hard: every specimen of the zoo as a reader of the channels of one group (of
// all groups alike), and what only several readers, uneven units and more columns than fit a panel show.
func Axes() []Axis {
	var axes []Axis
	for _, s := range Zoo() {
		axes = append(axes, AxisOf(s))
	}
	r := rand.New(rand.NewPCG(11, 1))
	axes = append(axes, severalReaders(r), unevenUnits(r), manyColumns(r, "wide outputs", decomp.Shape{Out: 170, In: 90, Groups: 1}),
		manyColumns(r, "more than a panel", decomp.Shape{Out: 7, In: 150, Groups: 1}), manyColumns(r, "windows", decomp.Shape{Out: 9, In: 21, Window: []int{3, 3}, Groups: 1}))
	return append(axes, similarUnits(r)...)
}

// AxisOf returns a specimen as the only reader of the channels of its groups.
func AxisOf(s Specimen) Axis {
	width := s.Kernel.In / s.Kernel.Groups
	channels := make([][]int, width)
	for u := range channels {
		for g := range s.Kernel.Groups {
			channels[u] = append(channels[u], g*width+u)
		}
	}
	return Axis{Name: s.Name, Units: width, Readers: []decomp.Reader{{Kernel: s.Kernel, Metric: s.Metric, Scale: 3, Channels: channels}}}
}

func reading(r *rand.Rand, s decomp.Shape, least float64) decomp.Reader {
	return decomp.Reader{
		Kernel: kernel(r, s), Scale: math.Exp(r.NormFloat64()),
		Metric: decomp.Metric{In: moments(r, s.Groups, s.Cols(), least), Out: moments(r, s.Groups, s.Rows(), 0.1)},
	}
}

// severalReaders has twelve units: alone, behind channels of another axis, and in a window.
func severalReaders(r *rand.Rand) Axis {
	plain := reading(r, decomp.Shape{Out: 5, In: 12, Groups: 1}, 0.01)
	joined := reading(r, decomp.Shape{Out: 8, In: 17, Groups: 1}, 0.01)
	window := reading(r, decomp.Shape{Out: 6, In: 12, Window: []int{3, 2}, Groups: 1}, 0.01)
	for u := range 12 {
		joined.Channels = append(joined.Channels, []int{3 + u})
	}
	window.Metric.Out = nil
	return Axis{Name: "several readers", Units: 12, Readers: []decomp.Reader{plain, joined, window}, Exact: true}
}

// unevenUnits has units of none, one and several channels, and channels of none.
func unevenUnits(r *rand.Rand) Axis {
	a := Axis{Name: "uneven units", Units: 6, Dead: []int{4}, Exact: true}
	for _, s := range []decomp.Shape{{Out: 5, In: 14, Groups: 1}, {Out: 9, In: 14, Window: []int{2}, Groups: 1}} {
		reader := reading(r, s, 0.01)
		reader.Channels = [][]int{{13, 0}, {1}, {2, 3, 4, 5}, {7}, {}, {9, 8, 12}}
		a.Readers = append(a.Readers, reader)
	}
	return a
}

func manyColumns(r *rand.Rand, name string, s decomp.Shape) Axis {
	return Axis{Name: name, Units: s.In, Readers: []decomp.Reader{reading(r, s, 1e-3)}, Exact: true}
}

// similarUnits are those that others can stand for, wholly or nearly, and those that nobody sees or hears.
func similarUnits(r *rand.Rand) []Axis {
	const units, sources = 20, 5
	var out []Axis
	for _, noise := range []float64{0, 1e-8, 1e-4, 1e-2} {
		s := decomp.Shape{Out: 7, In: units, Groups: 1}
		in := drawn(r, units, 40*units, false, func(x []float64) {
			source := slices.Clone(x[:sources])
			for i := range x {
				x[i] = source[i%sources] + noise*x[i]
			}
		})
		name := map[float64]string{0: "duplicates", 1e-8: "equal but for rounding", 1e-4: "nearly equal", 1e-2: "similar"}[noise]
		out = append(out, Axis{Name: "groups of units that are " + name, Units: units, Readers: []decomp.Reader{{Kernel: kernel(r, s), Metric: decomp.Metric{In: []*linalg.Matrix{in}}, Scale: 1}}})
	}
	dead := []int{3, 4, 11}
	for _, by := range []float64{0, 1e-22, 1e-170} {
		s := decomp.Shape{Out: 7, In: units, Window: []int{2}, Groups: 1}
		in := drawn(r, s.Cols(), 4*s.Cols(), false, func(x []float64) {
			for i := range x {
				if slices.Contains(dead, i/2) {
					x[i] *= by
				}
			}
		})
		out = append(out, Axis{Name: "dead units", Units: units, Dead: dead, Readers: []decomp.Reader{{Kernel: kernel(r, s), Metric: decomp.Metric{In: []*linalg.Matrix{in}}, Scale: 1}}})
	}
	deaf := reading(r, decomp.Shape{Out: 7, In: units, Groups: 1}, 0.1)
	for i := range deaf.Kernel.Weights {
		if slices.Contains(dead, i%units) {
			deaf.Kernel.Weights[i] = 0
		}
	}
	return append(out, Axis{Name: "units without weights", Units: units, Dead: dead, Readers: []decomp.Reader{deaf}})
}
