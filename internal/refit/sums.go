package refit

import (
	"context"
	"errors"
	"reflect"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/internal/ordered"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// worker is what a goroutine keeps from one run to the next.
type worker struct {
	backend        linalg.Backend
	scratch        moments.Scratch
	off, errorsOff []float32 // inputs and errors without their pilots

	ownErrors, bothErrors, lack []float32 // of the run under way
	left, right                 []float32 // outputs at some of their positions
	x, ee                       moments.Part
	own, both                   moments.ErrorsPart
}

// sums are the first and second moments at one site: separately for the runs that are solved on and those held out.
type sums struct {
	turns  ordered.Turns
	short  bool // whether there is a shortcut
	inputs *inputMoments
	pilot  *moments.Pilot  // of the errors that are judged by
	parts  [2]sumPart      // fit, held out
	ee     *moments.Inputs // of the errors that are judged by, on the samples held out: both, or own where there is no shortcut
}

// inputMoments are the moments of a site's input columns. Sites that cut the same value in the same way share them.
type inputMoments struct {
	site  *rewrite.Site
	felt  moments.Felt
	pilot *moments.Pilot
	parts [2]*moments.Inputs
	done  [2]*inputFacts // when summed up
}

// sumPart has the sums that belong to a site's errors.
type sumPart struct {
	own, both *moments.Errors
}

func newInputMoments(c *Choice) *inputMoments {
	k, out := c.Site.Kernel, &inputMoments{site: &c.Site, felt: c.Felt, pilot: moments.NewPilot()}
	for i := range out.parts {
		out.parts[i] = moments.NewInputs(k.Groups, k.Cols(), out.pilot)
	}
	return out
}

func newSums(s *rewrite.Site, inputs *inputMoments, short bool) *sums {
	k, out := s.Kernel, &sums{inputs: inputs, short: short, pilot: moments.NewPilot()}
	out.ee = moments.NewInputs(k.Groups, k.Rows(), out.pilot)
	for i := range out.parts {
		out.parts[i] = sumPart{
			own:  moments.NewErrors(k.Groups, k.Rows(), k.Cols(), inputs.pilot),
			both: moments.NewErrors(k.Groups, k.Rows(), k.Cols(), inputs.pilot),
		}
	}
	return out
}

// match tells whether a site's columns are those whose moments are here, complete.
func (m *inputMoments) match(s *rewrite.Site, felt moments.Felt) bool {
	return m != nil && m.done[0] != nil && m.site.Input == s.Input && m.site.Kernel.In == s.Kernel.In &&
		m.site.Kernel.Groups == s.Kernel.Groups && m.site.ChannelAxis(2) == s.ChannelAxis(2) && reflect.DeepEqual(m.site.View, s.View) && m.felt.Equal(felt)
}

// add adds what a run shows. The first run sets the pilots, for which the others wait.
func (s *sums) add(ctx context.Context, w *worker, run int, held bool, seen observed) error {
	at := 0
	if held {
		at = 1
	}
	l, part, reuse := seen.layout, s.parts[at], s.inputs.done[0] != nil
	judged := seen.own
	if s.short {
		judged = seen.both
	}
	squares := held && judged != nil
	if run == 0 {
		s.setPilots(seen, judged, reuse)
	}
	if err := errors.Join(s.inputs.pilot.Wait(ctx), s.pilot.Wait(ctx)); err != nil {
		return err
	}
	if l == nil {
		return s.skip(ctx, run)
	}
	off := s.inputs.pilot.Off(l.x, seen.x, l.nx, seen.roots, &w.off)
	if !reuse {
		s.inputs.parts[at].Run(w.backend, l.x, off, l.nx, seen.roots, &w.x, &w.scratch)
	}
	var errs []*moments.Errors
	var values [][]float32
	var parts []*moments.ErrorsPart
	if seen.own != nil {
		errs, values, parts = append(errs, part.own), append(values, seen.own), append(parts, &w.own)
	}
	if s.short {
		errs, values, parts = append(errs, part.both), append(values, seen.both), append(parts, &w.both)
	}
	if errs != nil {
		moments.RunErrors(w.backend, errs, l.xy, l.nxy, l.y, l.ny, values, off, seen.roots, parts, &w.scratch)
	}
	if squares {
		s.ee.Run(w.backend, l.y, s.pilot.Off(l.y, judged, l.ny, seen.roots, &w.errorsOff), l.ny, seen.roots, &w.ee, &w.scratch)
	}
	return s.turns.Do(ctx, run, func() {
		if !reuse {
			s.inputs.parts[at].Add(&w.x)
		}
		if seen.own != nil {
			part.own.Add(&w.own)
		}
		if s.short {
			part.both.Add(&w.both)
		}
		if squares {
			s.ee.Add(&w.ee)
		}
	})
}

// skip leaves a run out.
func (s *sums) skip(ctx context.Context, run int) error {
	return s.turns.Do(ctx, run, func() {})
}

// setPilots sets the pilots by what the first run shows; the inputs' has been set where their moments are complete.
func (s *sums) setPilots(seen observed, judged []float32, reuse bool) {
	var x, y moments.Summation
	l := seen.layout
	if l == nil {
		l = &layout{}
	}
	x, y = l.x, l.y
	if judged == nil {
		y = nil
	}
	if !reuse {
		s.inputs.pilot.Set(x, seen.x, l.nx, seen.roots)
	}
	s.pilot.Set(y, judged, l.ny, seen.roots)
}

func accumulate(to, from []float64) {
	for i, v := range from {
		to[i] += v
	}
}
