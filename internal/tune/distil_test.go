package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// fashion returns the demo network, the same with chains of half the rank in place of its convolutions, and its images.
func fashion(t testing.TB) (original, small *onnxio.Model, src memory) {
	t.Helper()
	original, err := testmodels.Fashion()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { original.Close() })
	pixels := testmodels.FashionImages()
	const side = testmodels.FashionSize
	for i := range testmodels.FashionRecords {
		record := pixels[i*(1+side*side) : (i+1)*(1+side*side)]
		d := tensor.New(tensor.Float32, 1, side, side)
		for k, v := range record[1:] {
			d.Float32s()[k] = float32(v) / 255
		}
		src = append(src, samples.Sample{Name: fmt.Sprint("image ", i), Label: int(record[0]), Inputs: map[string]tensor.Dense{"image": d}})
	}
	names := graph.NewNameSet(original)
	var patches []rewrite.Patch
	for _, s := range sitetest.Sites(t, original, src[0]) {
		if s.Op != "Conv" {
			continue
		}
		p, err := rewrite.Replace(original, &s, sitetest.Chain(t, &s, (s.Kernel.FullRank()+2)/3), names)
		if err != nil {
			t.Fatal(err)
		}
		patches = append(patches, p)
	}
	if small, err = rewrite.Apply(original, patches, rewrite.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { small.Close() })
	return original, small, src
}

func distil(t testing.TB, lib *ort.Library, original, small *onnxio.Model, src memory, o Options) *Result {
	t.Helper()
	d, err := Run(context.Background(), lib, original, small, src, testkit.Count(len(src)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Model.Close() })
	return d
}

// Two epochs over 320 images bring the loss on held-out images down by more than half, and agreement up; what the
// curve says of the best state is what the returned model computes.
func TestDistilImproves(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := fashion(t)
	src = src[:400]
	d := distil(t, lib, original, small, src, Options{Epochs: 2, Batch: 32, Threads: 2})
	if d.End != Completed || !d.Improved || len(d.Curve) != 3 {
		t.Fatalf("%s, improved %v, curve %+v", d.End, d.Improved, d.Curve)
	}
	best := d.Curve[d.Best]
	if best.Held > d.Curve[0].Held/2 || best.Agreement <= d.Curve[0].Agreement {
		t.Errorf("from %+v to %+v", d.Curve[0], best)
	}
	held := src[:0:0]
	for i := range 40 {
		held = append(held, src[i*10+9])
	}
	y, z := sitetest.Watch(t, lib, d.Model, held, "logits"), sitetest.Watch(t, lib, original, held, "logits")
	same := 0.
	for i := range y {
		if tensor.ArgMax(y[i][0].Float32s()) == tensor.ArgMax(z[i][0].Float32s()) {
			same++
		}
	}
	if got := same / float64(len(y)); math.Abs(got-best.Agreement) > 1e-9 {
		t.Errorf("the model agrees on %g of the held-out images, the curve says %g", got, best.Agreement)
	}
}

// The same bytes for any number of threads.
func TestDistilThreads(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := fashion(t)
	src = src[:160]
	var first []byte
	for _, threads := range []int{1, 2, 5} {
		d := distil(t, lib, original, small, src, Options{Epochs: 1, Batch: 48, Threads: threads, Decay: 1e-3})
		data, err := d.Model.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if !d.Improved {
			t.Fatal("nothing changed, so nothing is shown")
		}
		if first == nil {
			first = data
		} else if !slices.Equal(first, data) {
			t.Errorf("%d threads give another model", threads)
		}
	}
}

// A tuning that is interrupted over and over, and goes on from its checkpoint each time, gives the same bytes and the same
// curve as one without a break.
func TestDistilResumes(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := fashion(t)
	src = src[:160]
	o := Options{Epochs: 2, Blocks: 1, Batch: 32, Threads: 2, Average: 0.9}
	want := distil(t, lib, original, small, src, o)
	o.Checkpoint, o.Resume = filepath.Join(t.TempDir(), "state"), true
	breaks := 0
	var got *Result
	for got == nil || got.End == Interrupted {
		ctx, stop := context.WithCancel(context.Background())
		steps := 0
		o.Progress = func(string, int, int) {
			if steps++; steps == 3 {
				stop()
				breaks++
			}
		}
		var err error
		if got, err = Run(ctx, lib, original, small, src, testkit.Count(len(src)), o); err != nil {
			t.Fatal(err)
		}
		stop()
		defer got.Model.Close()
		if breaks > 20 {
			t.Fatal("it never ends")
		}
	}
	if breaks < 2 {
		t.Fatalf("%d breaks, so nothing is shown", breaks)
	}
	if fmt.Sprint(got.Curve) != fmt.Sprint(want.Curve) || got.Best != want.Best {
		t.Errorf("curve %v, want %v", got.Curve, want.Curve)
	}
	if same, why := onnxio.Equal(got.Model, want.Model); !same {
		t.Errorf("another model: %s", why)
	}
	o.Progress, o.Rate = nil, 0.5
	_, err := Run(context.Background(), lib, original, small, src, testkit.Count(len(src)), o)
	if bad := (*CheckpointError)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), "options differ") {
		t.Errorf("with another rate: %v", err)
	}
}

// Damaged checkpoints are refused, whatever byte is wrong.
func TestCheckpointDamage(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := fashion(t)
	src = src[:96]
	o := Options{Epochs: 1, Batch: 32, Checkpoint: filepath.Join(t.TempDir(), "state")}
	distil(t, lib, original, small, src, o)
	data, err := os.ReadFile(o.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	o.Resume = true
	for name, damaged := range map[string][]byte{
		"empty": {}, "short": data[:len(data)-1], "head": data[:40], "magic": append([]byte("x"), data[1:]...),
		"numbers": slices.Concat(data[:len(data)-100], []byte{data[len(data)-100] ^ 1}, data[len(data)-99:]),
	} {
		if err := os.WriteFile(o.Checkpoint, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Run(context.Background(), lib, original, small, src, testkit.Count(len(src)), o)
		if bad := (*CheckpointError)(nil); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A learning rate that is far too large ends with the start, and says so.
func TestDistilDiverges(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := fashion(t)
	d := distil(t, lib, original, small, src[:96], Options{Epochs: 3, Batch: 16, Rate: 30, Clip: -1, Average: -1})
	if d.End != Diverged || d.Improved || d.Advice == "" {
		t.Errorf("%s, improved %v, advice %q", d.End, d.Improved, d.Advice)
	}
	if same, why := onnxio.Equal(d.Model, small); !same {
		t.Errorf("the model is not the start: %s", why)
	}
}

// An interrupt before the first step leaves the start.
func TestDistilInterrupted(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := fashion(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	watched := &testkit.Watched[samples.Sample]{Memory: src[:160]}
	d, err := Run(ctx, lib, original, small, watched, testkit.Count(160), Options{Epochs: 50, Batch: 32, Progress: func(what string, _, _ int) {
		if strings.HasPrefix(what, "epoch 2/50,") {
			stop()
		}
	}})
	watched.Returned(t)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Model.Close()
	if d.End != Interrupted || !d.Improved {
		t.Errorf("%s, improved %v", d.End, d.Improved)
	}
}

// opaque has an operator without a gradient between its first and its second layer.
func opaque(t testing.TB) *onnxio.Model {
	b := testmodels.NewBuilder(1, 13, 8)
	x := b.Input("x", tensor.Float32, "N", 4, 5, 5)
	y := b.Node("LRN", []string{b.Conv(x, 4, 6, []int{3, 3})}, graph.Int("size", 3))
	b.Output(b.Rename(b.Conv(y, 6, 2, []int{3, 3})), tensor.Float32, "N", 2, 1, 1)
	return testkit.Built(t, b)
}

// An operator without a gradient is named, and so are the weights that can be tuned; asked for alone, these are.
func TestDistilOpaque(t *testing.T) {
	lib := orttest.Open(t)
	m := opaque(t)
	src := sitetest.Draws(48, "x", 0, 4, 5, 5)
	_, err := Run(context.Background(), lib, m, m, src, testkit.Count(len(src)), Options{})
	bad := (*OpaqueError)(nil)
	if !errors.As(err, &bad) || len(bad.Open) == 0 || len(bad.Blocked) == 0 || !slices.Equal(bad.Operators, []string{"LRN"}) {
		t.Fatalf("%v: %+v", err, bad)
	}
	if err := Rehearse(context.Background(), lib, m, src, Options{}); !errors.As(err, &bad) {
		t.Errorf("rehearsed: %v", err)
	}
	if err := Rehearse(context.Background(), lib, m, src, Options{Part: Reachable}); err != nil {
		t.Errorf("rehearsed: %v", err)
	}
	changed := newParameters(m, func(name string) bool { return name == bad.Open[0] })
	w, err := changed.load(m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range w {
		w[i] *= 1.5
	}
	small := changed.into(m, w)
	defer small.Close()
	d := distil(t, lib, m, small, src, Options{Part: Reachable, Epochs: 30, Batch: 16, Rate: 0.02})
	if !d.Improved || d.Tensors != len(bad.Open) {
		t.Errorf("improved %v, %d tensors, want %d", d.Improved, d.Tensors, len(bad.Open))
	}
}

// Balanced factors compute what they did, and the channels between them have the same norm on both sides.
func TestBalance(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := fashion(t)
	p := newParameters(small, nil)
	w, err := p.load(small)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range p.list { // out of balance
		if strings.HasSuffix(v.name, "first") || strings.Contains(v.name, "first") {
			for i := v.from; i < v.to; i++ {
				w[i] *= 30
			}
		}
	}
	rough := p.into(small, w)
	defer rough.Close()
	moved := slices.Clone(w)
	balance(original, rough, p, moved)
	if slices.Equal(moved, w) {
		t.Fatal("nothing was balanced")
	}
	smooth := p.into(small, moved)
	defer smooth.Close()
	a, b := sitetest.Watch(t, lib, rough, src[:4], "logits"), sitetest.Watch(t, lib, smooth, src[:4], "logits")
	for i := range a {
		x, _ := a[i][0].Float64s()
		y, _ := b[i][0].Float64s()
		if off := sitetest.Apart(y, x); off > 1e-4 {
			t.Errorf("sample %d: outputs move by %g", i, off)
		}
	}
	again := slices.Clone(moved)
	balance(original, smooth, p, again)
	for i := range again {
		if math.Abs(float64(again[i]-moved[i])) > 1e-4*math.Abs(float64(moved[i]))+1e-9 {
			t.Fatalf("balanced factors are balanced anew: %g, %g", moved[i], again[i])
		}
	}
}

// What makes no sense is refused before any work.
func TestDistilRefuses(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := fashion(t)
	src = src[:64]
	other := opaque(t)
	for name, c := range map[string]struct {
		original *onnxio.Model
		src      memory
		o        Options
		want     string
	}{
		"one sample":     {original, src[:1], Options{}, "1 samples"},
		"another model":  {other, src, Options{}, "the original does not"},
		"no such output": {original, src, Options{Weights: map[string]float64{"x": 1}}, `output "x", which the model does not have`},
		"no such loss":   {original, src, Options{Losses: map[string]Loss{"x": KL}}, `output "x", which the model does not have`},
		"no output left": {original, src, Options{Weights: map[string]float64{"logits": 0}}, "no output"},
		"no such value":  {original, src, Options{Values: []string{"x"}}, `no value "x"`},
		"averaging":      {original, src, Options{Average: 1}, "moving average"},
		"part":           {original, src, Options{Part: "half"}, "unknown part"},
		"no checkpoint":  {original, src, Options{Resume: true}, "a checkpoint is needed"},
		"decay":          {original, src, Options{Decay: 1e5}, "weight decay"},
	} {
		_, err := Run(context.Background(), lib, c.original, small, c.src, testkit.Count(len(c.src)), c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	b := testmodels.NewBuilder(1, 13, 8)
	b.Output(b.Rename(b.Conv(b.Input("x", tensor.Float32, "N", 4, 5, 5), 4, 6, []int{3, 3})), tensor.Float32, "N", 6, 3, 3)
	filter := testkit.Built(t, b)
	images := sitetest.Draws(32, "x", 0, 4, 5, 5)
	if _, err := Run(context.Background(), lib, filter, filter, images, testkit.Count(len(images)), Options{Augment: mirror(t, filter)}); err == nil || !strings.Contains(err.Error(), "nothing to average over mirror images") {
		t.Errorf("mirror images without class scores: %v", err)
	}
	if _, err := Run(context.Background(), lib, original, original, src, testkit.Count(len(src)), Options{Part: Factors}); err == nil || !strings.Contains(err.Error(), "no factors") {
		t.Errorf("factors of the original: %v", err)
	}
}

// The layers inside are held to the original's, and labels count.
func TestDistilFeaturesAndLabels(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := fashion(t)
	src = src[:200]
	d := distil(t, lib, original, small, src, Options{Epochs: 2, Batch: 16, Features: 0.5, Labels: true, Part: Factors, Threads: 2})
	if !d.Improved || d.Curve[0].Accuracy == nil || d.Tensors == 0 {
		t.Errorf("improved %v, %d tensors, curve %+v", d.Improved, d.Tensors, d.Curve)
	}
}

// mirror augments with mirror images.
func mirror(t testing.TB, m *onnxio.Model) *samples.Augmenter {
	t.Helper()
	inputs, err := samples.Inputs(m)
	if err != nil {
		t.Fatal(err)
	}
	a, err := samples.NewAugmenter(samples.Augment{Mirror: true}, samples.SourceOptions{}, inputs, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Held to the mean over mirror images, the start is judged by that mean, and comes closer to it. Where it was fitted to the images that
// judge, it is judged on their mirror images.
func TestDistilMirror(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := fashion(t)
	src = src[:200]
	a := mirror(t, original)
	d := distil(t, lib, original, small, src, Options{Epochs: 2, Batch: 32, Augment: a})
	if !d.Improved || d.Curve[d.Best].Held > 0.7*d.Curve[0].Held {
		t.Errorf("improved %v, curve %+v", d.Improved, d.Curve)
	}
	_, judges := Split(testkit.Count(len(src)), nil)
	fitted := distil(t, lib, original, small, src, Options{Epochs: 1, Batch: 128, Held: judges, Augment: a, Familiar: true})
	for what, c := range map[string]struct {
		got      float64
		mirrored bool
	}{"new": {d.Curve[0].Held, false}, "familiar": {fitted.Curve[0].Held, true}} {
		var held, other memory
		for _, i := range judges {
			s := src[i]
			flipped := s
			var err error
			if flipped.Inputs, err = a.Mirrored(s.Inputs, false); err != nil {
				t.Fatal(err)
			}
			if c.mirrored {
				s, flipped = flipped, s
			}
			held, other = append(held, s), append(other, flipped)
		}
		y, z, mirrored := sitetest.Watch(t, lib, small, held, "logits"), sitetest.Watch(t, lib, original, held, "logits"), sitetest.Watch(t, lib, original, other, "logits")
		whole, plain, apart := variance{loss: Logits}, 0., 0.
		for i := range y {
			target := slices.Clone(z[i][0].Float32s())
			for k, v := range mirrored[i][0].Float32s() {
				target[k] = (target[k] + v) / 2
			}
			whole.add(target)
			apart += Logits.distance(y[i][0].Float32s(), target, 1) / float64(len(y))
			plain += Logits.distance(y[i][0].Float32s(), z[i][0].Float32s(), 1) / float64(len(y))
		}
		if math.Abs(apart-plain) < 1e-3*plain { // ten times the tolerance below
			t.Fatalf("%s: %g from the mean, %g from the original: so near that nothing is shown", what, apart, plain)
		}
		if want := apart * whole.weight(); math.Abs(c.got-want) > 1e-4*want {
			t.Errorf("%s: the start's loss is %g, want %g", what, c.got, want)
		}
	}
}

// A blended sample has a part of both classes; classes that are not known have none.
func TestLabelsOfBlends(t *testing.T) {
	r := &feed.Run{Samples: []samples.Sample{
		{Label: 1}, {Label: 0, Share: 0.25, Other: 2}, {Label: 2, Share: 0.5, Other: 2}, {Label: 0, Share: 0.25, Other: -1}, {Label: -1},
	}}
	want := []float32{0, 1, 0, 0.75, 0, 0.25, 0, 0, 1, 0.75, 0, 0, 0, 0, 0}
	if got := ones(r, []int{5, 3}).Float32s(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
