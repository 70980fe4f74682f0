package compress

import (
	"context"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// UnitNeed is what one unit of a work in parts is foretold to need.
type UnitNeed struct {
	// Memory is about the most that it has resident, in bytes.
	Memory int64
	// Work is its multiply-adds, those in float64 counted twice, as one core after another would do them.
	Work float64
}

// Foresight is what the units of a compression in parts need: for those that are parts the one that needs the most.
type Foresight struct{ Calibrate, Merge, Factor, Write UnitNeed }

// Foresee foretells what the units of a compression with these options in so many parts need, from sizes alone. size is that of the model's
// files, in bytes. A unit that may run the model takes the memory limit, and the model twice, as the runtime does while it opens one.
//
// Errors: those of Analyse.
func Foresee(ctx context.Context, env *Environment, m *onnxio.Model, o Options, parts int, size int64) (f Foresight, err error) {
	o = o.WithDefaults()
	o.FromPlan = nil
	o, a, err := o.analysedForPart(ctx, env.afresh(), m)
	if err != nil {
		return f, err
	}
	run := float64(a.Costs.MACs)
	samples, most := float64(len(a.Calibrate)), o.Memory+2*size
	how := env.calibOptions(a, o)
	var sums, largest, kernel int64
	seen := 0.0 // work on what the sites see of one sample
	for i := range a.Sites {
		s := &a.Sites[i]
		bytes := calib.SumBytes(s, how)
		sums, largest, kernel = sums+bytes, max(largest, bytes), max(kernel, factoringBytes(s.Kernel))
		seen += momentWork(s, how.Probes, len(a.Calibrate))
	}
	sweep := float64(len(a.sweeps)) * run * float64(1+2*how.Probes)
	f.Calibrate = UnitNeed{most, math.Ceil(samples/float64(parts)) * (sweep + seen)}
	// Each byte that is merged is read twice, and hashed, which takes about as long as eight multiply-adds; statistics are twice as many as the sums
	// of a part, and are read again when they are written.
	f.Merge = UnitNeed{rss.Base + 3*largest, 8 * float64(parts+4) * float64(sums)}
	f.Factor.Memory = most + max(0, kernel-o.Memory/2)
	for k := range parts {
		f.Factor.Work = max(f.Factor.Work, a.partWork(ShardPart{k + 1, parts}))
	}
	f.Write = UnitNeed{f.Factor.Memory, a.finishing(o, run, seen)}
	return f, nil
}

// momentWork is what summing what a site sees of one of so many samples takes: half of the squares of its columns, which are symmetric, and of
// its output's sensitivities, at the positions that are summed.
func momentWork(s *rewrite.Site, probes, samples int) float64 {
	if !s.Located {
		return 0
	}
	positions := float64(s.Batch) * float64(max(s.Repeats, 1))
	for _, n := range s.Geometry.Out {
		positions *= float64(n)
	}
	k, o := float64(s.Kernel.Cols()), float64(s.Kernel.Rows())
	if s.View.Kind == rewrite.TableRows {
		k = 1
	}
	square := k * k
	in, out := float64(moments.ThinInputs(s, samples).Share()), float64(moments.ThinOutputs(s, samples).Share())
	if v := &s.View; in == 1 && v.Kind == rewrite.ConvPatches && !v.Transposed && !slices.ContainsFunc(v.Strides, func(n int) bool { return n > 1 }) {
		for _, w := range v.Window { // entries depend on the lag between two taps alone
			square *= float64(2*w-1) / float64(w*w)
		}
	}
	return positions * float64(s.Kernel.Groups) * (square/in + float64(probes)*o*o/out) / 2
}

// partWork is what the sites and axes of a part take to be factored.
func (a *Analysis) partWork(p ShardPart) float64 {
	work, s := 0.0, a.portion(p)
	for k := range a.Sites {
		if s.has(k) {
			work += a.factoringWork(&a.Sites[k])
		}
	}
	for i := range a.Axes {
		if s.hasAxis(i) {
			work += eliminationWork(&a.Axes[i])
		}
	}
	return 2 * work
}

// finishing is what is left after the parts: both models run for the refit, whose sums are those of a calibration, for correcting losses and
// judging, and for every epoch of a tuning.
func (a *Analysis) finishing(o Options, run, seen float64) float64 {
	work := float64(len(a.Verify)) * 2 * run
	each := float64(len(a.Calibrate)) * 2 * run // to correct losses
	if !o.NoRefit {
		each += float64(len(a.Calibrate)) * (2*run + seen)
	}
	work += float64(o.models()) * (each + float64(len(a.Judge))*2*run)
	if o.Descent != nil {
		learned := len(a.Calibrate) + len(a.Tune)
		work += float64(tune.MostEpochs(learned, *o.Descent)) * float64(learned) * 4 * run
	}
	return work
}
