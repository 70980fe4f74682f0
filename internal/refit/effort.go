package refit

import (
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Multiply-adds of a refit, in units of one in float32 by a large product of matrices. They are estimates, which nothing but what is
// said of the progress goes by.
const (
	passing  = 100 // for a number of a site's input or output: it is computed, compared and put on the shelf, by both models
	double   = 2   // for one in float64
	ridged   = 0.8 // times K³, for the systems of all ridges
	splitted = 10  // times K²·min(K, O), for the factors that are tried, and what they leave
)

// efforts are about what the stops take: to run all samples through each, and to solve its site.
func (w *walk) efforts() (sweeps, solves []float64) {
	for _, i := range w.order {
		c := &w.choices[i]
		sweep, solve := w.effort(c)
		sweeps, solves = append(sweeps, sweep), append(solves, solve)
	}
	return sweeps, solves
}

func (w *walk) effort(c *Choice) (sweep, solve float64) {
	sweep, moved, solve := Effort(&c.Site, w.samples, !c.single())
	if w.left(c) != "" {
		return sweep, 0
	}
	return sweep + moved, solve
}

// Effort is about what a site of a refit takes on so many samples, in multiply-adds in float32 by a large product of matrices: for both models to
// run through it, to sum what it is solved from, and to solve it, as a chain of factors or whole.
func Effort(s *rewrite.Site, samples int, chain bool) (run, sum, solve float64) {
	kernel := s.Kernel
	groups, k, o := float64(kernel.Groups), float64(kernel.Cols()), float64(kernel.Rows())
	positions := float64(samples) * float64(max(s.Batch, 1)) * float64(tensor.Product(s.Geometry.Out))
	read := float64(samples) * float64(max(s.Batch, 1)) * float64(tensor.Product(s.Geometry.In)) * float64(kernel.In)
	run = passing*(read+positions*float64(kernel.Out)) + 3*positions*groups*k*o
	sum = positions / float64(moments.ThinInputs(s, samples).Share()) * groups * (k*k/2 + k*o + o*o/2/heldEvery)
	solve = ridged * k * k * k
	if chain {
		solve += splitted * k * k * min(k, o)
	}
	return run, sum, double * groups * solve
}

// measure is how far a refit is.
type measure struct {
	sweeps, solves []float64
	before         []float64 // the efforts of all stops before each
	total          float64
}

// loading is what it takes to load the samples, as a share of all: about nothing, since others have read them.
const loading = 0.01

func (w *walk) newMeasure() *measure {
	m := &measure{}
	m.sweeps, m.solves = w.efforts()
	for k := range m.sweeps {
		m.before = append(m.before, m.total)
		m.total += m.sweeps[k] + m.solves[k]
	}
	return m
}

// share of all work that is done when so much of the sweep of stop k is; stop −1 is that of loading.
func (m *measure) share(k int, swept float64) float64 {
	if k < 0 {
		return loading * swept
	}
	return loading + (1-loading)*(m.before[k]+m.sweeps[k]*swept)/m.total
}
