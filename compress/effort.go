package compress

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/refit"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// effort is about what the chapters of a run take for one model, in multiply-adds of a large product of matrices in float32. It is an estimate,
// which nothing but what is said of the time left goes by.
type effort [chapters]float64

// What takes longer than a multiply-add of such a product, and how many times as long: medians over the networks of the bench.
const (
	toRun    = 2 // one of the model in the runtime
	toFeel   = 3 // one of the model and its gradients
	toFactor = 6 // one in float64 in a decomposition
	toRefit  = 2 // what a refit is estimated at, with its files
	// mostlyChosen is the share of the choice that is over when losses were corrected.
	mostlyChosen = 0.8
)

// effort is what is ahead when the sites are calibrated next, or were before.
func (a *Analysis) effort(o Options, cached bool) (e effort) {
	samples, macs, probes := len(a.Calibrate), float64(a.Costs.MACs), o.probes()
	if !cached {
		e[chapterCalibrate] = toFeel * float64(samples) * float64(len(a.sweeps)) * macs * float64(1+2*probes)
	}
	measured, models := a.corrected()
	e[chapterChoose] = toRun * float64(measured) * float64(models) * macs
	e[chapterProve] = toRun * 2 * float64(len(a.Verify)) * macs
	for i := range a.Sites {
		s := &a.Sites[i]
		if !cached {
			e[chapterCalibrate] += float64(samples) * momentWork(s, probes, samples)
		}
		closed, sought := a.methodsWork(s)
		e[chapterFactor] += toFactor * closed
		e[chapterChoose] += toFactor * sought
		if o.NoRefit || s.View.Kind == rewrite.TableRows {
			continue
		}
		runs, sums, solving := refit.Effort(s, samples, true)
		e[chapterRefit] += toRefit * (runs + sums + solving)
	}
	for i := range a.Axes {
		e[chapterFactor] += toFactor * eliminationWork(&a.Axes[i])
	}
	return e
}

// swept is what of a calibration is done before group g and after it: groups of one sweep are calibrated together.
func (a *Analysis) swept(g int) (from, to float64) {
	at, of := slices.IndexFunc(a.sweeps, func(groups []int) bool { return slices.Contains(groups, g) }), float64(len(a.sweeps))
	to = float64(at+1) / of
	if a.sweeps[at][0] != g {
		return to, to
	}
	return float64(at) / of, to
}
