package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func spec(name string, shape ...int) samples.InputSpec {
	return samples.InputSpec{Name: name, Type: tensor.Float32, Shape: shape}
}

// cuts describes the runs of a feed: the samples' names and the batch.
func cuts(t *testing.T, src memory, indices []int, inputs []samples.InputSpec, batch, ahead int) ([]string, []*Run) {
	t.Helper()
	f, err := New(src, indices, inputs, batch, ahead)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	var runs []*Run
	for {
		r, err := f.Next(context.Background())
		if err == io.EOF {
			return out, runs
		}
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(r.Batch, ":")
		for _, s := range r.Samples {
			text += s.Name[len("sample"):]
		}
		out, runs = append(out, text), append(runs, r)
	}
}

func TestFeedCuts(t *testing.T) {
	same := random(5, "x", tensor.Float32, 2, 3)
	mixed := slices.Concat(random(3, "x", tensor.Float32, 2, 3), random(4, "x", tensor.Float32, 2, 4)[3:], same[4:])
	whole := random(3, "x", tensor.Float32, 2, 3)
	for i := range whole {
		whole[i].Whole = true
	}
	for _, c := range []struct {
		name  string
		src   memory
		input samples.InputSpec
		want  []string
	}{
		{"free batch", same, spec("x", -1, 2, 3), []string{"2: 0 1", "2: 2 3", "1: 4"}},
		{"unknown rank", same, samples.InputSpec{Name: "x", Type: tensor.Float32}, []string{"2: 0 1", "2: 2 3", "1: 4"}},
		{"fixed batch", same, spec("x", 3, 2, 3), []string{"3: 0 1 2", "3: 3 4"}},
		{"no batch axis", same, spec("x", 2, 3), []string{"0: 0", "0: 1", "0: 2", "0: 3", "0: 4"}},
		{"several shapes", mixed, spec("x", -1, 2, -1), []string{"2: 0 1", "1: 2", "1: 3", "1: 4"}},
		{"several shapes, fixed batch", mixed, spec("x", 2, 2, -1), []string{"2: 0 1", "2: 2", "2: 3", "2: 4"}},
		{"whole inputs", whole, spec("x", -1, 3), []string{"0: 0", "0: 1", "0: 2"}},
	} {
		for ahead := 1; ahead < 4; ahead++ {
			got, runs := cuts(t, c.src, testkit.Count(len(c.src)), []samples.InputSpec{c.input}, 2, ahead)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, %d ahead: runs %q, want %q", c.name, ahead, got, c.want)
			}
			for i, r := range runs {
				if r.Seq != i || r.Inputs["x"].Check() != nil {
					t.Errorf("%s: run %d has number %d, input %v", c.name, i, r.Seq, r.Inputs["x"].Check())
				}
			}
			if last := runs[len(runs)-1]; last.Done != len(c.src) {
				t.Errorf("%s: %d samples are done at the end, want %d", c.name, last.Done, len(c.src))
			}
		}
	}
}

func TestFeedStacks(t *testing.T) {
	src := random(3, "x", tensor.Float32, 2)
	_, runs := cuts(t, src, []int{2, 0, 1}, []samples.InputSpec{spec("x", 2, 2)}, 9, 1)
	value := func(sample, i int) float32 { return src[sample].Inputs["x"].Float32s()[i] }
	want := [][]float32{
		{value(2, 0), value(2, 1), value(0, 0), value(0, 1)},
		{value(1, 0), value(1, 1), value(1, 0), value(1, 1)}, // the last one is repeated
	}
	for i, r := range runs {
		if got := r.Inputs["x"]; !slices.Equal(got.Float32s(), want[i]) || !slices.Equal(got.Shape, []int{2, 2}) {
			t.Errorf("run %d: %v%v, want %v", i, got.Shape, got.Float32s(), want[i])
		}
	}
}

// TestFeedByOwnShapes feeds a number beside a batch, one sample at a time, and a model whose inputs take different batches.
func TestFeedByOwnShapes(t *testing.T) {
	src := random(3, "x", tensor.Float32, 2)
	for i := range src {
		src[i].Inputs["t"] = tensor.FromFloat32([]int{}, []float32{float32(i)})
		src[i].Inputs["ids"] = tensor.FromFloat32([]int{3}, []float32{1, 2, 3})
	}
	for name, c := range map[string]struct {
		inputs []samples.InputSpec
		want   []string
		shapes string
	}{
		"a number":             {[]samples.InputSpec{spec("x", -1, 2), spec("t", []int{}...), spec("ids", -1, -1)}, []string{"0: 0", "0: 1", "0: 2"}, "[1 2] [] [1 3]"},
		"different batches":    {[]samples.InputSpec{spec("x", -1, 2), spec("t", -1), spec("ids", 1, -1)}, []string{"1: 0", "1: 1", "1: 2"}, "[1 2] [1] [1 3]"},
		"a number in a batch":  {[]samples.InputSpec{spec("x", -1, 2), spec("t", -1), spec("ids", -1, 3)}, []string{"2: 0 1", "1: 2"}, "[1 2] [1] [1 3]"},
		"a fixed batch of one": {[]samples.InputSpec{spec("x", 1, 2), spec("t", []int{}...), spec("ids", 1, 3)}, []string{"0: 0", "0: 1", "0: 2"}, "[1 2] [] [1 3]"},
	} {
		got, runs := cuts(t, src, testkit.Count(3), c.inputs, 2, 1)
		last := runs[len(runs)-1].Inputs
		if shapes := fmt.Sprint(last["x"].Shape, last["t"].Shape, last["ids"].Shape); !slices.Equal(got, c.want) || shapes != c.shapes {
			t.Errorf("%s: runs %q, the last of %s; want %q, %s", name, got, shapes, c.want, c.shapes)
		}
		if v := last["t"].Float32s(); len(v) != 1 || v[0] != 2 {
			t.Errorf("%s: the last number is %v", name, v)
		}
	}
}

func TestRunCount(t *testing.T) {
	inputs := func(shapes ...[]int) map[string]tensor.Dense {
		out := map[string]tensor.Dense{}
		for i, s := range shapes {
			out[fmt.Sprint(i)] = tensor.New(tensor.Float32, s...)
		}
		return out
	}
	for _, c := range []struct {
		run  Run
		want int
	}{
		{Run{Batch: 4, Samples: make([]samples.Sample, 3)}, 3},
		{Run{Samples: []samples.Sample{{Whole: true}}, Inputs: inputs([]int{5, 2}, []int{5})}, 5},
		{Run{Samples: []samples.Sample{{Whole: true}}, Inputs: inputs([]int{5, 2}, []int{4})}, 1},
		{Run{Samples: []samples.Sample{{Whole: true}}, Inputs: inputs([]int{5, 2}, nil)}, 1},
		{Run{Samples: []samples.Sample{{}}, Inputs: inputs([]int{5, 2})}, 1},
	} {
		if got := c.run.Count(); got != c.want {
			t.Errorf("%+v counts %d examples, want %d", c.run, got, c.want)
		}
	}
}

// failing is a source whose sample 3 cannot be read.
type failing struct{ memory }

func (f failing) Sample(i int) (samples.Sample, error) {
	if i == 3 {
		return samples.Sample{}, errors.New("sample 3 is gone")
	}
	return f.memory.Sample(i)
}

func TestFeedErrors(t *testing.T) {
	src := failing{random(8, "x", tensor.Float32, 2)}
	f, err := New(src, testkit.Count(8), []samples.InputSpec{spec("x", -1, 2)}, 2, 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Next(context.Background()); err != nil {
		t.Error(err)
	}
	for range 3 { // the error stays
		_, err = f.Next(context.Background())
		testkit.WantError(t, err, "sample 3 is gone")
	}
	f, err = New(src, []int{0}, []samples.InputSpec{spec("x", 2, 2), {Name: "y", Type: tensor.Float32, Shape: []int{3}}}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Next(context.Background())
	testkit.WantError(t, err, "nothing for the input y: float32[3]")
	two := memory{{Name: "s", Inputs: map[string]tensor.Dense{"x": tensor.New(tensor.Float32, 2), "y": tensor.New(tensor.Float32)}}}
	f, err = New(two, []int{0}, []samples.InputSpec{spec("x", 2, 2), spec("y", 3)}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Next(context.Background())
	testkit.WantError(t, err, "x: float32[2,2]; y: float32[3]", "cannot be stacked")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	f, err = New(blocked{}, []int{0}, []samples.InputSpec{spec("x", -1)}, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.Next(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the context has ended", err)
	}
}

// blocked is a source that never gives anything.
type blocked struct{ memory }

func (blocked) Len() int                           { return 1 }
func (blocked) Sample(int) (samples.Sample, error) { select {} }

// When a feed has given up, by an error or because the context has ended, its source is left alone.
func TestSourceIsLeftAlone(t *testing.T) {
	broken := errors.New("broken")
	for name, end := range map[string]func(cancel func()) error{
		"all runs":  func(func()) error { return nil },
		"an error":  func(func()) error { return broken },
		"cancelled": func(cancel func()) error { cancel(); return nil },
	} {
		src := &testkit.Watched[samples.Sample]{Memory: random(64, "x", tensor.Float32, 2)}
		f, err := New(src, testkit.Count(64), []samples.InputSpec{spec("x", -1, 2)}, 4, 8)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		err = f.Merge(ctx, 2, func(string, int, int) {}, func(context.Context, *Run) (func(), error) { return func() {}, end(cancel) })
		src.Returned(t)
		if want := map[string]error{"an error": broken, "cancelled": context.Canceled}[name]; !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		cancel()
	}
	src := &testkit.Watched[samples.Sample]{Memory: random(64, "x", tensor.Float32, 2)}
	if r, err := First(context.Background(), src, testkit.Count(64), []samples.InputSpec{spec("x", -1, 2)}, 4); err != nil || len(r.Samples) != 4 {
		t.Errorf("the first run: %+v, %v", r, err)
	}
	src.Returned(t)
}

// TestExplain: a refusal by the runtime of several samples at once has the advice to run one at a time, where there is a choice.
func TestExplain(t *testing.T) {
	src := random(4, "x", tensor.Float32, 2)
	refusal := fmt.Errorf("running: %w", &ort.Error{Op: "run", Code: "FAIL", Message: "cannot be reshaped"})
	for name, c := range map[string]struct {
		input samples.InputSpec
		batch int
		fault error
		want  bool
	}{
		"a free batch":     {spec("x", -1, 2), 4, refusal, true},
		"a batch of one":   {spec("x", -1, 2), 1, refusal, false},
		"a fixed batch":    {spec("x", 4, 2), 4, refusal, false},
		"another error":    {spec("x", -1, 2), 4, errors.New("no space"), false},
		"a missing kernel": {spec("x", -1, 2), 4, &ort.Error{Code: "NOT_IMPLEMENTED"}, false},
	} {
		f, err := New(src, testkit.Count(4), []samples.InputSpec{c.input}, c.batch, 1)
		if err != nil {
			t.Fatal(err)
		}
		err = f.Merge(context.Background(), 1, func(string, int, int) {}, func(context.Context, *Run) (func(), error) { return nil, c.fault })
		if !errors.Is(err, c.fault) || strings.Contains(err.Error(), "4 samples ran at once, and the model may have been made for one at a time: try batch 1") != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
