package compress

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
	"github.com/onnx-compress/onnx-compress/verify"
)

// narrow are options for widths alone, on samples for the convolutional networks of the zoo.
func narrow(o Options) Options {
	o.Methods, o.Probes, o.AcceptDamage = []string{Width}, 1, true
	if o.Source == nil {
		o.Source, o.CalibSamples = images(60), 48
	}
	return o
}

// coupled is a network whose layers' costs are products of two widths: input "image" [N,3,16,16].
func coupled(t testing.TB) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(3, 17, 8)
	pads := graph.Ints("pads", 1, 1, 1, 1)
	x := b.Input("image", tensor.Float32, "N", 3, 16, 16)
	for _, c := range [][2]int{{3, 12}, {12, 16}, {16, 20}} {
		x = b.Node("Relu", []string{b.Conv(x, c[0], c[1], []int{3, 3}, pads)})
	}
	x = b.Node("Relu", []string{b.Conv(x, 20, 20, []int{3, 3}, pads, graph.Int("group", 20))})
	x = b.Node("Flatten", []string{b.Node("GlobalAveragePool", []string{b.Conv(x, 20, 8, []int{1, 1})})})
	b.Linear(x, 8, 5, true)
	b.Output(b.Rename("logits"), tensor.Float32, "N", 5)
	return built(t, b)
}

// TestWidths: a run by widths alone has the nodes of the original, meets its targets, says what it kept, and gives the same
// bytes with any number of threads, and again from its plan.
func TestWidths(t *testing.T) {
	needRuntime(t)
	for name, m := range map[string]*onnxio.Model{"cnn": zoo(t, "cnn"), "coupled": coupled(t)} {
		for _, target := range []Target{share(MACs, 0.7), share(Params, 0.6), share(Bytes, 0.8)} {
			o := narrow(Options{Targets: []Target{target}})
			r, first := run(t, m, o, threads(1))
			if got, limit := r.Targets[0].Reached, r.Targets[0].Limit; float64(got) > limit || float64(got) < 0.8*limit {
				t.Errorf("%s, %s: %d, the limit is %g", name, target, got, limit)
			}
			if r.Plan.Bound > r.Plan.Loss || r.Plan.Loss <= 0 || r.Verification == nil {
				t.Errorf("%s, %s: plan %+v, verification %v", name, target, r.Plan, r.Verification)
			}
			sameNodes(t, m, first)
			heldAxes(t, r)
			if _, again := run(t, m, o, threads(4)); !bytes.Equal(first, again) {
				t.Errorf("%s, %s: other bytes with other threads", name, target)
			}
			plan := PlanOf(r)
			given := Options{FromPlan: reread(t, plan), Source: o.Source, CalibSamples: o.CalibSamples, Probes: 1, AcceptDamage: true}
			if p, planned := run(t, m, given); !bytes.Equal(unrecorded(t, planned), unrecorded(t, first)) || !p.Plan.Given || len(p.Axes) != len(r.Axes) {
				t.Errorf("%s, %s: the plan gives other bytes", name, target)
			}
		}
	}
}

// sameNodes wants a written model to have the operators of the original, in their order.
func sameNodes(t *testing.T, m *onnxio.Model, written []byte) {
	t.Helper()
	small, err := onnxio.Parse(written, "")
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	before, after := graph.Of(m).Nodes(), graph.Of(small).Nodes()
	same := func(a, b graph.Node) bool { return a.Op() == b.Op() && a.Name() == b.Name() }
	if !slices.EqualFunc(before, after, same) {
		t.Errorf("%d nodes became %d, or others", len(before), len(after))
	}
}

// heldAxes holds what a result says of its axes against itself.
func heldAxes(t *testing.T, r *Result) {
	t.Helper()
	narrower, loss := 0, 0.0
	for _, x := range r.Axes {
		if !slices.IsSorted(x.Kept) || len(x.Kept) < 1 || len(x.Kept) > x.Units || len(x.Producers) == 0 || len(x.Readers) == 0 {
			t.Errorf("axis %+v", x)
		}
		if len(x.Kept) < x.Units {
			narrower++
		}
		if (len(x.Kept) < x.Units) != (x.Loss > 0) || x.OutputChange == nil {
			t.Errorf("axis %s: loss %g, change %v", x.Name, x.Loss, x.OutputChange)
			continue
		}
		loss += *x.OutputChange
	}
	if narrower == 0 || math.Abs(loss-r.Plan.Loss) > 1e-9*loss {
		t.Errorf("%d axes are narrower, which lose %g; the plan %g", narrower, loss, r.Plan.Loss)
	}
}

// TestWidthsPlan holds the axes of a plan against what it was.
func TestWidthsPlan(t *testing.T) {
	needRuntime(t)
	r, _ := run(t, coupled(t), narrow(Options{Targets: []Target{share(MACs, 0.5)}}))
	text, err := json.Marshal(PlanOf(r).Axes)
	if err != nil {
		t.Fatal(err)
	}
	if want := `[{"name":"Conv_2","units":16,"kept":[2,4,5,6,8,9,10,13]},{"name":"Conv_3","units":20,"kept":[0,1,2,3,4,5,7,8,9,10,11,12,13,17,18,19]}]`; string(text) != want {
		t.Errorf("planned %s, want %s", text, want)
	}
}

// TestWidthsPlanFaults: a plan whose axes are not those of the model, or of no model, is refused with its reason.
func TestWidthsPlanFaults(t *testing.T) {
	needRuntime(t)
	m := coupled(t)
	r, _ := run(t, m, narrow(Options{Targets: []Target{share(MACs, 0.5)}}))
	for _, c := range []struct {
		change func(p *Plan)
		read   bool // whether reading it tells
		words  []string
	}{
		{func(p *Plan) { p.Axes = append(p.Axes, p.Axes[0]) }, true, []string{"planned twice"}},
		{func(p *Plan) { p.Axes[0].Kept = []int{3, 2} }, true, []string{"[3 2]", "ascending"}},
		{func(p *Plan) { p.Axes[0].Kept = nil }, true, []string{"no unit"}},
		{func(p *Plan) { p.Sites[3].Method, p.Sites[3].Rank = "svd", []int{200} }, false, []string{"no rank [200]", "svd"}},
		{func(p *Plan) { p.Axes[0].Name = "Conv_22" }, false, []string{"no axis", "Conv_2"}},
		{func(p *Plan) { p.Axes[0].Name = r.Whole[0].Name }, false, []string{"cannot change"}},
		{func(p *Plan) { p.Axes[0].Units = 40 }, false, []string{"16 units", "40"}},
	} {
		p := *reread(t, PlanOf(r))
		c.change(&p)
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		read, err := ReadPlan(bytes.NewReader(data))
		if !c.read && err == nil {
			_, err = Run(t.Context(), in(t), m, to(t, Options{FromPlan: read, Source: images(60), CalibSamples: 48}))
		}
		testkit.WantError(t, err, c.words...)
	}
}

// TestWidthsZoo narrows every model of the zoo that can be narrowed.
func TestWidthsZoo(t *testing.T) {
	needRuntime(t)
	narrowed := 0
	for _, c := range testmodels.All() {
		if !c.Runs {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			m := zoo(t, c.Name)
			if found, err := Inspect(m, nil, Selection{}); err != nil || len(found.Axes) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			o := narrow(Options{Targets: []Target{share(Params, 0.98)}, Source: whole(t, m, 90), CalibSamples: 80})
			r, err := Run(t.Context(), in(t), m, to(t, o))
			if errors.As(err, new(*UnmetError)) {
				return // what readers saw is too little
			}
			if err != nil {
				t.Fatal(err)
			}
			narrowed++
			heldAxes(t, r)
		})
	}
	if narrowed < 8 {
		t.Errorf("%d models were narrowed", narrowed)
	}
}

// TestWidthsRefit: solved anew, a narrower model is closer to the original on samples that calibration did not see, and its
// targets hold where a refit would like to grow biases.
func TestWidthsRefit(t *testing.T) {
	needRuntime(t)
	m := coupled(t)
	for _, target := range []Target{share(MACs, 0.5), share(Params, 0.5)} {
		o := narrow(Options{Targets: []Target{target}, Source: images(300), CalibSamples: 200})
		r, written := run(t, m, o)
		o.NoRefit = true
		plain, _ := run(t, m, o)
		if r.Refit == nil || r.Refit.Kept == 0 {
			t.Errorf("%s: refit %+v", target, r.Refit)
		}
		if now, before := *r.Verification.Outputs[0].SNR, *plain.Verification.Outputs[0].SNR; !(now > before+0.5) {
			t.Errorf("%s: %.2f dB with the refit, %.2f dB without", target, now, before)
		}
		sameNodes(t, m, written)
	}
}

// TestWidthsMeasures: without sensitivities losses are shares, and every search chooses.
func TestWidthsMeasures(t *testing.T) {
	needRuntime(t)
	m := coupled(t)
	for _, method := range []string{"composite", "lagrange", "rene"} {
		for _, probes := range []int{-1, 1} {
			o := narrow(Options{Targets: []Target{share(MACs, 0.6), share(Params, 0.7)}, Search: method})
			o.Probes = probes
			r, _ := run(t, m, o)
			if want := map[int]Measure{-1: EnergyShare, 1: OutputChange}[probes]; r.Plan.Measure != want || r.Plan.Loss <= 0 || r.Plan.Bound > r.Plan.Loss {
				t.Errorf("%s, %d probes: %+v", method, probes, r.Plan)
			}
			if corrected := method == "composite" && probes > 0; corrected != (len(r.Plan.Corrections) > 0) {
				t.Errorf("%s, %d probes: %d corrections", method, probes, len(r.Plan.Corrections))
			}
			for _, c := range r.Plan.Corrections {
				if c.Axis == "" || c.Method != Width || len(c.Sites) == 0 || !(c.Ratio > 0) {
					t.Errorf("correction %+v", c)
				}
			}
			for _, x := range r.Targets {
				if float64(x.Reached) > x.Limit {
					t.Errorf("%s, %d probes: %+v", method, probes, x)
				}
			}
		}
	}
}

// TestWidthsChoice: no other choice of the widths on offer loses less within the limits, and none is below the bound, on a network
// whose layers' costs are products.
func TestWidthsChoice(t *testing.T) {
	needRuntime(t)
	for _, v := range []float64{0.8, 0.5, 0.3} {
		o := narrow(Options{Targets: []Target{share(MACs, v)}, RankMultiple: 2}).WithDefaults()
		w := factoredIn(t, in(t), coupled(t), o)
		q := &quest{env: w.env, a: w.a, o: w.o, bounds: o.Targets}
		weaving := q.weave(w.of)
		found, err := weaving.choose()
		if err != nil {
			t.Fatal(err)
		}
		best := math.Inf(1)
		rungs := make([]int, len(weaving.widths))
		var walk func(axis int)
		walk = func(axis int) {
			if axis < len(rungs) {
				for r := range weaving.widths[axis] {
					rungs[axis] = r
					walk(axis + 1)
				}
				return
			}
			if weaving.excess(weaving.costs(rungs)) == 0 {
				best = min(best, weaving.loss(rungs))
			}
		}
		walk(0)
		if found.loss > 1.02*best || found.loss < best || found.bound > best*(1+1e-12) {
			t.Errorf("macs=%g: loss %g, bound %g; the least is %g", v, found.loss, found.bound, best)
		}
		t.Logf("macs=%g: loss %g, bound %g, least %g, widths %v", v, found.loss, found.bound, best, weaving.at(found.rungs))
	}
}

// TestWidthsGoals: goals and explorations work on widths.
func TestWidthsGoals(t *testing.T) {
	needRuntime(t)
	m := coupled(t)
	r, _ := run(t, m, narrow(Options{Goals: []verify.Bound{{Measure: verify.SNR, Value: 5}}}))
	if len(r.Trials.Steps) < 2 || r.Output.MACs >= r.Input.MACs {
		t.Errorf("%d steps to %d of %d MACs", len(r.Trials.Steps), r.Output.MACs, r.Input.MACs)
	}
	x, err := Explore(t.Context(), in(t), m, ExploreOptions{Options: narrow(Options{})})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range x.Points {
		if p.Why != "" || float64(p.MACs) > p.Budget*float64(x.Input.MACs) || i > 0 && p.Loss < x.Points[i-1].Loss*(1-0.02) {
			t.Errorf("point %+v", p)
		}
	}
	if last := x.Points[len(x.Points)-1]; !slices.ContainsFunc(last.Schemes, func(c SchemeCount) bool { return c.Method == Width && c.Sites > 2 }) {
		t.Errorf("schemes %+v", last.Schemes)
	}
}

// TestWidthsDead: units that are as good as dead leave first, and what they change is no measure of what others do.
func TestWidthsDead(t *testing.T) {
	needRuntime(t)
	b := testmodels.NewBuilder(3, 17, 8)
	pads := graph.Ints("pads", 1, 1, 1, 1)
	x := b.Node("Relu", []string{b.Conv(b.Input("image", tensor.Float32, "N", 3, 16, 16), 3, 16, []int{3, 3}, pads)})
	scale := make([]float64, 16)
	for i := range scale {
		scale[i] = 1
		if i%4 == 0 {
			scale[i] = 1e-6
		}
	}
	x = b.Node("Mul", []string{x, b.Tensor("scale", tensor.Float32, []int{16, 1, 1}, scale)})
	x = b.Node("Relu", []string{b.Conv(x, 16, 16, []int{3, 3}, pads)})
	x = b.Node("Flatten", []string{b.Node("GlobalAveragePool", []string{b.Conv(x, 16, 8, []int{3, 3}, pads)})})
	b.Linear(x, 8, 5, true)
	b.Output(b.Rename("logits"), tensor.Float32, "N", 5)
	r, _ := run(t, built(t, b), narrow(Options{Targets: []Target{share(MACs, 0.6)}, RankMultiple: 1, Source: images(300), CalibSamples: 200}))
	for i, x := range r.Axes {
		for _, unit := range x.Kept {
			if i == 0 && unit%4 == 0 && len(x.Kept) <= 12 {
				t.Errorf("of %s the dead unit %d is kept: %v", x.Name, unit, x.Kept)
			}
		}
	}
	if len(r.Plan.Corrections) == 0 {
		t.Error("nothing was measured")
	}
	for _, c := range r.Plan.Corrections {
		if c.Predicted < telling*r.Plan.Corrections[0].Predicted {
			t.Errorf("%s was measured at the loss %g, %s at %g", c.Axis, c.Predicted, r.Plan.Corrections[0].Axis, r.Plan.Corrections[0].Predicted)
		}
	}
}

// TestWidthsRefused: what is not narrowed has its reason, and what cannot be asked for its words.
func TestWidthsRefused(t *testing.T) {
	needRuntime(t)
	m := coupled(t)
	for _, c := range []struct {
		o     Options
		words []string
	}{
		{narrow(Options{Targets: []Target{share(MACs, 0.001)}}), []string{"cannot be met", "the least"}},
	} {
		_, err := Run(t.Context(), in(t), m, to(t, c.o))
		testkit.WantError(t, err, c.words...)
	}
	r, _ := run(t, m, narrow(Options{Targets: []Target{share(MACs, 0.9)}, Select: Selection{Keep: []string{"*Conv_1*"}}}))
	if !slices.ContainsFunc(r.Whole, func(w WholeAxis) bool { return bytes.Contains([]byte(w.Reason), []byte("kept as it is")) }) {
		t.Errorf("left as they are: %+v", r.Whole)
	}
}

// TestWidthsFew: a classifier behind a pooling reads one column a sample, far fewer than inputs. What it loses is told by columns that
// took no part, so that it counts, and with very few columns nothing is told.
func TestWidthsFew(t *testing.T) {
	needRuntime(t)
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Node("Relu", []string{b.Conv(b.Input("image", tensor.Float32, "N", 3, 16, 16), 3, 200, []int{3, 3})})
	x = b.Node("Flatten", []string{b.Node("GlobalAveragePool", []string{x})})
	b.Linear(x, 200, 5, true)
	b.Output(b.Rename("logits"), tensor.Float32, "N", 5)
	m := built(t, b)
	for samples, offered := range map[int]bool{180: true, 60: false} {
		o := narrow(Options{Targets: []Target{share(MACs, 0.8)}, Source: images(samples + 40), CalibSamples: samples})
		w := factoredIn(t, in(t), m, o.WithDefaults())
		x := w.of.axes[0]
		if (x.order != nil) != offered || (x.note == "") != offered {
			t.Errorf("with %d columns the axis is offered in the order %v, with the note %q", samples, x.order, x.note)
		}
		if !offered {
			continue
		}
		for k := 1; k < len(x.losses); k++ {
			if x.losses[k] > x.losses[k-1] {
				t.Errorf("%d units lose %g, %d only %g", k, x.losses[k], k-1, x.losses[k-1])
			}
		}
		f := &factoring{env: w.env, a: w.a, o: w.o, out: w.of}
		readers, err := f.readers(x.axis)
		if err != nil {
			t.Fatal(err)
		}
		e, err := decomp.EliminateInOrder(w.env.Algebra, x.order, readers)
		if err != nil {
			t.Fatal(err)
		}
		if seen, _ := e.Loss(100); x.losses[100] < 1.2*seen {
			t.Errorf("with half of the units the loss is %g, and %g on the columns that the kernels were folded by", x.losses[48], seen)
		}
	}
}
