package compress

import (
	"context"
	"math"
)

// What the noise in what a site reads (SiteResult.Noise) is held against.
const (
	enough     = 0.05 // below it there are enough samples
	measurable = 0.1  // above it, the change of the outputs on the samples calibrated on says little of that on others
	unknowable = 1e4  // above it nothing is known
	tooNoisy   = 1    // above it there are fewer independent columns than inputs that vary: weights alone may serve better
)

// DataFree says that a model was chosen by the weights alone, because on samples held out it changes the outputs less than
// one calibrated on too few: the mean squared changes on so many samples, of which there may be none.
type DataFree struct {
	Samples    int     `json:"samples"`
	Change     float64 `json:"change"`
	Calibrated float64 `json:"calibrated"`
}

// noisiest is the site whose inputs are the noisiest of those that have a use for samples, and how noisy; nil without any.
func (of *Offers) noisiest() (*offer, float64) {
	var worst *offer
	for k := range of.sites {
		if o := &of.sites[k]; len(o.options)+len(o.open) > 1 && (worst == nil || o.noise > worst.noise) {
			worst = o
		}
	}
	if worst == nil {
		return nil, 0
	}
	return worst, worst.noise
}

// wanting notes how many samples would be enough, where those that there are are not.
func (c Calibration) wanting(of *Offers) *Calibration {
	worst, noise := of.noisiest()
	if noise <= enough {
		return &c
	}
	c.Noisiest = worst.site.Name
	if noise < unknowable { // beyond, nothing is known but that they are few
		c.Wanted = roundedUp(float64(c.Samples) * noise / enough)
	}
	return &c
}

// roundedUp is a number of two digits, at least n.
func roundedUp(n float64) int {
	unit := math.Pow(10, math.Max(math.Floor(math.Log10(n))-1, 0))
	return int(math.Ceil(n/unit) * unit)
}

// noise is the largest of the sites that a choice changes.
func (c *Choice) noise() float64 {
	most := 0.0
	for k, p := range c.picks {
		if p.method != nil {
			most = max(most, c.Offers.sites[k].noise)
		}
	}
	return most
}

// better is the model itself or, where it was calibrated on too few samples, one chosen by the weights alone if that changes the
// outputs less on the samples held out; where none are, if nothing is known from those calibrated on. The other is closed.
func (w *work) better(ctx context.Context, s *Assembled) (*Assembled, error) {
	noise := s.Choice.noise()
	if w.o.Source == nil || w.o.FromPlan != nil || noise <= tooNoisy || len(w.a.Verify) == 0 && noise < unknowable {
		return s, nil
	}
	free, err := w.dataFree(ctx, s.Choice)
	if err != nil {
		s.close()
		return nil, err
	}
	if free == nil {
		return s, nil
	}
	changes, n, err := w.changes(ctx, []*Assembled{s, free}, w.a.Verify)
	if err != nil {
		free.close()
		s.close()
		return nil, err
	}
	d := &DataFree{Samples: n}
	if n > 0 {
		d.Calibrated, d.Change = changes[0], changes[1]
	}
	if d.Samples > 0 && !(d.Change < d.Calibrated) {
		free.close()
		return s, nil
	}
	s.close()
	c, of, choice := *s.Choice.Offers.Calibration, *free.Choice.Offers, *free.Choice
	c.DataFree, of.Calibration, choice.Offers, free.Choice = d, &c, &of, &choice
	return free, nil
}

// dataFree chooses and assembles by the weights alone under the bounds of a choice; nil where nothing meets them.
func (w *work) dataFree(ctx context.Context, c *Choice) (*Assembled, error) {
	env, o, a := w.env.inPass(" data-free"), w.o, *w.a
	o.Source, a.Groups, a.sweeps, a.Axes = nil, nil, nil, nil // what narrower axes lose, samples alone tell
	of, err := Factor(ctx, env, &a, o)
	if err != nil {
		return nil, err
	}
	defer of.close()
	free, err := Choose(ctx, env, &a, of, o, c.Bounds, c.Spare)
	if err != nil || free.Unmet != nil {
		return nil, err
	}
	return Assemble(ctx, env, &a, free, o)
}
