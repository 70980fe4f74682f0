package compress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// TestFromPlan: the plan of a run, written and read again, gives the same bytes, with
// samples and without, whatever the shared weights.
func TestFromPlan(t *testing.T) {
	needRuntime(t)
	for _, c := range []struct {
		name string
		o    Options
	}{
		// A search that corrects losses states others than a plan that needs no search.
		{"calibrated", Options{Source: images(40), CalibSamples: 24, Probes: 1, Search: "lagrange"}},
		{"data-free, all schemes", Options{Methods: schemes()}},
	} {
		m := zoo(t, "cnn")
		c.o.Targets = []Target{half(MACs)}
		first, want := run(t, m, c.o)
		plan := PlanOf(first)
		if plan.SHA256 != first.Input.SHA256 || len(plan.Sites) != len(first.Sites) || plan.Planned.MACs != first.Output.MACs || plan.Original.Bytes != first.Input.Bytes {
			t.Errorf("%s: plan %+v", c.name, plan)
		}
		c.o.Targets, c.o.Methods, c.o.FromPlan = nil, nil, reread(t, plan)
		again, got := run(t, m, c.o)
		if !bytes.Equal(unrecorded(t, got), unrecorded(t, want)) {
			t.Errorf("%s: the plan gives other bytes", c.name)
		}
		if p := again.Plan; !p.Given || p.Bound != 0 || p.Gap != 0 || p.Measure != first.Plan.Measure || !near(p.Loss, first.Plan.Loss) {
			t.Errorf("%s: plan summary %+v, first %+v", c.name, p, first.Plan)
		}
		for i := range first.Sites { // a given plan needs no other ranks
			first.Sites[i].Spectra, again.Sites[i].Spectra = nil, nil
		}
		if !reflect.DeepEqual(again.Sites, first.Sites) {
			t.Errorf("%s: the sites differ", c.name)
		}
	}
}

func near(a, b float64) bool { return a-b <= 1e-12*b && b-a <= 1e-12*b }

// reread writes a plan as JSON and reads it.
func reread(t testing.TB, p Plan) *Plan {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	q, err := ReadPlan(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*q, p) {
		t.Errorf("written %+v, read %+v", p, *q)
	}
	return q
}

// TestPlanLeavesTheRestAlone: sites that a plan does not name, or names as dense, stay.
func TestPlanLeavesTheRestAlone(t *testing.T) {
	m := zoo(t, "cnn")
	first, _ := run(t, m, Options{Targets: []Target{half(MACs)}})
	i := slices.IndexFunc(first.Sites, func(s SiteResult) bool { return s.Method != Dense })
	k := slices.IndexFunc(first.Sites[i+1:], func(s SiteResult) bool { return s.Method != Dense }) + i + 1
	plan := PlanOf(first)
	plan.Sites = []SitePlan{{first.Sites[i].Name, first.Sites[i].Method, first.Sites[i].Rank}, {first.Sites[k].Name, Dense, nil}, {"nowhere", Dense, nil}}
	r, _ := run(t, m, Options{FromPlan: &plan})
	for n, s := range r.Sites {
		if (s.Method != Dense) != (n == i) {
			t.Errorf("site %s is %s", s.Name, s.Method)
		}
	}
}

// TestPlanRefused: a plan that does not fit says why, before anything is written.
func TestPlanRefused(t *testing.T) {
	m, shared := zoo(t, "cnn"), twice(t, false)
	good := func(of string, sites ...SitePlan) *Plan { return &Plan{Schema: PlanSchema, SHA256: of, Sites: sites} }
	sum := func(path string) string {
		f, err := describe(context.Background(), path, rewrite.Costs{})
		if err != nil {
			t.Fatal(err)
		}
		return f.SHA256
	}
	cnn, two := sum(m.Path), sum(shared.Path)
	a, err := Analyse(context.Background(), shared, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		o     Options
		words []string
	}{
		{"another model", Options{FromPlan: good(two)}, []string{"another model", two, cnn}},
		{"no hash", Options{FromPlan: good("")}, []string{"another model"}},
		{"no such site", Options{FromPlan: good(cnn, SitePlan{"Cnov_2", "svd", decomp.Rank{1}})}, []string{`"Cnov_2"`, `did you mean "Conv_2"`}},
		{"no such method", Options{FromPlan: good(cnn, SitePlan{"Conv_2", "svdd", decomp.Rank{1}})}, []string{`"Conv_2"`, `did you mean "svd"`}},
		{"rank 0", Options{FromPlan: good(cnn, SitePlan{"Conv_2", "svd", decomp.Rank{0}})}, []string{"no rank [0]", "from [1]"}},
		{"rank -1", Options{FromPlan: good(cnn, SitePlan{"Conv_2", "svd", decomp.Rank{-1}})}, []string{"no rank [-1]"}},
		{"two ranks", Options{FromPlan: good(cnn, SitePlan{"Conv_2", "svd", decomp.Rank{1, 1}})}, []string{"no rank [1 1]"}},
		{"rank too large", Options{FromPlan: good(cnn, SitePlan{"Conv_2", "svd", decomp.Rank{100000}})}, []string{"no rank [100000]"}},
		{"with methods", Options{FromPlan: good(cnn), Methods: []string{"svd"}}, []string{"methods cannot be chosen"}},
		{"with sites", Options{FromPlan: good(cnn), Select: Selection{Keep: []string{"*"}}}, []string{"sites cannot be chosen"}},
		{"with a multiple", Options{FromPlan: good(cnn), RankMultiple: 8}, []string{"multiple of ranks cannot"}},
	} {
		o := to(t, c.o)
		_, err := Run(context.Background(), in(t), m, o)
		t.Logf("%s: %v", c.name, err)
		testkit.WantError(t, err, c.words...)
		if usage := (*UsageError)(nil); !errors.As(err, &usage) {
			t.Errorf("%s: %v is no UsageError", c.name, err)
		}
		empty(t, filepath.Dir(o.Output))
	}

	o := to(t, Options{FromPlan: good(two, SitePlan{a.Sites[0].Name, "svd", decomp.Rank{1}}), AcceptDamage: true})
	r, err := Run(context.Background(), in(t), shared, o)
	if err != nil || r.Sites[0].Method != "svd" || r.Sites[1].Method != Dense {
		t.Errorf("one of two sites that share a weight: %+v, %v", r, err)
	}
	o = to(t, Options{FromPlan: good(two, SitePlan{a.Sites[0].Name, "svd", decomp.Rank{12}})})
	_, err = Run(context.Background(), in(t), shared, o)
	testkit.WantError(t, err, a.Sites[0].Name, a.Sites[1].Name, "share the weight", "saves something")

	o = to(t, Options{FromPlan: good(cnn), Targets: []Target{half(MACs)}})
	_, err = Run(context.Background(), in(t), m, o)
	testkit.WantError(t, err, "macs=0.5", "the plan needs")
	if over := (*PlanError)(nil); !errors.As(err, &over) || over.Needed <= over.Limit {
		t.Errorf("%v is no PlanError", err)
	}
	empty(t, filepath.Dir(o.Output))
}

func TestReadPlanErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "no plan as JSON"},
		{"[]", "no plan as JSON"},
		{"{", "no plan as JSON"},
		{"{}", "onnx-compress/plan/1"},
		{`{"schema":"onnx-compress/plan/2"}`, "onnx-compress/plan/2"},
		{`{"schema":"onnx-compress/plan/1"} {}`, "behind the end"},
		{`{"schema":"onnx-compress/plan/1","sites":[{"name":"a","method":"dense"},{"name":"a","method":"dense"}]}`, "planned twice"},
		{`{"schema":"onnx-compress/plan/1","sites":[{"name":"a","method":"dense","rank":[1]}]}`, "has no rank"},
		{`{"schema":"onnx-compress/plan/1","sites":[{"name":"a","method":"svd"}]}`, "but no rank"},
		{`{"schema":"onnx-compress/plan/1","sites":[{"name":"a","method":"svd","rank":[1.5]}]}`, "no plan as JSON"},
	} {
		_, err := ReadPlan(strings.NewReader(c.in))
		testkit.WantError(t, err, c.want)
	}
}

// FuzzReadPlan: what is accepted can be written and read again.
func FuzzReadPlan(f *testing.F) {
	f.Add(`{"schema":"onnx-compress/plan/1","sha256":"00","sites":[{"name":"a","method":"svd","rank":[3]},{"name":"b","method":"dense"}]}`)
	f.Add(`{"schema":"onnx-compress/plan/1","planned":{"macs":-1}}`)
	f.Add(`{"schema":"onnx-compress/plan/1"}{`)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ReadPlan(strings.NewReader(s))
		if err != nil {
			return
		}
		first, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ReadPlan(bytes.NewReader(first))
		if err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		if second, err := json.Marshal(q); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s became %s, %v", first, second, err)
		}
	})
}
