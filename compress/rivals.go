package compress

import (
	"context"
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/internal/calib"
)

// best is the choice itself or, where it has rivals, that of all whose model changes the outputs least on samples held out, before a
// refit: that takes more than all else that is made of a choice, and is left to the one that is taken.
func (w *work) best(ctx context.Context, c *Choice) (*Choice, error) {
	if len(c.rivals) == 0 || len(w.a.Verify) == 0 {
		return c, nil
	}
	all := append([]*Choice{c}, c.rivals...)
	var drafts []*Assembled
	defer func() {
		for _, d := range drafts {
			d.close()
		}
	}()
	o := w.o
	o.NoRefit = true
	for _, one := range all {
		d, err := Assemble(ctx, w.env, w.a, one, o)
		if err != nil {
			return nil, err
		}
		drafts = append(drafts, d)
	}
	held := w.a.Verify[:affordable(min(len(w.a.Verify), correctedSamples), 1+len(drafts), leastCorrected, w.a.Costs.MACs)]
	changes, n, err := w.changes(ctx, drafts, held)
	if err != nil || n == 0 {
		return c, err
	}
	least := 0
	for i := range changes {
		if changes[i] < changes[least] || math.IsNaN(changes[least]) {
			least = i
		}
	}
	return all[least], nil
}

// changes measures by how much models change the outputs on the samples numbered by indices. On none that tell, it says nothing.
func (w *work) changes(ctx context.Context, models []*Assembled, indices []int) (changes []float64, samples int, err error) {
	var key []any
	for _, m := range models {
		key = append(key, m.told())
	}
	measured, err := remembered(ctx, w.o.keeper, "changes", key, indices, func() (c change, err error) {
		list, n, err := w.measureChanges(ctx, models, indices)
		return change{list, n}, err
	})
	return measured.Of, measured.Samples, err
}

// change is by how much models change the outputs, on so many samples.
type change struct {
	Of      exacts
	Samples int
}

func (w *work) measureChanges(ctx context.Context, models []*Assembled, indices []int) (changes []float64, samples int, err error) {
	lib, err := w.env.need("comparing models")
	if err != nil {
		return nil, 0, err
	}
	err = w.env.stage(ctx, "compare", func(st *stage) error {
		o := w.env.calibOptions(w.a, w.o)
		o.Progress = st.told
		before, err := calib.Observe(ctx, lib, w.a.judged(w.a.given), w.o.Source, indices, o)
		if err != nil {
			return fmt.Errorf("%s: observing its outputs: %w", w.a.model.Path, err)
		}
		if samples = before.Samples(); samples == 0 {
			return nil
		}
		for _, m := range models {
			change, err := before.Change(ctx, w.a.judged(m.Model), st.told)
			if err != nil {
				return fmt.Errorf("%s: measuring the change of its outputs: %w", w.a.model.Path, err)
			}
			changes = append(changes, change)
		}
		return nil
	})
	return changes, samples, err
}
