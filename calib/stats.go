package calib

import (
	"fmt"
	"slices"

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
	// Mean has the first moment E[x] of the same columns, [K] for each group.
	Mean [][]float64
	// Positions is the number of output positions, over all samples.
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

// Add returns the statistics of the samples of both: moments are averaged by their
// numbers of positions. The order in which several are added decides the last bits.
func Add(a, b Stats) (Stats, error) {
	if a.Site != b.Site || len(a.A) != len(b.A) || len(a.Mean) != len(b.Mean) {
		return Stats{}, fmt.Errorf("statistics of site %q with %d groups and of %q with %d do not add up", a.Site, len(a.A), b.Site, len(b.A))
	}
	out := Stats{
		Site: a.Site, Positions: a.Positions + b.Positions, Samples: a.Samples + b.Samples,
		OutputShape: slices.Clone(a.OutputShape), A: make([]*linalg.Matrix, len(a.A)),
	}
	share := 0.
	if out.Positions > 0 {
		share = float64(b.Positions) / float64(out.Positions)
	}
	for g, x := range a.A {
		y := b.A[g]
		if x.Rows != y.Rows || x.Cols != y.Cols {
			return Stats{}, fmt.Errorf("statistics of site %q have moments of %d×%d and %d×%d and do not add up", a.Site, x.Rows, x.Cols, y.Rows, y.Cols)
		}
		sum := linalg.New(x.Rows, x.Cols)
		for i := range sum.Data {
			sum.Data[i] = x.Data[i] + share*(y.Data[i]-x.Data[i])
		}
		out.A[g] = sum
	}
	for g, x := range a.Mean {
		y := b.Mean[g]
		if len(x) != len(y) {
			return Stats{}, fmt.Errorf("statistics of site %q have means of length %d and %d and do not add up", a.Site, len(x), len(y))
		}
		sum := make([]float64, len(x))
		for i := range sum {
			sum[i] = x[i] + share*(y[i]-x[i])
		}
		out.Mean = append(out.Mean, sum)
	}
	return out, nil
}
