package calib

import (
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Stats is what calibration saw at one site.
type Stats struct {
	// Site is the name of the site.
	Site string
	// A has the second moment E[x xᵀ] of the input columns x of each group of
	// channels, [K, K] with K the columns of the site's kernel: the mean over the
	// positions of all samples that have a weight, or where convolutions show plenty of them over
	// some of each sample (moments.Thinning), as that of G. Statistics of sites that read the same columns
	// share their matrices, which are to be left as they are. Nil where Columns or Counts
	// stand for it.
	A []*linalg.Matrix
	// Columns has the columns x themselves, one a row, [Positions, K]: at a plain matrix
	// with more inputs than it met columns, whose A would be larger. Without rows elsewhere. Each is
	// multiplied by the root of its weight.
	Columns linalg.Block32
	// Roots are those of the weights of Columns, [Positions]; nil where all are 1.
	Roots []float32
	// Counts tells how often each row of a table was looked up, [K]; nil elsewhere. Columns
	// x are then one-hot, and A is diagonal, with E[x] on its diagonal.
	Counts []int64
	// Mean has the first moment E[x] of the same columns, [K] for each group. With Counts
	// it is (count+1)/(positions+K), so that rows that no sample looked up count too.
	Mean [][]float64
	// Noise says of each group how much of A − E[x]E[x]ᵀ is noise of so many samples, which Input takes off; nil where
	// that was not measured, and with Counts.
	Noise []Noise
	// G has the second moment E[g gᵀ] of the sensitivity g = ∂(vᵀf)/∂y of the model's
	// outputs f to the site's output y, for each group of channels, [O, O] with O the
	// rows of the site's kernel: the mean over the positions of all samples and the
	// random directions v, with entries off the diagonal shrunk by the share of them that
	// is noise of so many samples. Nil where no sensitivities were asked for, and where Note
	// says why there are none; then that is so at every site. A zero G is a site that
	// no output depends on; they are not zero at all sites that are calibrated together.
	//
	// Whatever scales y behind the site, such as a batch normalization, is in G:
	// Site.OutputScale must not be applied on top.
	G []*linalg.Matrix
	// Pullback is WᵀGW, [K, K], in place of G where that would take more than a sixteenth of Options.Memory at a plain matrix
	// with more outputs than inputs: E[(Wᵀg)(Wᵀg)ᵀ], the second moment of what is felt of the inputs through this site, shrunk
	// as G is.
	Pullback []*linalg.Matrix
	// Note says how G was found where that was not by gradients, or why there is none,
	// for people; empty in the common case.
	Note string
	// Unusable says why there is neither A nor what could stand for it: the site saw no samples, or numbers that are not finite.
	// Empty in the common case.
	Unusable string
	// Felt has the weights of the positions in A and Mean, by how much the outputs feel them at
	// this site and at those that read the same columns; Counts leave out those without.
	// Empty where all weigh the same, as at a convolution, whose positions overlap. Statistics of sites that
	// read the same columns share it.
	Felt moments.Felt
	// Positions is the number of output positions that have a weight, over all samples.
	Positions int64
	// Samples is the number of samples that were summed.
	Samples int64
	// OutputShape is the shape of the site's output for the first sample, without
	// the batch axis.
	OutputShape []int
}

// PositionsPerSample is the factor T of the loss T·tr(G ΔW A ΔWᵀ).
func (s Stats) PositionsPerSample() float64 {
	if s.Samples == 0 {
		return 0
	}
	return float64(s.Positions) / float64(s.Samples)
}

// Sensitive tells whether there are sensitivities.
func (s Stats) Sensitive() bool { return s.G != nil || s.Pullback != nil }

// frequencies are smoothed shares of counts that make n in total.
func frequencies(counts []int64, n int64) []float64 {
	out := make([]float64, len(counts))
	for i, c := range counts {
		out[i] = float64(c+1) / float64(n+int64(len(counts)))
	}
	return out
}
