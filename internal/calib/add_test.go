package calib

import (
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Add returns the statistics of the samples of both: moments are averaged by their
// numbers of positions, and what is noise in them is told by how far they lie apart. The order in which several are added
// decides the last bits.
func Add(a, b Stats) (Stats, error) {
	if a.Site != b.Site || len(a.Mean) != len(b.Mean) {
		return Stats{}, fmt.Errorf("statistics of site %q with %d groups and of %q with %d do not add up", a.Site, len(a.Mean), b.Site, len(b.Mean))
	}
	if len(a.G) != len(b.G) {
		return Stats{}, fmt.Errorf("statistics of site %q with sensitivities of %d groups and of %d do not add up; collect both with probes, or none", a.Site, len(a.G), len(b.G))
	}
	out := Stats{
		Site: a.Site, Positions: a.Positions + b.Positions, Samples: a.Samples + b.Samples,
		OutputShape: slices.Clone(a.OutputShape), Note: a.Note, Felt: maps.Clone(a.Felt),
	}
	if out.Felt == nil {
		out.Felt = maps.Clone(b.Felt)
	} else {
		maps.Copy(out.Felt, b.Felt)
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
	for g, x := range a.Mean {
		if len(x) != len(b.Mean[g]) {
			return Stats{}, fmt.Errorf("statistics of site %q have means of length %d and %d and do not add up", a.Site, len(x), len(b.Mean[g]))
		}
	}
	err := out.addInputs(a, b)
	if err == nil {
		out.G, err = mixed(a.G, b.G, share)
	}
	if err != nil {
		return Stats{}, fmt.Errorf("statistics of site %q: %w", a.Site, err)
	}
	return out, nil
}

// addInputs adds what stands for A in both, and brings it to one form.
func (s *Stats) addInputs(a, b Stats) error {
	switch {
	case (a.Counts != nil) != (b.Counts != nil):
		return fmt.Errorf("counts and moments do not add up")
	case a.Counts != nil:
		for i, n := range a.Counts {
			s.Counts = append(s.Counts, n+b.Counts[i])
		}
		s.Mean = [][]float64{frequencies(s.Counts, s.Positions)}
	case a.Columns.Rows > 0 && b.Columns.Rows > 0:
		s.Columns = linalg.NewBlock32(a.Columns.Rows+b.Columns.Rows, a.Columns.Cols)
		copy(s.Columns.Data[copy(s.Columns.Data, a.Columns.Data):], b.Columns.Data)
		if a.Roots != nil || b.Roots != nil {
			s.Roots = slices.Concat(a.rootsOf(), b.rootsOf())
		}
		mean := slices.Clone(a.Mean[0])
		for i, v := range b.Mean[0] {
			mean[i] += float64(b.Positions) / float64(s.Positions) * (v - mean[i])
		}
		s.Mean = [][]float64{mean}
		s.Noise = []Noise{columnNoise(linalg.Gonum(), s.Columns, s.Roots, mean, a.Columns.Rows, s.Samples)}
	default:
		return s.addMoments(a, b)
	}
	return nil
}

// addMoments adds A and the means of both.
func (s *Stats) addMoments(a, b Stats) error {
	x, y := a.moments(), b.moments()
	if err := alike(x, y); err != nil {
		return err
	}
	for g, m := range x {
		whole, mean := linalg.New(m.Rows, m.Cols), slices.Clone(a.Mean[g])
		noise := join(half{mean, a.Positions}, half{b.Mean[g], b.Positions}, s.Samples, func(i, j int) (float64, float64) { return m.At(i, j), y[g].At(i, j) }, whole)
		for i := range whole.Rows {
			for j := range i {
				whole.Set(i, j, whole.At(j, i))
			}
		}
		s.A, s.Mean, s.Noise = append(s.A, whole), append(s.Mean, mean), append(s.Noise, noise)
	}
	return nil
}

// rootsOf returns the roots of the columns' weights.
func (s Stats) rootsOf() []float32 {
	if s.Roots != nil {
		return s.Roots
	}
	return slices.Repeat([]float32{1}, s.Columns.Rows)
}

// moments returns A, formed of the columns where these stand for it.
func (s Stats) moments() []*linalg.Matrix {
	if s.Columns.Rows == 0 {
		return s.A
	}
	x := s.sample(make([]float64, s.Columns.Cols))
	return []*linalg.Matrix{linalg.Gonum().Mul(true, false, 1, x, x)}
}

// alike refuses moments of different sizes.
func alike(a, b []*linalg.Matrix) error {
	if len(a) != len(b) {
		return fmt.Errorf("moments of %d groups and of %d do not add up", len(a), len(b))
	}
	for g, x := range a {
		if y := b[g]; x.Rows != y.Rows || x.Cols != y.Cols {
			return fmt.Errorf("moments of %d×%d and %d×%d do not add up", x.Rows, x.Cols, y.Rows, y.Cols)
		}
	}
	return nil
}

// mixed returns a + share·(b − a), nil for none.
func mixed(a, b []*linalg.Matrix, share float64) ([]*linalg.Matrix, error) {
	if err := alike(a, b); err != nil {
		return nil, err
	}
	var out []*linalg.Matrix
	for g, x := range a {
		sum := x.Clone()
		for i, v := range b[g].Data {
			sum.Data[i] += share * (v - sum.Data[i])
		}
		out = append(out, sum)
	}
	return out, nil
}
