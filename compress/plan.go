package compress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// PlanSchema names the shape of a Plan as JSON.
const PlanSchema = "onnx-compress/plan/1"

// Plan is a choice of methods and ranks that can be applied again. Sites that
// it does not name are left alone.
type Plan struct {
	Schema string `json:"schema"`
	// SHA256 is the digest of the model file that the plan is for, in hex.
	SHA256 string `json:"sha256"`
	// Original and Planned are what that model needs, and what the model needed
	// that the plan was made with.
	Original Totals     `json:"original"`
	Planned  Totals     `json:"planned"`
	Sites    []SitePlan `json:"sites"`
	// Axes are those that are narrower.
	Axes []AxisPlan `json:"axes,omitempty"`
}

// AxisPlan is the choice at one axis: of so many units those that are kept, ascending.
type AxisPlan struct {
	Name  string `json:"name"`
	Units int    `json:"units"`
	Kept  []int  `json:"kept"`
}

// Totals are what a model needs.
type Totals struct {
	MACs   int64 `json:"macs"`
	Params int64 `json:"params"`
	Bytes  int64 `json:"bytes"`
}

// SitePlan is the choice at one site. Method is "dense", and Rank empty, where
// it is left alone.
type SitePlan struct {
	Name   string      `json:"name"`
	Method string      `json:"method"`
	Rank   decomp.Rank `json:"rank,omitempty"`
}

// PlanOf returns the plan that a run followed.
func PlanOf(r *Result) Plan {
	totals := func(f File) Totals { return Totals{f.MACs, f.Params, f.Bytes} }
	p := Plan{Schema: PlanSchema, SHA256: r.Input.SHA256, Original: totals(r.Input), Planned: totals(r.Output), Sites: []SitePlan{}}
	for _, s := range r.Sites {
		p.Sites = append(p.Sites, SitePlan{s.Name, s.Method, s.Rank})
	}
	for _, x := range r.Axes {
		if len(x.Kept) < x.Units {
			p.Axes = append(p.Axes, AxisPlan{x.Name, x.Units, x.Kept})
		}
	}
	return p
}

// ReadPlan reads a plan as JSON, to the end of r.
func ReadPlan(r io.Reader) (*Plan, error) {
	d := json.NewDecoder(r)
	var p Plan
	if err := d.Decode(&p); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("this is no plan as JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more behind the end of the plan")
	}
	if p.Schema != PlanSchema {
		return nil, fmt.Errorf("the schema is %q; want %q, as a Plan is written", p.Schema, PlanSchema)
	}
	seen := map[string]bool{}
	for i, s := range p.Sites {
		switch {
		case seen[s.Name]:
			return nil, fmt.Errorf("the site %q is planned twice", s.Name)
		case s.Method == Dense && len(s.Rank) > 0:
			return nil, fmt.Errorf("the site %q is %s, which has no rank, but has the rank %v", s.Name, Dense, s.Rank)
		case s.Method != Dense && len(s.Rank) == 0:
			return nil, fmt.Errorf("the site %q (number %d) has the method %q but no rank", s.Name, i+1, s.Method)
		}
		seen[s.Name] = true
	}
	return &p, p.checkAxes()
}

// checkAxes refuses axes that no model has.
func (p *Plan) checkAxes() error {
	seen := map[string]bool{}
	for _, x := range p.Axes {
		if seen[x.Name] {
			return fmt.Errorf("the axis %q is planned twice", x.Name)
		}
		seen[x.Name] = true
		for i, unit := range x.Kept {
			if unit < 0 || unit >= x.Units || i > 0 && unit <= x.Kept[i-1] {
				return fmt.Errorf("the axis %q keeps the units %v; want ascending numbers below %d", x.Name, x.Kept, x.Units)
			}
		}
		if len(x.Kept) == 0 {
			return fmt.Errorf("the axis %q keeps no unit; want one at least", x.Name)
		}
	}
	return nil
}

// axis returns what the plan has for an axis, nil for nothing.
func (p *Plan) axis(name string) *AxisPlan {
	if p == nil {
		return nil
	}
	i := slices.IndexFunc(p.Axes, func(x AxisPlan) bool { return x.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Axes[i]
}

// order has the units of an axis, those that the plan keeps first; there is none where it keeps all.
func (p *Plan) order(axis *rewrite.Axis) ([]int, bool) {
	x := p.axis(axis.Name)
	if x == nil {
		return nil, false
	}
	order := slices.Clone(x.Kept)
	for unit := range axis.Units {
		if _, kept := slices.BinarySearch(x.Kept, unit); !kept {
			order = append(order, unit)
		}
	}
	return order, true
}

// entry returns what the plan has for a site, nil for nothing.
func (p *Plan) entry(site string) *SitePlan {
	i := slices.IndexFunc(p.Sites, func(s SitePlan) bool { return s.Name == site })
	if i < 0 {
		return nil
	}
	return &p.Sites[i]
}

// checkPlan refuses options that a given plan has decided already.
func (o Options) checkPlan() error {
	for _, c := range []struct {
		name string
		set  bool
	}{
		{"methods", len(o.Methods) > 0},
		{"sites", len(o.Select.Only)+len(o.Select.Keep) > 0},
		{"a multiple of ranks", o.RankMultiple > 1},
		{"a purpose", o.For != ""},
	} {
		if c.set {
			return &UsageError{Err: fmt.Errorf("a plan is given, which has the methods, the sites and the ranks; %s cannot be chosen beside it", c.name)}
		}
	}
	return nil
}

// fitPlan refuses a plan that is not for this model, before there is any work.
func (a *Analysis) fitPlan(ctx context.Context, plan *Plan) error {
	own, err := describe(ctx, a.model.Path, rewrite.Costs{})
	if err != nil {
		return err
	}
	if !strings.EqualFold(plan.SHA256, own.SHA256) {
		return &UsageError{Err: fmt.Errorf("the plan is for another model: for a file with the SHA-256 %q, and that of %s is %q", plan.SHA256, a.model.Path, own.SHA256)}
	}
	for _, x := range plan.Axes {
		if err := a.fitAxis(x); err != nil {
			return &UsageError{Err: fmt.Errorf("the plan does not fit %s: %w", a.model.Path, err)}
		}
	}
	list := a.narrowings(plan)
	for _, s := range plan.Sites {
		if err := a.fitSite(s, list); err != nil {
			return &UsageError{Err: fmt.Errorf("the plan does not fit %s: %w", a.model.Path, err)}
		}
	}
	return nil
}

// narrowings are those of a plan that fits.
func (a *Analysis) narrowings(plan *Plan) []rewrite.Narrowing {
	var list []rewrite.Narrowing
	for i := range a.Axes {
		if x := plan.axis(a.Axes[i].Name); x != nil && len(x.Kept) < x.Units {
			list = append(list, rewrite.Narrowing{Axis: &a.Axes[i], Keep: x.Kept})
		}
	}
	return list
}

// factors tells whether a plan has chains for sites.
func (p *Plan) factors() bool {
	return slices.ContainsFunc(p.Sites, func(s SitePlan) bool { return s.Method != Dense })
}

// fitAxis holds one entry of a plan against the axis.
func (a *Analysis) fitAxis(p AxisPlan) error {
	var names []string
	for _, x := range a.Axes {
		if x.Name == p.Name && x.Units != p.Units {
			return fmt.Errorf("axis %q has %d units, the plan is for %d", p.Name, x.Units, p.Units)
		}
		names = append(names, x.Name)
	}
	if slices.Contains(names, p.Name) {
		return nil
	}
	for _, x := range a.Whole {
		if x.Name == p.Name {
			return fmt.Errorf("axis %q cannot change: %s", p.Name, x.Reason)
		}
	}
	return fmt.Errorf("it has no axis %q%s; `onnx-compress inspect` lists the names", p.Name, suggest.Phrase(p.Name, names))
}

// fitSite holds one entry of a plan against the site, as it is when axes are narrowed.
func (a *Analysis) fitSite(p SitePlan, list []rewrite.Narrowing) error {
	var names []string
	for _, s := range a.Sites {
		names = append(names, s.Name)
	}
	i := slices.Index(names, p.Name)
	if i < 0 {
		if p.Method == Dense {
			return nil // whatever it is, it stays as it is
		}
		for _, skip := range a.Skips {
			if skip.Name == p.Name {
				return fmt.Errorf("node %q cannot change: %s", p.Name, skip.Reason)
			}
		}
		return fmt.Errorf("it has no site %q%s; `onnx-compress inspect` lists the names", p.Name, suggest.Phrase(p.Name, names))
	}
	if p.Method == Dense {
		return nil
	}
	method, err := MethodNamed(p.Method)
	if err != nil {
		return fmt.Errorf("site %q: %w", p.Name, err)
	}
	kernel := rewrite.NarrowedShape(&a.Sites[i], list)
	if err := method.Accepts(kernel); err != nil {
		return fmt.Errorf("site %q: %s does not apply: %w", p.Name, p.Method, err)
	}
	ranks := method.Ranks(kernel, 1)
	if len(ranks) == 0 {
		return fmt.Errorf("site %q has no rank by %s", p.Name, p.Method)
	}
	if method.Factors(kernel, p.Rank) == nil {
		return fmt.Errorf("site %q has no rank %v by %s; its ranks go from %v to %v", p.Name, p.Rank, p.Method, ranks[0], ranks[len(ranks)-1])
	}
	return nil
}

// planned finds the rung at which every site of the ladder is as the plan has it. Where sites that share a weight are unlike each other in it, the
// ladder gets that rung.
func (l *ladder) planned(plan map[string]SitePlan) (int, error) {
	fits := func(rung []option) bool {
		for k, o := range rung {
			if !fitting(plan[l.offers[k].site.Name], o) {
				return false
			}
		}
		return true
	}
	if i := slices.IndexFunc(l.rungs, fits); i >= 0 {
		return i, nil
	}
	var names []string
	var unlike []option
	for _, o := range l.offers {
		names = append(names, o.site.Name)
		if i := slices.IndexFunc(o.options, func(c option) bool { return fitting(plan[o.site.Name], c) }); i >= 0 {
			unlike = append(unlike, o.options[i])
		}
	}
	if len(names) > 1 && len(unlike) == len(names) {
		l.rungs = slices.Insert(l.rungs, 0, unlike)
		return 0, nil
	}
	first := plan[names[0]]
	if len(names) == 1 {
		return 0, fmt.Errorf("site %q by %s at rank %v needs no fewer MACs and parameters than as it is", names[0], first.Method, first.Rank)
	}
	return 0, fmt.Errorf("the sites %s share the weight %q, and of what the plan has for them not all saves something", strings.Join(names, ", "), l.offers[0].site.Weight)
}

// fitting tells whether an option is what a plan has for a site. What it does not name stays as it is.
func fitting(p SitePlan, o option) bool {
	if p.Method == Dense || p.Name == "" {
		return o.method == nil
	}
	return o.method != nil && o.method.Name == p.Method && slices.Equal(o.rank, p.Rank)
}

// PlanError says that a given plan needs more than a target allows. Nothing is
// written.
type PlanError struct {
	Target        Target
	Limit, Needed float64
}

func (e *PlanError) Error() string {
	r := e.Target.Resource
	return fmt.Sprintf("the plan does not meet the target %s: at most %s wanted, the plan needs %s",
		e.Target, r.count(math.Floor(e.Limit)), strings.TrimSuffix(r.count(math.Ceil(e.Needed)), " "+string(r)))
}
