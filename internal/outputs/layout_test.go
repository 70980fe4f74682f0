package outputs

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// scene draws detections that do not overlap, with scores well above the least, of classes from 0 to count-1.
func scene(r *rand.Rand, n, count int) []Detection {
	var out []Detection
	for i := range n {
		x, y := 100+200*float64(i%4)+20*r.Float64(), 50+200*float64(i/4)+20*r.Float64()
		out = append(out, Detection{Box: [4]float64{x, y, x + 20 + 60*r.Float64(), y + 20 + 60*r.Float64()}, Score: 0.3 + 0.6*r.Float64(), Class: r.IntN(count)})
	}
	return out
}

// middles are a box as its middle and its sides.
func middles(d Detection) []float64 {
	b := d.Box
	return []float64{(b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]}
}

// matrixOf lays rows out, or turned as columns.
func matrixOf(rows [][]float64, turned bool) Numbers {
	n := Numbers{Shape: []int{1, len(rows), len(rows[0])}, Values: slices.Concat(rows...)}
	if !turned {
		return n
	}
	out := Numbers{Shape: []int{1, len(rows[0]), len(rows)}}
	for k := range rows[0] {
		for _, row := range rows {
			out.Values = append(out.Values, row[k])
		}
	}
	return out
}

// layoutCase writes detections as one kind of detector does, with places that find nothing where it has such.
type layoutCase struct {
	name  string
	write func(list []Detection) (of []Numbers, types []tensor.Type)
}

func layoutCases() []layoutCase {
	float, int64s := tensor.Float32, tensor.Int64
	empty := func(list []Detection, to int) []Detection { // places without an object
		for len(list) < to {
			list = append(list, Detection{Box: [4]float64{5, 5, 9, 9}, Score: 0.01})
		}
		return list
	}
	joined := func(classes, extra, more int, turned bool) func(list []Detection) ([]Numbers, []tensor.Type) {
		return func(list []Detection) ([]Numbers, []tensor.Type) {
			var rows [][]float64
			for _, d := range empty(list, 200) {
				row := middles(d)
				score := d.Score
				if extra > 0 {
					row, score = append(row, 0.95), d.Score/0.95
				}
				chances := make([]float64, classes)
				for i := range chances {
					chances[i] = 0.003 * float64(i+1)
				}
				chances[d.Class] = score
				row = append(row, chances...)
				for i := range more {
					row = append(row, 3*math.Sin(float64(7*len(rows)+i)))
				}
				rows = append(rows, row)
			}
			return []Numbers{matrixOf(rows, turned)}, []tensor.Type{float}
		}
	}
	rows := func(write func(d Detection) []float64) func(list []Detection) ([]Numbers, []tensor.Type) {
		return func(list []Detection) ([]Numbers, []tensor.Type) {
			var out [][]float64
			for _, d := range list {
				out = append(out, write(d))
			}
			return []Numbers{matrixOf(out, false)}, []tensor.Type{float}
		}
	}
	beside := func(places int, write func(d Detection) (box, scores []float64)) func(list []Detection) ([]Numbers, []tensor.Type) {
		return func(list []Detection) ([]Numbers, []tensor.Type) {
			var boxes, scores [][]float64
			for _, d := range empty(list, places) {
				b, s := write(d)
				boxes, scores = append(boxes, b), append(scores, s)
			}
			return []Numbers{matrixOf(boxes, false), matrixOf(scores, false)}, []tensor.Type{float, float}
		}
	}
	softmax := func(at int, d Detection) []float64 { // of three classes and none, which is the class at
		s := make([]float64, 4)
		for i := range s {
			s[i] = 1e-4
		}
		class := (d.Class + at + 1) % 4
		s[class], s[at] = d.Score, 1-d.Score-2e-4
		return s
	}
	return []layoutCase{
		{"YOLOv8", joined(3, 0, 0, true)},
		{"YOLOv5", joined(3, 1, 0, false)},
		{"YOLOv5 of one class", joined(1, 1, 0, false)},
		{"YOLOv8 with masks", joined(3, 0, 32, true)},
		{"YOLOv5 with masks", joined(3, 1, 32, false)},
		{"YOLOv8 with key points of one class", joined(1, 0, 51, true)},
		{"Ultralytics, suppressed", rows(func(d Detection) []float64 { return append(slices.Clone(d.Box[:]), d.Score, float64(d.Class)) })},
		{"PaddleDetection", rows(func(d Detection) []float64 { return append([]float64{float64(d.Class), d.Score}, d.Box[:]...) })},
		{"YOLOv7, suppressed", rows(func(d Detection) []float64 {
			return slices.Concat([]float64{0}, d.Box[:], []float64{float64(d.Class), d.Score})
		})},
		{"SSD of OpenVINO", rows(func(d Detection) []float64 { return append([]float64{0, float64(d.Class), d.Score}, d.Box[:]...) })},
		{"YOLOX, suppressed", rows(func(d Detection) []float64 {
			return slices.Concat([]float64{0}, d.Box[:], []float64{d.Score, float64(d.Class)})
		})},
		{"torchvision", func(list []Detection) ([]Numbers, []tensor.Type) {
			of := make([]Numbers, 3)
			for _, d := range list {
				of[0].Values = append(of[0].Values, d.Box[:]...)
				of[1].Values = append(of[1].Values, float64(d.Class))
				of[2].Values = append(of[2].Values, d.Score)
			}
			of[0].Shape, of[1].Shape, of[2].Shape = []int{len(list), 4}, []int{len(list)}, []int{len(list)}
			return of, []tensor.Type{float, int64s, float}
		}},
		{"TensorFlow", func(list []Detection) ([]Numbers, []tensor.Type) {
			of := make([]Numbers, 4)
			for _, d := range empty(list, 100) {
				of[0].Values = append(of[0].Values, d.Box[1]/1000, d.Box[0]/1000, d.Box[3]/1000, d.Box[2]/1000)
				of[1].Values = append(of[1].Values, float64(d.Class))
				of[2].Values = append(of[2].Values, d.Score)
			}
			of[3].Values = []float64{float64(len(list))}
			of[0].Shape, of[1].Shape, of[2].Shape, of[3].Shape = []int{100, 4}, []int{100}, []int{100}, []int{}
			return of, []tensor.Type{float, float, float, float}
		}},
		{"SSD", beside(300, func(d Detection) ([]float64, []float64) { return d.Box[:], softmax(0, d) })},
		{"DETR after a softmax", beside(100, func(d Detection) ([]float64, []float64) { return middles(d), softmax(3, d) })},
		{"DETR", beside(100, func(d Detection) ([]float64, []float64) { return middles(d), logarithms(softmax(3, d), 2) })},
		{"SSD without its softmax", beside(300, func(d Detection) ([]float64, []float64) { return d.Box[:], logarithms(softmax(0, d), -1) })},
		{"RetinaNet", beside(300, func(d Detection) ([]float64, []float64) {
			s := []float64{0.01, 0.02, 0.01}
			s[d.Class] = max(d.Score, 0.02)
			return d.Box[:], s
		})},
		{"RT-DETR", beside(300, func(d Detection) ([]float64, []float64) {
			s := []float64{-5, -4, -4.5}
			s[d.Class] = max(math.Log(d.Score/(1-d.Score)), -4)
			return middles(d), s
		})},
	}
}

// logarithms are logits that a softmax makes these chances of.
func logarithms(chances []float64, shift float64) []float64 {
	out := make([]float64, len(chances))
	for i, v := range chances {
		out[i] = math.Log(v) + shift
	}
	return out
}

// caseOf is the case of a name.
func caseOf(name string) layoutCase {
	list := layoutCases()
	return list[slices.IndexFunc(list, func(c layoutCase) bool { return c.name == name })]
}

// listed are outputs of these types, the first of which has boxes.
func listed(types []tensor.Type) []Output {
	var out []Output
	for i, typ := range types {
		o := Output{Name: fmt.Sprint("output ", i), Number: i, Kind: Values, Type: typ, Weight: 1}
		if i == 0 {
			o.Kind = Boxes
		}
		out = append(out, o)
	}
	return out
}

// reads gives what all samples say by the first layout that they all allow.
func reads(list []Output, samples [][]Numbers) (name string, found [][]Detection) {
	for _, l := range Layouts(list, shapesOf(samples[0])) {
		found = nil
		for _, s := range samples {
			d, fits := l.Read(parts(l, s))
			if !fits {
				break
			}
			found = append(found, d)
		}
		if len(found) == len(samples) {
			return l.Name, found
		}
	}
	return "", nil
}

func shapesOf(of []Numbers) [][]int {
	var out [][]int
	for _, n := range of {
		out = append(out, n.Shape)
	}
	return out
}

func parts(l Layout, of []Numbers) []Numbers {
	var out []Numbers
	for _, i := range l.Outputs {
		out = append(out, of[i])
	}
	return out
}

// TestLayouts: what detectors of all kinds write is read as what they found, whichever layout that is: boxes, scores, and which are of one class.
func TestLayouts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range layoutCases() {
		for round := range 20 {
			count := 3
			if strings.HasSuffix(c.name, "of one class") {
				count = 1
			}
			var scenes [][]Detection
			var samples [][]Numbers
			var list []Output
			for range 4 {
				s := scene(r, 5+r.IntN(4), count)
				of, types := c.write(s)
				scenes, samples, list = append(scenes, s), append(samples, of), listed(types)
			}
			name, found := reads(list, samples)
			if found == nil {
				t.Fatalf("%s, round %d: no layout fits", c.name, round)
			}
			class := map[int]int{} // may be numbered otherwise
			for i, s := range scenes {
				if len(found[i]) != len(s) {
					t.Fatalf("%s by %q: %d found, want %d", c.name, name, len(found[i]), len(s))
				}
				for _, d := range s {
					at := slices.IndexFunc(found[i], func(e Detection) bool { return overlapsAnyOrder(d, e, c.name == "TensorFlow") })
					if at < 0 || math.Abs(found[i][at].Score-d.Score) > 1e-9 {
						t.Fatalf("%s by %q: %v is not in %v", c.name, name, d, found[i])
					}
					if was, ok := class[d.Class]; ok && was != found[i][at].Class {
						t.Fatalf("%s by %q: class %d is %d and %d", c.name, name, d.Class, was, found[i][at].Class)
					}
					class[d.Class] = found[i][at].Class
				}
			}
			if other := slices.Sorted(func(yield func(int) bool) {
				for _, v := range class {
					if !yield(v) {
						return
					}
				}
			}); len(slices.Compact(other)) != len(class) {
				t.Errorf("%s by %q: classes fall together: %v", c.name, name, class)
			}
		}
	}
}

// overlapsAnyOrder tells whether boxes are the same, the axes and the unit aside where these are others.
func overlapsAnyOrder(d, e Detection, turned bool) bool {
	if turned {
		d.Box = [4]float64{d.Box[1] / 1000, d.Box[0] / 1000, d.Box[3] / 1000, d.Box[2] / 1000}
	}
	return Overlap(d, e) > 1-1e-9
}

// TestNoLayout: numbers that are no boxes are not read as such: lengths below zero, logarithms of chances, boxes of several outputs.
func TestNoLayout(t *testing.T) {
	raw := make([]float64, 6*50)
	for i := range raw {
		raw[i] = 3 * math.Sin(float64(7*i))
	}
	for name, of := range map[string][]Numbers{
		"raw":            {{[]int{6, 50}, raw}},
		"raw by places":  {{[]int{50, 6}, raw}},
		"raw of a level": {{[]int{3, 6, 50}, slices.Concat(raw, raw, raw)}},
		"raw scores":     {{[]int{50, 4}, raw[:200]}, {[]int{50, 2}, raw[:100]}},
		"boxes alone":    {{[]int{50, 4}, raw[:200]}},
		"key points":     {{[]int{50, 4}, ordered(50)}, {[]int{50, 10}, slices.Repeat([]float64{0.3, 0.6}, 250)}},
		"offsets":        {{[]int{50, 4}, ordered(50)}, {[]int{50, 6}, raw}},
	} {
		types := slices.Repeat([]tensor.Type{tensor.Float32}, len(of))
		if got, found := reads(listed(types), [][]Numbers{of}); found != nil {
			t.Errorf("%s: read as %q", name, got)
		}
	}
	list := listed([]tensor.Type{tensor.Float32, tensor.Float32})
	list[1].Kind = Boxes
	if Boxed(list) >= 0 {
		t.Error("of two outputs with boxes one was taken")
	}
	if list[1].Weight = 0; Boxed(list) != 0 {
		t.Error("an output without weight counts")
	}
}

// masksScore is the score of the first place where three classes stand behind the box, of 200 places.
func masksScore(v []float64) float64 { return max(v[4*200], v[5*200], v[6*200]) }

// ordered are boxes of side 1.
func ordered(n int) []float64 { return slices.Repeat([]float64{1, 1, 2, 2}, n) }
