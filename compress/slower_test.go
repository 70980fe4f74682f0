package compress

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
	"github.com/onnx-compress/onnx-compress/verify"
)

// TestSlower: a run that nobody asked for times says what the models take where the result is slower, and nothing where it is several times
// faster.
func TestSlower(t *testing.T) {
	needRuntime(t)
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Input("x", tensor.Float32, 1, 16, 32, 32)
	for range 4 {
		x = b.Node("Relu", []string{b.Conv(x, 16, 16, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))})
	}
	b.Output(x, tensor.Float32, 1, 16, 32, 32)
	thin := built(t, b)
	b = testmodels.NewBuilder(3, 17, 8)
	b.Output(b.Node("MatMul", []string{b.Input("x", tensor.Float32, 128, 384), b.Random("w", -1, 1, 384, 384)}), tensor.Float32, 128, 384)
	wide := built(t, b)
	for _, c := range []struct {
		name   string
		m      *onnxio.Model
		method string
		rank   int
		slower bool
	}{
		{"windows of single channels at a rank that fills no block", thin, "cp", 55, true},
		{"a sixteenth of the multiply-adds", wide, "svd", 12, false},
	} {
		first, _ := run(t, c.m, Options{Targets: []Target{half(MACs)}, Methods: []string{c.method}})
		plan := PlanOf(first)
		for i := range plan.Sites {
			plan.Sites[i].Method, plan.Sites[i].Rank = c.method, decomp.Rank{c.rank}
		}
		r, _ := run(t, c.m, Options{FromPlan: &plan})
		if last := r.Stages[len(r.Stages)-1]; last.Name != "time" {
			t.Errorf("%s: the last stage is %s", c.name, last.Name)
		}
		l := r.Latency
		if (l != nil) != c.slower {
			t.Fatalf("%s: %+v", c.name, l)
		}
		if l != nil && (l.Sample == "" || l.Turns < roundTurns || l.Threads != 1 || l.Skipped != "" || !(0 < l.Low && l.Low <= l.Speed && l.Speed <= l.High && l.High < 1)) {
			t.Errorf("%s: %+v", c.name, l)
		}
	}
}

// TestAgreed: a result is slower where both rounds say so by more than a file's place in memory makes; the second round is only there
// to confirm the first.
func TestAgreed(t *testing.T) {
	slow, slower, doubtful := &Latency{Speed: 0.6, High: 0.9}, &Latency{Speed: 0.5, High: 0.7}, &Latency{Speed: 0.9, High: 0.99}
	for name, c := range map[string]struct {
		rounds []*Latency
		asked  int
		want   *Latency
	}{
		"slower":        {[]*Latency{slow, slower}, 2, slower},
		"once":          {[]*Latency{slow, doubtful}, 2, nil},
		"by chance":     {[]*Latency{doubtful, slow}, 1, nil},
		"faster":        {[]*Latency{{Speed: 2, High: 3}, slow}, 1, nil},
		"does not run":  {[]*Latency{nil, slow}, 1, nil},
		"fails at last": {[]*Latency{slow, nil}, 2, nil},
	} {
		asked := 0
		got, err := agreed(func() (*Latency, error) {
			l := c.rounds[asked]
			asked++
			if l == nil {
				return nil, errors.New("it does not run")
			}
			return l, nil
		})
		if got != c.want || asked != c.asked || (err != nil) != (c.rounds[asked-1] == nil) {
			t.Errorf("%s: %+v, %v after %d rounds; want %+v after %d", name, got, err, asked, c.want, c.asked)
		}
	}
}

// TestRoundLimits: two rounds take about a second, and three turns each where that is longer.
func TestRoundLimits(t *testing.T) {
	for _, once := range []time.Duration{time.Microsecond, time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond, 200 * time.Millisecond, time.Second, tooLong} {
		l := roundLimits(once)
		turn := time.Duration(2*(1+l.Settle)) * once
		turns := min(max(int((l.For+turn-1)/turn), l.Least), l.Most)
		all := roundsAgreed * time.Duration(l.WarmUps+turns) * turn
		if turns < roundTurns || turns > roundTurns && all > 1500*time.Millisecond {
			t.Errorf("%s: %d turns, %s in all", once, turns, all)
		}
	}
}

// TestNotNoticed: what does not fit the memory loaded, what was not run, and what was timed already is not timed.
func TestNotNoticed(t *testing.T) {
	timed := &Latency{Speed: 0.5, High: 0.6}
	run := &verify.Report{}
	for name, d := range map[string]*Delivered{
		"a large model": {Verification: run, Output: File{Bytes: 1 << 20}},
		"not run":       {},
		"asked for":     {Verification: run, Latency: timed},
	} {
		want := d.Latency
		env := bare()
		if err := d.notice(context.Background(), env, &Analysis{model: zoo(t, "cnn")}, Options{Memory: 1 << 20}); err != nil || d.Latency != want || len(*env.journal) > 0 {
			t.Errorf("%s: %v, %+v, %v", name, err, d.Latency, *env.journal)
		}
	}
}
