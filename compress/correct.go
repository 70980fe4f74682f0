package compress

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/search"
)

// What bounds the correction of losses.
const (
	correctedLadders = 8   // that are measured: those of the largest losses
	correctedSamples = 128 // they are measured on
	mostCorrection   = 16  // up or down: what lies beyond is chance, or no matter of scale
)

// Correction is a predicted change of the model's outputs held against the true one. In the
// search that follows, the sites' losses at every rank are multiplied with the ratio of the
// two, and those of sites without a measurement with the median of all ratios: much of what
// predictions are wrong by is common to all sites, and must not count against those measured.
type Correction struct {
	// Sites are those that were replaced: one, or all that share a weight.
	Sites  []string    `json:"sites"`
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

// doubtful returns the ladders whose losses are worth a measurement: of those that the
// choice replaces by factors, where losses are changes of the outputs, the ones of the
// largest losses. There are none where it was done before, or is not wanted.
func (j *job) doubtful(s *standing) []int {
	if !j.opts.corrects() || j.opts.Source == nil || j.corrections != nil {
		return nil
	}
	var out []int
	loss := func(i int) float64 { return s.stated[i].Rungs[s.plan.Rungs[i]].Loss }
	for i := range s.ladders {
		l := &s.ladders[i]
		guessed := slices.ContainsFunc(l.offers, func(o *offer) bool { return !o.sensitive })
		if !guessed && l.rungs[s.plan.Rungs[i]][0].method != nil && loss(i) > 0 {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(loss(b), loss(a)) })
	return out[:min(len(out), correctedLadders)]
}

// correct measures what the outputs really do when one ladder alone is at its chosen rung,
// one after the other, and rescales all losses. It is done once in a run, however often the
// search is.
func (j *job) correct(ctx context.Context, s *standing, doubtful []int) error {
	lib, err := j.libs.Need("measuring the change of the outputs")
	if err != nil {
		return err
	}
	indices := j.calibrate[:min(len(j.calibrate), correctedSamples)]
	models := 0
	progress := func(done, total int) {
		j.opts.Progress(j.named("correct"), models*len(indices)+done*len(indices)/total, (1+len(doubtful))*len(indices))
	}
	o := j.calibOptions("")
	o.Progress = progress
	before, err := calib.Observe(ctx, lib, j.model, j.opts.Source, indices, o)
	if err != nil {
		return fmt.Errorf("%s: observing its outputs: %w", j.model.Path, err)
	}
	j.corrections = []Correction{}
	if before.Samples() == 0 {
		return nil
	}
	for _, i := range doubtful {
		models++
		l := &s.ladders[i]
		rung := l.rungs[s.plan.Rungs[i]]
		change, err := j.alone(ctx, l, rung, before, progress)
		if err != nil {
			return fmt.Errorf("%s: node %q: measuring %s at rank %v: %w", j.model.Path, l.offers[0].site.Name, rung[0].method.Name, rung[0].rank, err)
		}
		if c, ok := l.correction(rung, change); ok {
			c.Samples = before.Samples()
			j.corrections = append(j.corrections, c)
		}
	}
	j.rescale()
	return nil
}

// rescale corrects the losses of all sites by what was measured.
func (j *job) rescale() {
	if len(j.corrections) == 0 {
		return
	}
	common := median(j.corrections)
	for _, o := range j.offers {
		ratio := common
		for _, c := range j.corrections {
			if slices.Contains(c.Sites, o.site.Name) {
				ratio = c.Ratio
			}
		}
		if o.sensitive {
			o.rescale(ratio)
		}
	}
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

// alone returns by how much the outputs change with the sites of one ladder replaced.
func (j *job) alone(ctx context.Context, l *ladder, rung []option, before *calib.Outputs, progress func(done, total int)) (float64, error) {
	chains := make([]decomp.Chain, len(j.offers))
	for k, o := range l.offers {
		var err error
		if chains[slices.Index(j.offers, o)], err = j.chain(o, rung[k]); err != nil {
			return 0, err
		}
	}
	m, _, err := j.replace(chains)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	return before.Change(ctx, m, progress)
}

// correction holds the loss of a rung against the change that was measured. What cannot be
// compared corrects nothing: outputs that are not finite, which verification judges.
func (l *ladder) correction(rung []option, measured float64) (Correction, bool) {
	c := Correction{Method: rung[0].method.Name, Rank: rung[0].rank, Measured: measured}
	for k, o := range l.offers {
		c.Sites = append(c.Sites, o.site.Name)
		c.Predicted += rung[k].loss
	}
	if math.IsNaN(measured) || math.IsInf(measured, 0) {
		return c, false
	}
	c.Ratio = min(max(measured/c.Predicted, 1./mostCorrection), mostCorrection)
	return c, true
}

// rescale multiplies the losses of all options, and of those still to come.
func (o *offer) rescale(ratio float64) {
	o.ratio *= ratio
	for i := range o.options {
		o.options[i].loss *= ratio
	}
}
