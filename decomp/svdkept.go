package decomp

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Components are what a factorization by svd keeps of one group, the most important first: of rank r, the first r rows of both.
type Components struct {
	First *linalg.Matrix // [n, K]
	Last  *linalg.Matrix // [n, O]
}

// SVDComponents returns what a factorization by svd has up to a rank, one entry a group, as it lies there, and false for that of
// another method.
func SVDComponents(s Spectrum, rank int) ([]Components, bool) {
	made, ok := s.(*svdSpectrum)
	if !ok {
		return nil, false
	}
	out := make([]Components, len(made.groups))
	for g, c := range made.groups {
		n := min(max(rank, 0), c.first.Rows)
		out[g] = Components{c.first.RowRange(0, n), c.last.RowRange(0, n)}
	}
	return out, true
}

// SVDFromComponents makes a factorization by svd again of what SVDComponents returned, and of its losses by rank, from 0 to the full one. It
// answers as the first did, but has chains up to that rank alone.
func SVDFromComponents(s Shape, losses []float64, groups []Components) (Spectrum, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if len(losses) != s.FullRank()+1 || len(groups) != s.Groups {
		return nil, fmt.Errorf("decomp: svd of a %v kernel from %d losses and %d groups: wanted %d and %d", s, len(losses), len(groups), s.FullRank()+1, s.Groups)
	}
	made := &svdSpectrum{shape: s, losses: losses}
	for g, c := range groups {
		if n := groups[0].First.Rows; c.First.Rows != n || c.Last.Rows != n || n > s.FullRank() || c.First.Cols != s.Cols() || c.Last.Cols != s.Rows() {
			return nil, fmt.Errorf("decomp: svd of a %v kernel from components of %d×%d and %d×%d in group %d", s, c.First.Rows, c.First.Cols, c.Last.Rows, c.Last.Cols, g)
		}
		made.groups = append(made.groups, components{first: c.First, last: c.Last})
	}
	return made, nil
}
