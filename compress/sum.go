package compress

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/rewrite"
)

// sum sums up a run: what was delivered, and what else could have been, of which the last choice knows most.
func (w *work) sum(ctx context.Context, d *Delivered, last *Choice, trials *Trials) (*Result, error) {
	s, c := d.Assembled, d.Assembled.Choice
	r := &Result{
		Schema: ResultSchema, Through: w.a.behind.result(), For: w.profile, Output: d.Output, Environment: w.env.result(w.o.Seed), Targets: d.Targets, Calibration: c.Offers.Calibration,
		Plan: c.Summary, Refit: s.Refit, Trials: trials.proved(d.Verification), Sites: []SiteResult{}, Skipped: []Skipped{}, Merged: s.Merged, Tuning: s.Tuning,
		Uncounted: uncounted(w.a.Costs), Verification: d.Verification, Unverified: d.Unverified, Unjudged: d.Unjudged, Latency: d.Latency, Int8: d.Int8, Unquantized: d.Unquantized, Stages: *w.env.journal,
		Memory: Memory{Limit: w.o.Memory}.with(*w.env.journal),
	}
	var err error
	if r.Input, err = describe(ctx, w.a.model.Path, w.a.Costs); err != nil {
		return nil, err
	}
	for _, skip := range w.a.Skips {
		r.Skipped = append(r.Skipped, Skipped{skip.Name, skip.Op, skip.Reason})
	}
	for i := range c.picks {
		site := c.site(i, s.Narrowed)
		if s.Refits != nil {
			site.Refit = &s.Refits[i]
		}
		if lost := d.Rounding[i]; lost != nil {
			site.round(*lost, c.Offers.sites[i].written())
		}
		known := last.Offers
		if c.at != nil {
			known = c.at.of
		}
		site.Spectra = known.sites[i].curves(w.a.methods, c.picks[i])
		r.Sites = append(r.Sites, site)
	}
	r.Axes, r.Whole = c.axes(), w.a.Whole
	for _, other := range d.others {
		r.Also = append(r.Also, *other.also)
	}
	if r.Frontier, err = w.frontier(ctx, last, c, trials, d.Output); err != nil {
		return nil, err
	}
	return r, nil
}

// site is what became of one, beside narrowed axes.
func (c *Choice) site(i int, narrowed []rewrite.Narrowing) SiteResult {
	o, p, of := &c.Offers.sites[i], &c.picks[i], c.factored()
	s, whole := &o.site, dense(&o.site)
	r := SiteResult{
		Name: s.Name, Op: s.Op, Out: s.Kernel.Out, In: s.Kernel.In, Window: s.Kernel.Window, Groups: s.Kernel.Groups,
		Method: Dense, BreakEven: s.Kernel.BreakEven(), Loss: p.share, Noise: o.noise, Note: of.sites[i].notes(),
		MACsBefore: whole.macs, MACsAfter: p.macs, ParamsBefore: whole.params, ParamsAfter: p.params,
	}
	if p.method != nil {
		r.Method, r.Rank = p.method.Name, p.rank
	}
	if left := rewrite.NarrowedShape(s, narrowed).Params(); p.method == nil && left < whole.params {
		r.ParamsAfter = left
		r.MACsAfter = whole.macs / whole.params * left
	}
	if loss := p.loss; o.sensitive {
		r.OutputChange = &loss
	}
	return r
}

// axes are what became of the axes.
func (c *Choice) axes() []AxisResult {
	var out []AxisResult
	for i, k := range c.widths {
		o := &c.Offers.axes[i]
		r := AxisResult{Name: o.axis.Name, Units: o.axis.Units, Kept: o.kept(k), Note: o.note}
		if o.turn != nil {
			r.Heads = o.turn.heads
		}
		r.Products = productNames(o.axis)
		r.Producers, r.Readers = siteNames(o.axis.Producers), siteNames(o.axis.Readers)
		sensitive := false
		for _, p := range slices.Concat(o.axis.Readers, o.axis.Producers) {
			sensitive = sensitive || c.Offers.sensitive(p.Site)
		}
		if loss := o.loss(k); loss > 0 && o.energy > 0 {
			r.Loss = loss / o.ratio / o.energy
		}
		if loss := o.loss(k); sensitive {
			r.OutputChange = &loss
		}
		out = append(out, r)
	}
	return out
}

// sensitive tells whether losses of a site are changes of the outputs.
func (of *Offers) sensitive(s *rewrite.Site) bool {
	return slices.ContainsFunc(of.sites, func(o offer) bool { return o.site.Node == s.Node && o.sensitive })
}

// Where rounding adds more than this share to a site's loss, the site's note says so.
const noticeable = 0.1

// round adds what rounding the factors to a type loses.
func (s *SiteResult) round(lost float64, t fmt.Stringer) {
	if s.Rounding = &lost; lost <= noticeable*s.Loss {
		return
	}
	if s.Note != "" {
		s.Note += "; "
	}
	s.Note += fmt.Sprintf("rounding the factors to %v adds %.2g to the loss", t, lost)
}
