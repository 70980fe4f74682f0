package compress

import (
	"context"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/calib"
)

// best is the model itself or, where its choice has rivals, that of all which changes the outputs least on the samples held out. The
// others are closed.
func (w *work) best(ctx context.Context, s *Assembled) (*Assembled, error) {
	rivals := s.Choice.rivals
	if len(rivals) == 0 || len(w.a.Verify) == 0 {
		return s, nil
	}
	all := []*Assembled{s}
	leave := func(but int) {
		for i, other := range all {
			if i != but {
				other.close()
			}
		}
	}
	for i, c := range rivals {
		other, err := Assemble(ctx, w.env.inPass(fmt.Sprintf(" %d/%d", i+2, 1+len(rivals))), w.a, c, w.o)
		if err != nil {
			leave(-1)
			return nil, err
		}
		all = append(all, other)
	}
	changes, n, err := w.changes(ctx, all)
	if err != nil {
		leave(-1)
		return nil, err
	}
	best := 0
	for i := range changes {
		if n > 0 && changes[i] < changes[best] {
			best = i
		}
	}
	leave(best)
	return all[best], nil
}

// changes measures by how much models change the outputs on the samples held out. On none that tell, it says nothing.
func (w *work) changes(ctx context.Context, models []*Assembled) (changes []float64, samples int, err error) {
	lib, err := w.env.need("comparing models")
	if err != nil {
		return nil, 0, err
	}
	err = w.env.stage(ctx, "compare", func(st *stage) error {
		o := w.env.calibOptions(w.a, w.o)
		o.Progress = st.told
		before, err := calib.Observe(ctx, lib, w.a.given, w.o.Source, w.a.Verify, o)
		if err != nil {
			return fmt.Errorf("%s: observing its outputs: %w", w.a.model.Path, err)
		}
		if samples = before.Samples(); samples == 0 {
			return nil
		}
		for _, m := range models {
			change, err := before.Change(ctx, m.Model, st.told)
			if err != nil {
				return fmt.Errorf("%s: measuring the change of its outputs: %w", w.a.model.Path, err)
			}
			changes = append(changes, change)
		}
		return nil
	})
	return changes, samples, err
}
