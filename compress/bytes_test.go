package compress

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestBytes: the written file is within the target, says so, and makes use of it.
func TestBytes(t *testing.T) {
	needRuntime(t)
	for _, c := range []struct {
		model string
		o     Options
	}{
		{"cnn", Options{Targets: []Target{half(Bytes)}}},
		{"cnn", Options{Targets: []Target{half(Bytes)}, Source: images(40), CalibSamples: 24, Probes: 1}},
		{"cnn", Options{Targets: []Target{{Resource: Bytes, Value: 20000}}}},
		{"cnn", Options{Targets: []Target{share(MACs, 0.9), share(Bytes, 0.6)}}},
		{"cnn_float16", Options{Targets: []Target{half(Bytes)}}},
		{"cnn_constant_nodes", Options{Targets: []Target{half(Bytes)}}},
		{"cnn_overridable", Options{Targets: []Target{half(Bytes)}}},
		{"transformer", Options{Targets: []Target{share(Bytes, 0.8)}}},
	} {
		m := zoo(t, c.model)
		original, err := fileBytes(m.Path)
		if err != nil {
			t.Fatal(err)
		}
		r, written := run(t, m, c.o)
		k := bytesTarget(c.o.Targets)
		reached, size := r.Targets[k], int64(len(written))
		limit := c.o.Targets[k].Limit(original)
		t.Logf("%s: %d of %.0f bytes", c.model, size, limit)
		if float64(size) > limit || reached.Reached != size || r.Output.Bytes != size || reached.Original != original || reached.Limit != limit {
			t.Errorf("%s: %d bytes written, %+v", c.model, size, reached)
		}
		if float64(size) < 0.9*limit {
			t.Errorf("%s: only %d of %.0f bytes are used", c.model, size, limit)
		}
	}
}

// TestBytesExternal counts the weights beside the model. Nothing stands between its products, so every other one stays
// as it is: factors of neighbours would merge.
func TestBytesExternal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := testmodels.WriteLarge(path, 1, 1<<20, 128, true); err != nil {
		t.Fatal(err)
	}
	m, err := onnxio.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	original, err := fileBytes(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	o := RunOptions{Output: out(t), Options: Options{Targets: []Target{share(Bytes, 0.7)}, AcceptDamage: true}}
	for i, n := range graph.Of(m).Nodes() {
		if i%2 == 0 {
			o.Select.Only = append(o.Select.Only, n.Name())
		}
	}
	r, err := Run(context.Background(), in(t), m, o)
	if err != nil {
		t.Fatal(err)
	}
	size, err := fileBytes(o.Output)
	if err != nil || float64(size) > 0.7*float64(original) || r.Targets[0].Reached != size || size < original/2 {
		t.Errorf("%d of %d bytes, %+v, %v", size, original, r.Targets[0], err)
	}
}

// TestBytesTooLarge: a plan whose file is too large is made anew, and a given one refused.
func TestBytesTooLarge(t *testing.T) {
	m := zoo(t, "cnn")
	size, err := fileBytes(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	w := factoredIn(t, bare(), m, Options{Targets: []Target{half(Bytes)}, VerifySamples: 1})
	for i := range w.of.sites {
		w.of.sites[i].overhead = nil // so that the names and nodes are taken for nothing
	}
	o := to(t, w.o)
	record, err := o.record(m, digests{source: "of this test"})
	if err != nil {
		t.Fatal(err)
	}
	job := &work{env: w.env, o: w.o, a: w.a, record: record, place: place{path: o.Output}}
	d, last, _, err := job.deliver(context.Background(), &Choice{Offers: w.of})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Assembled.close()
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	searches := 0
	for _, s := range *w.env.journal {
		if s.Name == "search" {
			searches++
		}
	}
	written, err := fileBytes(o.Output)
	if err != nil || searches < 2 || last.Spare == 0 || float64(written) > 0.5*float64(size) || written < size*2/5 {
		t.Errorf("%d searches, the last to leave %g bytes; %d of %d bytes, %v", searches, last.Spare, written, size, err)
	}
	result, err := job.sum(context.Background(), d, last, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Targets) != 1 || len(result.Sites) != len(w.a.Sites) {
		t.Errorf("%d targets, %d sites", len(result.Targets), len(result.Sites))
	}

	plan := PlanOf(result)
	follow, _ := run(t, m, Options{FromPlan: &plan, VerifySamples: 1})
	written = follow.Output.Bytes // the record names the plan in place of the target
	for _, c := range []struct {
		limit int64
		holds bool
	}{{written, true}, {written - 1, false}} {
		o := to(t, Options{FromPlan: &plan, Targets: []Target{{Resource: Bytes, Value: float64(c.limit)}}})
		_, err = Run(context.Background(), in(t), m, o)
		if over := (*PlanError)(nil); c.holds && err != nil || !c.holds && (!errors.As(err, &over) || int64(over.Needed) != written) {
			t.Errorf("at most %d bytes: error %v", c.limit, err)
		}
		if !c.holds {
			empty(t, filepath.Dir(o.Output))
		}
	}
}

// TestBytesUnmet: what cannot be reached is said, and nothing written; what is said to be
// in reach is.
func TestBytesUnmet(t *testing.T) {
	m := zoo(t, "cnn")
	o := to(t, Options{Targets: []Target{share(Bytes, 0.001)}})
	_, err := Run(context.Background(), in(t), m, o)
	testkit.WantError(t, err, "bytes=0.001", "least that can be reached")
	unmet := (*UnmetError)(nil)
	if !errors.As(err, &unmet) {
		t.Fatalf("%v is no UnmetError", err)
	}
	empty(t, filepath.Dir(o.Output))
	run(t, m, Options{Targets: []Target{{Resource: Bytes, Value: unmet.Reachable}}})
}

// countable are the resources that no file is needed for.
func countable() []Resource { return []Resource{MACs, Params} }
