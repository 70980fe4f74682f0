package tune

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// Residual blocks end where they are added to what goes around them; one that branches off earlier, or an output on the way, parts nothing.
func TestEnds(t *testing.T) {
	original, small, _ := fashion(t)
	g := graph.Of(original)
	got := ends(original, small)
	for _, v := range got[:len(got)-1] { // what comes before the classifier is pooled
		n, _ := g.Producer(v)
		if add, ok := g.Producer(n.Input(0)); n.Op() != "Relu" || !ok || add.Op() != "Add" {
			t.Errorf("%s is made by a %s, want the activation of a sum", v, n.Op())
		}
	}
	if len(got) != 6 {
		t.Errorf("%d ends %q, want one for each of the 6 residual blocks", len(got), got)
	}
}

// A value that something goes past is none between blocks, nor one that a layer lies before only.
func TestSeparators(t *testing.T) {
	b := testmodels.NewBuilder(1, 13, 8)
	x, mask := b.Input("x", tensor.Float32, "N", 4, 3, 3), b.Input("mask", tensor.Float32, "N", 4, 1, 1)
	first := b.Node("Relu", []string{b.Conv(x, 4, 4, []int{1, 1})})
	second := b.Node("Mul", []string{b.Conv(first, 4, 4, []int{1, 1}), mask})
	sum := b.Node("Add", []string{first, second})
	third := b.Node("Mul", []string{b.Conv(sum, 4, 4, []int{1, 1}), mask})
	b.Output(b.Rename(b.Conv(third, 4, 2, []int{1, 1})), tensor.Float32, "N", 2, 3, 3)
	m := testkit.Built(t, b)
	of := separators(m)
	for v, want := range map[string]bool{first: true, second: false, sum: true, third: true, x: false, mask: false} {
		if of[v] != want {
			t.Errorf("%s parts the model: %v, want %v", v, of[v], want)
		}
	}
	if got := ends(m, m); !slices.Equal(got, []string{sum}) {
		t.Errorf("ends %q, want %q", got, sum)
	}
}

// The gradient of a block's weights, where all blocks learn at once, is that of a model that ends with the block.
func TestBlocksLearnAlone(t *testing.T) {
	original, small, src := fashion(t)
	tr := idle(orttest.Open(t), original, small, src[:16], Options{Batch: 16, Epochs: 2, Blocks: 1}.withDefaults())
	defer tr.close()
	tr.learn, tr.held = testkit.Count(16), testkit.Count(16)
	for _, step := range []func(context.Context) error{tr.probe, tr.weigh, tr.open, tr.appraise} {
		if err := step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.begin(); err != nil {
		t.Fatal(err)
	}
	alone := gradients(t, tr, 0)
	before := map[string][]float32{}
	for k, one := range tr.stages[0].terms[tr.outputs:][:2] {
		tr.stages = append(tr.stages, stage{epochs: 1, terms: []term{one}})
		until, count := gradients(t, tr, 2+k), 0
		for name, g := range until {
			if zero(g) || before[name] != nil && !zero(before[name]) {
				continue
			}
			count++
			if off := sitetest.Apart(float64s(alone[name]), float64s(g)); off > 1e-5 {
				t.Errorf("block %d, weight %s: the gradient is off by %g", k, name, off)
			}
		}
		if before = until; count == 0 {
			t.Errorf("block %d has no weights", k)
		}
	}
}

// gradients are those of a stage's objective, by weight.
func gradients(t *testing.T, tr *trainer, k int) map[string][]float32 {
	t.Helper()
	tr.pose(k)
	run, err := tr.first(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	results, err := tr.run(context.Background(), run)
	if err != nil {
		t.Fatal(err)
	}
	defer results.Close()
	out := map[string][]float32{}
	for i, p := range tr.params.list {
		out[p.name] = slices.Clone(results.Get(1 + i).Float32s())
	}
	return out
}

func zero(v []float32) bool {
	return !slices.ContainsFunc(v, func(x float32) bool { return x != 0 })
}

func float64s(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// What is better by less than chance is not surely better.
func TestSurely(t *testing.T) {
	for _, c := range []struct {
		before, after []float64
		want          bool
	}{
		{[]float64{2, 2, 2, 2}, []float64{1, 1, 1, 1}, true},
		{[]float64{2, 2, 2, 2}, []float64{2, 2, 2, 2}, false},
		{[]float64{2, 2, 2, 2}, []float64{3, 3, 3, 3}, false},
		{[]float64{2, 2, 2, 2}, []float64{1, 1, 1, 2}, true},
		{[]float64{2, 2, 2, 2}, []float64{0, 2.9, 2.9, 1.9}, false}, // one sample says so
	} {
		if got := surely(c.before, c.after); got != c.want {
			t.Errorf("from %v to %v: %v, want %v", c.before, c.after, got, c.want)
		}
	}
}

// Few samples are seen more often, starts that are near less; the rate grows with the steps and with what there is to win.
func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		steps  int
		loss   float64
		epochs int
	}{
		{14, 0.2, 115}, {14, 0.03, 58}, {14, 1e-4, 20}, {3, 0.2, 120}, {780, 1, 20},
	} {
		if got := epochs(c.steps, c.loss); got != c.epochs {
			t.Errorf("%d steps an epoch, loss %g: %d epochs, want %d", c.steps, c.loss, got, c.epochs)
		}
	}
	for _, c := range []struct {
		steps      int
		loss, rate float64
	}{
		{100, 1, 4.5e-4}, {800, 1, 9e-4}, {800, 0.025, 4.5e-4}, {12500, 0.1, 2.25e-3}, {12500, 1e-6, 3e-4},
	} {
		if got := SOAP.rate(c.steps, c.loss); math.Abs(got-c.rate) > 1e-9 {
			t.Errorf("%d steps, loss %g: rate %g, want %g", c.steps, c.loss, got, c.rate)
		}
	}
}

// A stage begins with the best state so far, which is the start where nothing was better.
func TestStagesAreTakenBack(t *testing.T) {
	original, small, src := fashion(t)
	tr := &trainer{o: Options{Threads: 1, Optimizer: Adam}, original: original, compressed: small, src: src, params: newParameters(small, nil)}
	var err error
	if tr.start, err = tr.params.load(small); err != nil {
		t.Fatal(err)
	}
	tr.renew()
	first := slices.Clone(tr.weights)
	tr.weights[0]++
	tr.descent.first[0] = 1
	tr.renew()
	if !slices.Equal(tr.weights, first) || tr.descent.first[0] != 0 {
		t.Error("what nothing says is better is gone on from")
	}
	tr.best = slices.Clone(first)
	tr.best[0] += 2
	tr.renew()
	if tr.weights[0] != first[0]+2 {
		t.Error("the best state is not gone on from")
	}
}

// Blocks learn alone where the start is far off and there are blocks.
func TestAstray(t *testing.T) {
	original, small, _ := fashion(t)
	filter := opaque(t)
	for _, c := range []struct {
		original, small *onnxio.Model
		loss            float64
		epochs, want    int
	}{
		{original, small, 0.6, 6, 2}, {original, small, 0.6, 2, 0}, {original, small, 0.4, 6, 0}, {original, small, 0.6, 0, 40}, {filter, filter, 0.6, 6, 0},
	} {
		tr := &trainer{o: Options{Epochs: c.epochs}, original: c.original, compressed: c.small, learn: testkit.Count(160), shard: 16, shards: 1, curve: []Point{{Held: c.loss}}}
		if got := tr.astray(); got != c.want {
			t.Errorf("loss %g, %d epochs: blocks learn alone in %d, want %d", c.loss, c.epochs, got, c.want)
		}
		tr.labels = new(supervision)
		if tr.astray() != 0 {
			t.Error("blocks learn alone where labels count")
		}
	}
}
