package calib

import (
	"github.com/onnx-compress/onnx-compress/internal/linalg"
)

// Stats is what calibration saw at one site.
type Stats struct {
	// Site is the name of the site.
	Site string
	// A has the second moment E[x xᵀ] of the input columns x of each group of
	// channels, [K, K] with K the columns of the site's kernel: the mean over all
	// positions of all samples. Statistics of sites that read the same columns
	// share their matrices, which are to be left as they are.
	A []*linalg.Matrix
	// Positions is the number of output positions, over all samples.
	Positions int64
	// Samples is the number of samples that were summed.
	Samples int64
	// OutputShape is the shape of the site's output for the first sample, without
	// the batch axis; -1 stands for what is not known.
	OutputShape []int
}

// PositionsPerSample is the factor T of the loss T·tr(G ΔW A ΔWᵀ).
func (s Stats) PositionsPerSample() float64 {
	if s.Samples == 0 {
		return 0
	}
	return float64(s.Positions) / float64(s.Samples)
}
