package compress

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/search"
)

// What bounds the correction of losses.
const (
	correctedLadders = 8   // that are measured: those of the largest losses
	correctedSamples = 128 // they are measured on; of fewer than 1,024 that calibrate, an eighth of these
	fewestCorrected  = 64  // but no fewer than so many, unless the model takes long
	// mostCorrectedMACs bounds the multiply-adds of all that is run to correct losses, down to leastCorrected samples, or leastTexts where each has an
	// answer at many positions: of large models these runs would take as long as all of calibration.
	mostCorrectedMACs = 2e12
	leastCorrected    = 16
	leastTexts        = 4
	mostCorrection    = 16 // up or down: what lies beyond is chance, or no matter of scale
	// remeasured is how often the choice is made again, as long as it has axes whose losses were not measured: those of narrower axes are
	// wrong by much that is not common to them, since what a channel's absence changes is alike at many positions, so that a choice
	// among some that were measured takes others.
	remeasured = 4
	// telling is the share of the whole loss below which that of an axis is not measured: of units that are as good as dead it
	// tells nothing of the others.
	telling = 1e-3
)

// Correction is a predicted change of the model's outputs held against the true one. In the
// search that follows, the sites' losses at every rank are multiplied with the ratio of the
// two, and those of sites without a measurement with the median of all ratios: much of what
// predictions are wrong by is common to all sites, and must not count against those measured.
type Correction struct {
	// Sites are those that were replaced: one, or all that share a weight. Where Axis names one, they are its readers, Method is
	// Width, and Rank how many units were kept.
	Sites  []string    `json:"sites"`
	Axis   string      `json:"axis,omitempty"`
	Method string      `json:"method"`
	Rank   decomp.Rank `json:"rank"`
	// Predicted is the sum of the sites' losses, Measured the mean squared change of the
	// outputs in its unit, with nothing else replaced, on so many Samples.
	Predicted float64 `json:"predicted"`
	Measured  float64 `json:"measured"`
	Samples   int     `json:"samples"`
	// Ratio is Measured over Predicted, but at least 1/16 and at most 16.
	Ratio float64 `json:"ratio"`
}

// corrects tells whether the search that is asked for wants its losses corrected.
func (o Options) corrects() bool {
	return slices.ContainsFunc(search.Methods(), func(m search.Method) bool { return m.Name == o.Search && m.Corrects })
}

// measures tells whether losses are to be measured: not where there is no choice, or it is not wanted.
func (q *quest) measures(s *standing) bool {
	return s.unmet == nil && q.o.corrects() && q.o.Source != nil
}

// doubtful returns the ladders whose losses are worth a measurement: of those that the
// choice replaces by factors, where losses are changes of the outputs and what the sites read is known well enough for
// the samples that it is known from to judge, the ones of the largest losses. Where some were measured before, there are none.
func (q *quest) doubtful(s *standing) []int {
	if !q.measures(s) || s.offers.Corrections != nil {
		return nil
	}
	var out []int
	loss := func(i int) float64 { return s.stated[i].Rungs[s.plan.Rungs[i]].Loss }
	for i := range s.ladders {
		l := &s.ladders[i]
		guessed := slices.ContainsFunc(l.offers, func(o *offer) bool { return !o.sensitive || o.noise > measurable })
		changes := slices.ContainsFunc(l.rungs[s.plan.Rungs[i]], func(c option) bool { return c.method != nil })
		if !guessed && changes && loss(i) > 0 {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(loss(b), loss(a)) })
	return out[:min(len(out), correctedLadders)]
}

// doubtfulAxes are the axes of which that is so, and which were not measured before.
func (q *quest) doubtfulAxes(s *standing) []int {
	if !q.measures(s) {
		return nil
	}
	var out []int
	loss := func(i int) float64 { return s.offers.axes[i].loss(s.widths[i]) }
	for i := range s.offers.axes {
		guessed := slices.ContainsFunc(s.offers.axes[i].axis.Readers, func(p rewrite.Port) bool {
			o := &s.offers.sites[q.a.numbered(p.Site)]
			return !o.sensitive || o.noise > measurable
		})
		if !guessed && !s.offers.axes[i].measured(s.offers.Corrections) && loss(i) > telling*s.plan.Loss {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(loss(b), loss(a)) })
	return out[:min(len(out), correctedLadders)]
}

// correct measures what the outputs really do when one ladder alone is at its chosen rung, or one axis at its width,
// one after the other, and gives the offers whose losses are rescaled by that. Each is measured once in a run, however often the
// search is made.
func (q *quest) correct(ctx context.Context, st *stage, s *standing, doubtful, axes []int) (*Offers, error) {
	var of []any
	for _, i := range doubtful {
		of = append(of, s.ladders[i].predicted(s.ladders[i].rungs[s.plan.Rungs[i]]))
	}
	for _, i := range axes {
		of = append(of, s.offers.axes[i].predicted(s.widths[i]))
	}
	samples, _ := q.a.corrected()
	indices := q.a.Calibrate[:samples]
	list, err := remembered(ctx, q.o.keeper, "corrections", of, indices, func() ([]Correction, error) {
		return q.corrections(ctx, st, s, doubtful, axes, indices)
	})
	if err != nil {
		return nil, err
	}
	return s.offers.corrected(list), nil
}

func (q *quest) corrections(ctx context.Context, st *stage, s *standing, doubtful, axes, indices []int) ([]Correction, error) {
	lib, err := q.env.need("measuring the change of the outputs")
	if err != nil {
		return nil, err
	}
	models := 0
	progress := func(_ string, done, total int) {
		st.told("", models*len(indices)+done*len(indices)/total, (1+len(doubtful)+len(axes))*len(indices))
	}
	o := q.env.calibOptions(q.a, q.o)
	o.Progress, o.Weights = progress, s.offers.weights
	before, err := calib.Observe(ctx, lib, q.a.judged(q.a.model), q.o.Source, indices, o)
	if err != nil {
		return nil, fmt.Errorf("%s: observing its outputs: %w", q.a.model.Path, err)
	}
	list := []Correction{}
	measure := func(c Correction, made func() (*onnxio.Model, error)) error {
		if before.Samples() == 0 {
			return nil
		}
		models++
		m, err := made()
		if err != nil {
			return err
		}
		defer m.Close()
		change, err := before.Change(ctx, q.a.judged(m), progress)
		if err == nil && c.measured(change) {
			c.Samples = before.Samples()
			list = append(list, c)
		}
		return err
	}
	for _, i := range doubtful {
		l := &s.ladders[i]
		rung := l.rungs[s.plan.Rungs[i]]
		if err := measure(l.predicted(rung), func() (*onnxio.Model, error) { return q.alone(s.offers, l, rung) }); err != nil {
			return nil, fmt.Errorf("%s: node %q: measuring %s at rank %v: %w", q.a.model.Path, l.offers[0].site.Name, rung[0].method.Name, rung[0].rank, err)
		}
	}
	for _, i := range axes {
		o, width := &s.offers.axes[i], s.widths[i]
		if err := measure(o.predicted(width), func() (*onnxio.Model, error) { return q.aloneNarrow(ctx, s.offers, o, width) }); err != nil {
			return nil, fmt.Errorf("%s: axis %q: measuring %d of %d units: %w", q.a.model.Path, o.axis.Name, width, o.axis.Units, err)
		}
	}
	return list, nil
}

// corrected is on how many samples losses are measured, and by at most how many models: with axes in all rounds, the original in each of them.
func (a *Analysis) corrected() (samples, models int) {
	models = 1 + correctedLadders
	if len(a.Axes) > 0 {
		models = correctedLadders + remeasured*models
	}
	least := leastCorrected
	if a.positional() {
		least = leastTexts
	}
	return correctable(len(a.Calibrate), models, least, a.Costs.MACs), models
}

// positional tells whether an output that counts has an answer at each of many positions or places.
func (a *Analysis) positional() bool {
	m := a.judged(a.model)
	list, err := outputs.Of(m, outputs.Options{})
	return err == nil && slices.ContainsFunc(list, func(o outputs.Output) bool {
		return o.Weight > 0 && (o.Kind.Vocabulary() || o.Kind.Placed())
	})
}

// correctable is how many of the samples losses are measured on, by runs of so many models of which a sample takes that many multiply-adds.
func correctable(samples, models, least int, macs int64) int {
	return affordable(min(correctedSamples, max(samples/8, fewestCorrected), samples), models, least, macs)
}

// affordable is how many of the samples so many models are run on, and at least so many where there are.
func affordable(samples, models, least int, macs int64) int {
	if macs > 0 {
		return min(samples, max(least, int(mostCorrectedMACs/float64(macs)/float64(models))))
	}
	return samples
}

// corrected are the offers with the losses of all sites and axes corrected by what was measured, and of axes by what was measured before.
func (of *Offers) corrected(list []Correction) *Offers {
	next := *of
	first := of.Corrections == nil
	if next.Corrections = slices.Concat(of.Corrections, list); next.Corrections == nil {
		next.Corrections = []Correction{}
	}
	if len(list) == 0 {
		return &next
	}
	if list = next.Corrections; first {
		next.correctSites(list)
	}
	next.correctAxes(list)
	return &next
}

// correctSites corrects the losses of sites.
func (of *Offers) correctSites(list []Correction) {
	common := median(list)
	next := slices.Clone(of.sites)
	for k, o := range of.sites {
		ratio := common
		for _, c := range list {
			if c.Axis == "" && slices.Contains(c.Sites, o.site.Name) {
				ratio = c.Ratio
			}
		}
		if o.sensitive {
			next[k] = o.rescaled(ratio)
		}
	}
	of.sites = next
}

// correctAxes corrects the losses of axes.
func (of *Offers) correctAxes(list []Correction) {
	common := median(list)
	next := slices.Clone(of.axes)
	for i := range next {
		next[i].ratio = common
		for _, c := range list {
			if c.Axis == next[i].axis.Name {
				next[i].ratio = c.Ratio
			}
		}
	}
	of.axes = next
}

// measured tells whether a correction is of the axis.
func (o *axisOffer) measured(list []Correction) bool {
	return slices.ContainsFunc(list, func(c Correction) bool { return c.Axis == o.axis.Name })
}

// median is that of the ratios; of an even number, the geometric mean of the two in the middle.
func median(list []Correction) float64 {
	var ratios []float64
	for _, c := range list {
		ratios = append(ratios, c.Ratio)
	}
	slices.Sort(ratios)
	n := len(ratios)
	return math.Sqrt(ratios[(n-1)/2] * ratios[n/2])
}

// alone is the model with the sites of one ladder replaced.
func (q *quest) alone(of *Offers, l *ladder, rung []option) (*onnxio.Model, error) {
	chains := make([]decomp.Chain, len(of.sites))
	for k, o := range l.offers {
		if rung[k].method == nil {
			continue
		}
		var err error
		if chains[l.at[k]], err = of.store.chain(o.seen, rung[k]); err != nil {
			return nil, err
		}
	}
	m, _, err := q.a.replace(chains, nil)
	return m, err
}

// aloneNarrow is the model with one axis narrowed.
func (q *quest) aloneNarrow(ctx context.Context, of *Offers, o *axisOffer, width int) (*onnxio.Model, error) {
	list := []rewrite.Narrowing{{Axis: o.axis, Keep: o.kept(width)}}
	on, err := of.ground(q.a, q.o, list)
	if err != nil {
		return nil, err
	}
	folds, err := on.of.folds(ctx, q.env, on.a, on.list)
	if err != nil {
		return nil, err
	}
	return rewrite.Narrow(on.a.model, on.list, folds)
}

// predicted is what a rung is to change.
func (l *ladder) predicted(rung []option) Correction {
	first := slices.IndexFunc(rung, func(o option) bool { return o.method != nil })
	c := Correction{Method: rung[first].method.Name, Rank: rung[first].rank}
	for k, o := range l.offers {
		if rung[k].method == nil {
			continue
		}
		c.Sites = append(c.Sites, o.site.Name)
		c.Predicted += rung[k].loss
	}
	return c
}

// predicted is what a width is to change by its loss as it was found.
func (o *axisOffer) predicted(width int) Correction {
	c := Correction{Axis: o.axis.Name, Method: Width, Rank: decomp.Rank{width}, Predicted: o.losses[width]}
	for _, p := range o.axis.Readers {
		c.Sites = append(c.Sites, p.Site.Name)
	}
	return c
}

// measured holds the prediction against a change, and tells whether it can be. What cannot be
// compared corrects nothing: outputs that are not finite, which verification judges.
func (c *Correction) measured(change float64) bool {
	if c.Measured = change; math.IsNaN(change) || math.IsInf(change, 0) {
		return false
	}
	c.Ratio = min(max(change/c.Predicted, 1./mostCorrection), mostCorrection)
	return true
}
