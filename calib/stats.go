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
	// G has the second moment E[g gᵀ] of the sensitivity g = ∂(vᵀf)/∂y of the model's
	// outputs f to the site's output y, for each group of channels, [O, O] with O the
	// rows of the site's kernel: the mean over the positions of all samples and the
	// random directions v. Nil where no sensitivities were asked for, and where Note
	// says why there are none; then that is so at every site. A zero G is a site that
	// no output depends on.
	//
	// Whatever scales y behind the site, such as a batch normalization, is in G:
	// Site.OutputScale must not be applied on top.
	G []*linalg.Matrix
	// Note says how G was found where that was not by gradients, or why there is none,
	// for people; empty in the common case.
	Note string
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
	if len(a.G) != len(b.G) {
		return Stats{}, fmt.Errorf("statistics of site %q with sensitivities of %d groups and of %d do not add up; collect both with probes, or none", a.Site, len(a.G), len(b.G))
	}
	out := Stats{
		Site: a.Site, Positions: a.Positions + b.Positions, Samples: a.Samples + b.Samples,
		OutputShape: slices.Clone(a.OutputShape), Note: a.Note,
	}
	if a.Note != b.Note && a.Note != "" && b.Note != "" {
		out.Note += "; " + b.Note
	} else if a.Note == "" {
		out.Note = b.Note
	}
	share := 0.
	if out.Positions > 0 {
		share = float64(b.Positions) / float64(out.Positions)
	}
	var err error
	if out.A, err = addMoments(a.A, b.A, share); err == nil {
		out.G, err = addMoments(a.G, b.G, share)
	}
	if err != nil {
		return Stats{}, fmt.Errorf("statistics of site %q: %w", a.Site, err)
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

// addMoments returns a + share·(b − a), nil for none.
func addMoments(a, b []*linalg.Matrix, share float64) ([]*linalg.Matrix, error) {
	var out []*linalg.Matrix
	for g, x := range a {
		y := b[g]
		if x.Rows != y.Rows || x.Cols != y.Cols {
			return nil, fmt.Errorf("moments of %d×%d and %d×%d do not add up", x.Rows, x.Cols, y.Rows, y.Cols)
		}
		sum := linalg.New(x.Rows, x.Cols)
		for i := range sum.Data {
			sum.Data[i] = x.Data[i] + share*(y.Data[i]-x.Data[i])
		}
		out = append(out, sum)
	}
	return out, nil
}
