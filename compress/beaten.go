package compress

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// beaten is what the checkpoints remember of an attempt at the goals that another has beaten, so that neither its refit nor its judgement is
// needed again.
type beaten struct {
	Trial Trial
	// Refit is what the files of its refit begin with, which are gone.
	Refit string
}

// beatenError says that an attempt is known to be beaten.
type beatenError struct{ trial Trial }

func (e *beatenError) Error() string { return "another attempt met the goals with less" }

// attempted is what tells an attempt from all others, under one key of a factoring: the options and goals of the run, and the choice, from
// which its chains follow. It is nil where nothing is kept, or what a file takes decides on what follows an attempt.
func (w *work) attempted(c *Choice) []any {
	if w.o.keeper == nil || w.record == nil || len(w.o.Goals) == 0 || bytesTarget(w.o.Targets) >= 0 {
		return nil
	}
	var picks []string
	for _, p := range c.picks {
		picks = append(picks, p.key())
	}
	var axes [][]int
	for _, n := range c.narrowings() {
		axes = append(axes, n.Keep)
	}
	return []any{w.record.Options, w.o.Goals, c.Bounds, c.Spare, picks, axes}
}

// known tells of an attempt at a choice that it is beaten, as a *beatenError. What an earlier run did not come to remove goes.
func (w *work) known(ctx context.Context, c *Choice) error {
	of := w.attempted(c)
	if of == nil {
		return nil
	}
	there, found, err := recalled[beaten](ctx, w.o.keeper, "beaten", of, w.a.Judge)
	if err != nil || !found {
		return err
	}
	if err := w.o.keeper.forget(there.Refit); err != nil {
		return err
	}
	return &beatenError{there.Trial}
}

// beat notes that an attempt is beaten, by the best so far unless that is nil, and removes the files of its refit. They stay where the best
// has the same refit, and where the weights alone could have taken the place of the choice, on which other samples decide.
func (w *work) beat(ctx context.Context, t Trial, s, best *Assembled) error {
	if s == nil || s.kept == nil || best != nil && best.kept != nil && best.kept.files() == s.kept.files() || s.Choice.noise() > tooNoisy {
		return nil
	}
	of := w.attempted(s.Choice)
	if of == nil {
		return nil
	}
	kept, err := w.o.keeper.keep(ctx, "beaten", of, w.a.Judge, beaten{t, filepath.Base(s.kept.files())})
	if err != nil || !kept {
		return err
	}
	return w.o.keeper.forget(filepath.Base(s.kept.files()))
}

// forget removes the files of a refit.
func (k *keeper) forget(refit string) error {
	list, err := filepath.Glob(filepath.Join(k.folder, refit+"-*.ocr"))
	for _, path := range list {
		if gone := os.Remove(path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return k.failed(err)
}
