package linalg

import "context"

// Until calls f with a backend that does what b does until the context ends: from then on no operation begins, and Until returns
// the context's error, whatever f was about. f is to call the backend from its own goroutine only, and to keep nothing that does.
func Until(ctx context.Context, b Backend, f func(Backend) error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stopped:
			err = r.error
		default:
			panic(r)
		}
	}()
	return f(&stoppable{b, ctx})
}

// stopped is what an operation that does not begin panics with, up to Until.
type stopped struct{ error }

type stoppable struct {
	Backend
	ctx context.Context
}

func (s *stoppable) proceed() Backend {
	if err := s.ctx.Err(); err != nil {
		panic(stopped{err})
	}
	return s.Backend
}

func (s *stoppable) Mul(transA, transB bool, alpha float64, a, b *Matrix) *Matrix {
	return s.proceed().Mul(transA, transB, alpha, a, b)
}

func (s *stoppable) SymEig(a *Matrix) (values []float64, vectors *Matrix, err error) {
	return s.proceed().SymEig(a)
}

func (s *stoppable) SymEigValues(a *Matrix) ([]float64, error) { return s.proceed().SymEigValues(a) }

func (s *stoppable) SVD(a *Matrix) (u *Matrix, values []float64, vt *Matrix, err error) {
	return s.proceed().SVD(a)
}

func (s *stoppable) SolveSPD(a, b *Matrix) (*Matrix, error) { return s.proceed().SolveSPD(a, b) }

func (s *stoppable) Cholesky(a *Matrix) (*Matrix, error) { return s.proceed().Cholesky(a) }

func (s *stoppable) InverseSPD(a *Matrix) (*Matrix, error) { return s.proceed().InverseSPD(a) }

func (s *stoppable) SyrkAdd32(trans bool, x, dst Block32) { s.proceed().SyrkAdd32(trans, x, dst) }

func (s *stoppable) GemmAdd32(transA, transB bool, a, b, dst Block32) {
	s.proceed().GemmAdd32(transA, transB, a, b, dst)
}

func (s *stoppable) SolveSPD32(a, b Block32) error { return s.proceed().SolveSPD32(a, b) }
