package linalg

import "github.com/ebitengine/purego"

// WithoutDivide returns an OpenBLAS whose dgesdd never converges; with broken, neither does its dgesvd.
func WithoutDivide(b Backend, broken bool) Backend {
	o := *b.(*openBLAS)
	o.dgesdd = purego.NewCallback(func(_, _, _, a, _, _, _, _, _, _, work *float64, lwork *int64, _, info *int64) {
		if *lwork < 0 {
			*work = 1
			return
		}
		*a, *info = 0, 1 // as the routine does, it leaves nothing of the matrix
	})
	if broken {
		o.dgesvd = purego.NewCallback(func(_, _, _, _, _, _, _, _, _, _, _, work *float64, lwork, info *int64) {
			if *work = 1; *lwork >= 0 {
				*info = 2
			}
		})
	}
	return &o
}
