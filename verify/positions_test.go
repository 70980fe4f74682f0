package verify

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// placing gives out its input, as that shape beside the samples, and adds numbers to it.
func placing(t *testing.T, shape []int, add ...float64) string {
	return ending(t, "Identity", shape, add...)
}

// ending is placing with an operator at the end.
func ending(t *testing.T, op string, shape []int, add ...float64) string {
	n := tensor.Product(shape)
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", n)
	if add != nil {
		x = b.Node("Add", []string{x, b.Tensor("add", tensor.Float32, []int{n}, add)})
	}
	b.Node(op, []string{b.Node("Reshape", []string{x, b.Ints("shape", append([]int{0}, shape...)...)})})
	dims := []any{"N"}
	for _, d := range shape {
		dims = append(dims, d)
	}
	b.Output(b.Rename("out"), tensor.Float32, dims...)
	return save(t, b)
}

// hot are scores that name classes by position, [positions, classes].
func hot(classes int, named string) []float32 {
	out := make([]float32, len(named)*classes)
	for i, c := range named {
		out[i*classes+int(c-'0')] = 1
	}
	return out
}

// TestSpelling: letters are what is left when repeats and the blank go, and the edits from one reading to the other are counted. The blank is the first or
// the last class, by which the original names more often.
func TestSpelling(t *testing.T) {
	const classes = 4
	all := [][]float32{hot(classes, "01100220"), hot(classes, "11111111"), hot(classes, "00000000"), hot(classes, "10101020")}
	second := make([]float64, 8*classes) // turns what stands at the second position into the class 2, and at the last into 3
	second[classes+2], second[7*classes+3] = 5, 5
	reversed := func(rows [][]float32) [][]float32 { // the classes in the other order
		var out [][]float32
		for _, row := range rows {
			row = slices.Clone(row)
			for at := 0; at < len(row); at += classes {
				slices.Reverse(row[at:][:classes])
			}
			out = append(out, row)
		}
		return out
	}
	turned := make([]float64, 8*classes)
	turned[classes+1], turned[7*classes] = 5, 5
	o := Options{Kinds: map[string]Kind{"out": outputs.Letters}, Evidence: Unseen}
	for _, c := range []struct {
		src   memory
		add   []float64
		blank int
	}{{vectors(nil, all...), second, 0}, {vectors(nil, reversed(all)...), turned, 3}} {
		r, err := compare(t, placing(t, []int{8, classes}), placing(t, []int{8, classes}, c.add...), c.src, o)
		if err != nil {
			t.Fatal(err)
		}
		// 12 → 2123, 1 → 1213, nothing → 23, 1112 → 121123, of which 2, 3, 2 and 2 letters are put in
		q := r.Outputs[0].Sequence
		if q == nil || q.Spelling == nil || q.Positions != 32 || q.Samples != 4 || !near(q.Agreement.Value, 24./32) {
			t.Fatalf("%+v", q)
		}
		w := q.Spelling
		if w.Blank != c.blank || w.Before != 7 || w.After != 16 || w.Edits != 9 || w.Same != 0 || !near(w.Rate.Value, 9./16) || w.Rate.Low == nil {
			t.Errorf("%+v", w)
		}
		j := r.Judged
		if j.Measure != CER || j.Kind != outputs.Letters || !near(*j.Value, 9./16) || !strings.Contains(j.Text, "on 4 unseen samples") || !strings.Contains(j.Text, "56.25 %") {
			t.Errorf("%+v", j)
		}
		if ok, err := (Bound{CER, 0.6}).Met(r); !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		if ok, err := (Bound{CER, 0.5}).Met(r); ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
	}
	r, err := compare(t, placing(t, []int{8, classes}), placing(t, []int{8, classes}, second...), vectors(nil, all...), Options{Kinds: map[string]Kind{"out": outputs.Tokens}})
	if err != nil {
		t.Fatal(err)
	}
	if j := r.Judged; j.Measure != Agreement || !near(*j.Value, 0.75) || r.Outputs[0].Sequence.Spelling != nil || !strings.Contains(j.Text, "75.00 % of 32 positions") {
		t.Errorf("tokens: %+v", j)
	}
	if _, err := CER.Of(r); err == nil {
		t.Error("tokens have letters")
	}
}

// TestDistance holds Levenshtein's distance against the recursion that defines it.
func TestDistance(t *testing.T) {
	var slow func(a, b []int) int
	slow = func(a, b []int) int {
		switch {
		case len(a) == 0 || len(b) == 0:
			return len(a) + len(b)
		case a[0] == b[0]:
			return slow(a[1:], b[1:])
		}
		return 1 + min(slow(a[1:], b), slow(a, b[1:]), slow(a[1:], b[1:]))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	word := func() []int {
		w := make([]int, rng.IntN(7))
		for i := range w {
			w[i] = rng.IntN(3)
		}
		return w
	}
	for range 300 {
		a, b := word(), word()
		if got, want := distance(a, b), slow(a, b); got != want {
			t.Fatalf("%v and %v: %d edits, want %d", a, b, got, want)
		}
	}
}

// TestRegions: the overlap of masks is the mean over the classes that there are, over all samples together.
func TestRegions(t *testing.T) {
	at := func(v ...float32) []float32 { return v }
	for name, c := range map[string]struct {
		op      string
		shape   []int
		rows    [][]float32
		add     []float64
		classes int
		iou     float64
	}{
		"one mask":                               {"Identity", []int{1, 2, 3}, [][]float32{at(1, 1, 0, 0, 0, 0), at(1, 0, 0, 0, 0, 1)}, []float64{0, 0, 0.9, 0, 0, 0}, 1, 4. / 6},
		"logits":                                 {"Identity", []int{1, 2, 3}, [][]float32{at(9, 9, -9, -9, -9, -9), at(9, -9, -9, -9, -9, 9)}, []float64{0, 0, 20, 0, 0, 0}, 1, 4. / 6},
		"two masks, of which the second is gone": {"Sigmoid", []int{2, 1, 3}, [][]float32{at(9, 9, -9, 9, -9, -9), at(9, -9, -9, -9, -9, -9)}, []float64{0, 0, 0, -20, 0, 0}, 2, 0.5},
		"masks along the last axis":              {"Sigmoid", []int{3, 4, 1}, [][]float32{at(9, 9, -9, -9, -9, -9, -9, -9, -9, -9, -9, -9)}, []float64{0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 2. / 3},
	} {
		o := Options{Kinds: map[string]Kind{"out": outputs.Mask}, Evidence: Unseen}
		for o.Batch = 1; o.Batch <= 2; o.Batch++ {
			r, err := compare(t, ending(t, c.op, c.shape), ending(t, c.op, c.shape, c.add...), vectors(nil, c.rows...), o)
			if err != nil {
				t.Fatal(err)
			}
			g := r.Outputs[0].Regions
			if g == nil || g.Classes != c.classes || !near(g.IoU.Value, c.iou) || r.Judged.Measure != IoU || !near(*r.Judged.Value, c.iou) {
				t.Errorf("%s: %+v, %+v", name, g, r.Judged)
			}
		}
	}
}

// TestRegionsOfClasses: where classes have scores, a place has the class of the largest.
func TestRegionsOfClasses(t *testing.T) {
	// Two places and three classes: the scores of a class lie together.
	rows := [][]float32{{1, 0, 0, 1, 0, 0}, {1, 1, 0, 0, 0, 0}}
	add := []float64{0, 0, 0, 0, 0, 3} // the second place has the third class always
	r, err := compare(t, placing(t, []int{3, 1, 2}), placing(t, []int{3, 1, 2}, add...), vectors(nil, rows...), Options{Kinds: map[string]Kind{"out": outputs.Mask}})
	if err != nil {
		t.Fatal(err)
	}
	// Before 0 1 and 0 0, after 0 2 and 0 2: of class 0 two of three, of 1 none of one, of 2 none of two.
	if g := r.Outputs[0].Regions; g == nil || g.Classes != 3 || g.Places != 4 || !near(g.Agreement, 0.5) || !near(g.IoU.Value, 2./9) || g.IoU.Low == nil {
		t.Errorf("%+v", g)
	}
}

// TestNoRegions: numbers between 0 and 1 that decide nothing are no mask, and neither is one without any place inside.
func TestNoRegions(t *testing.T) {
	for name, row := range map[string][]float32{"a depth": {0.2, 0.4, 0.6, 0.8, 0.5, 0.3}, "nothing inside": {0, 0, 0, 0.01, 0, 0}} {
		r, err := compare(t, placing(t, []int{1, 2, 3}), placing(t, []int{1, 2, 3}, 0.01, 0, 0, 0, 0, 0), vectors(nil, row), Options{Kinds: map[string]Kind{"out": outputs.Mask}})
		if err != nil {
			t.Fatal(err)
		}
		if r.Outputs[0].Regions != nil || r.Judged.Measure != SNR || !r.Outputs[0].Placeless() {
			t.Errorf("%s: %+v, %+v", name, r.Outputs[0].Regions, r.Judged)
		}
		if _, err := IoU.Of(r); err == nil || !strings.Contains(err.Error(), "looks like a mask") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDoubted: numbers that may be scores of classes are judged as numbers, and the sentence says what would have them judged by what they say.
func TestDoubted(t *testing.T) {
	model := func(more float64) string {
		b := testmodels.NewBuilder(1, 17, 8)
		x := b.Node("Reshape", []string{b.Input("x", tensor.Float32, "N", 12), b.Ints("shape", 0, 3, 2, 2)})
		b.Node("Add", []string{b.Conv(x, 3, 6, []int{1, 1}), b.Tensor("more", tensor.Float32, nil, []float64{more})})
		b.Output(b.Rename("out"), tensor.Float32, "N", 6, 2, 2)
		return save(t, b)
	}
	r, err := compare(t, model(0), model(0.1), vectors(nil, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if j := r.Judged; j.Measure != SNR || !strings.HasSuffix(j.Text, "its numbers may be scores of classes (mask): --kind out=mask says so.") {
		t.Errorf("%+v", j)
	}
}

// TestSpellingOfOne: a model of one sample may have its positions first.
func TestSpellingOfOne(t *testing.T) {
	model := func(add ...float64) string {
		b := testmodels.NewBuilder(1, 17, 8)
		x := b.Input("x", tensor.Float32, 1, 6)
		if add != nil {
			x = b.Node("Add", []string{x, b.Tensor("add", tensor.Float32, []int{6}, add)})
		}
		b.Node("Reshape", []string{x, b.Ints("shape", 2, 1, 3)})
		b.Output(b.Rename("out"), tensor.Float32, 2, 1, 3)
		return save(t, b)
	}
	src := vectors(nil, []float32{0, 1, 0, 1, 0, 0}, []float32{0, 0, 1, 1, 0, 0})
	r, err := compare(t, model(), model(0, 0, 5, 0, 0, 0), src, Options{Kinds: map[string]Kind{"out": outputs.Letters}})
	if err != nil {
		t.Fatal(err)
	}
	if q := r.Outputs[0].Sequence; q == nil || q.Positions != 4 || q.Spelling == nil || q.Spelling.Edits != 1 || q.Spelling.Before != 2 {
		t.Errorf("%+v", q)
	}
}

// TestPaddedTokens: what a model names at padding does not count.
func TestPaddedTokens(t *testing.T) {
	model := func(first ...float64) string { // the scores of three ids in two classes
		b := testmodels.NewBuilder(1, 17, 8)
		ids := b.Input("input_ids", tensor.Int64, "N", "S")
		b.Input("attention_mask", tensor.Int64, "N", "S")
		b.Node("Gather", []string{b.Tensor("table", tensor.Float32, []int{3, 2}, append(first, 0, 1, 1, 0)), ids})
		b.Output(b.Rename("out"), tensor.Float32, "N", "S", 2)
		return save(t, b)
	}
	whole := func(v ...int64) tensor.Dense { return tensor.FromInt64([]int{len(v)}, v) }
	var src memory
	for _, mask := range [][]int64{{1, 1, 0, 0}, {1, 1, 1, 0}} {
		src = append(src, samples.Sample{Name: "text", Label: -1, Inputs: map[string]tensor.Dense{"input_ids": whole(1, 2, 0, 0), "attention_mask": whole(mask...)}})
	}
	r, err := compare(t, model(1, 0), model(0, 1), src, Options{Kinds: map[string]Kind{"out": outputs.Tokens}})
	if err != nil {
		t.Fatal(err)
	}
	if q := r.Outputs[0].Sequence; q == nil || q.Positions != 5 || !near(q.Agreement.Value, 4./5) {
		t.Errorf("%+v", q)
	}
}
