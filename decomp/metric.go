package decomp

import (
	"math"
	"sync"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// normalized returns m·2^-e with its largest magnitude in [½, 1), and e. Scaling by powers of two is exact, and
// keeps the products that follow clear of overflow and underflow. Zero and nil come back as they are.
func normalized(m *linalg.Matrix) (*linalg.Matrix, int) {
	if m == nil {
		return nil, 0
	}
	_, e := math.Frexp(m.MaxAbs())
	if e == 0 {
		return m, 0
	}
	out := m.Clone()
	for i, v := range out.Data {
		out.Data[i] = math.Ldexp(v, -e)
	}
	return out, e
}

// whitening is a second moment taken apart: M = V Λ Vᵀ with the eigenvalues below a fraction of the largest lifted to
// it, so that M^-½ exists. Where M is nil or zero, all of it is nil and stands for the identity.
type whitening struct {
	root    *linalg.Matrix // M^½, lifted
	inverse *linalg.Matrix // M^-½, lifted
	// seen is V·√(λ/lifted λ): ‖seenᵀ u‖² = uᵀ M^-½ M M^-½ u, where the outer two are lifted and the inner one is not.
	// It is nil, for an orthogonal matrix, where nothing had to be lifted.
	seen *linalg.Matrix
}

// roots keeps a moment as it is taken apart.
type roots struct {
	mu   sync.Mutex
	done map[float64]scaledWhitening // by the fraction below which eigenvalues are lifted
}

// scaledWhitening is that of M·2^-exponent.
type scaledWhitening struct {
	whitening
	exponent int
}

// whitened takes a moment apart, or has it from where it is kept.
func (m moment) whitened(b linalg.Backend, fraction float64) (found scaledWhitening, err error) {
	if m.roots != nil {
		m.roots.mu.Lock()
		defer m.roots.mu.Unlock()
		if found, ok := m.roots.done[fraction]; ok {
			return found, nil
		}
		defer func() {
			if err == nil {
				if m.roots.done == nil {
					m.roots.done = map[float64]scaledWhitening{}
				}
				m.roots.done[fraction] = found
			}
		}()
	}
	scaled, e := m.ranged()
	found.exponent = e
	found.whitening, err = whiten(b, scaled.matrix(b), fraction)
	return found, err
}

func (w whitening) held() []*linalg.Matrix { return []*linalg.Matrix{w.root, w.inverse, w.seen} }

func whiten(b linalg.Backend, m *linalg.Matrix, fraction float64) (whitening, error) {
	if m == nil || m.MaxAbs() == 0 {
		return whitening{}, nil
	}
	values, v, err := b.SymEig(m)
	if err != nil {
		return whitening{}, err
	}
	least := fraction * values[len(values)-1]
	quarter := make([]float64, len(values)) // λ^¼, lifted
	for i, value := range values {
		quarter[i] = math.Sqrt(math.Sqrt(max(value, least)))
	}
	// A moment of many inputs takes most of the memory there is, so that all products are made of one scaled copy.
	scaled := v.Clone()
	for i := range scaled.Data {
		scaled.Data[i] *= quarter[i%v.Cols]
	}
	w := whitening{root: b.Mul(false, true, 1, scaled, scaled)}
	for i, x := range v.Data {
		scaled.Data[i] = x / quarter[i%v.Cols]
	}
	w.inverse = b.Mul(false, true, 1, scaled, scaled)
	if values[0] < least {
		for i := range v.Data {
			v.Data[i] *= math.Sqrt(min(max(values[i%v.Cols], 0)/least, 1))
		}
		w.seen = v
	}
	return w, nil
}
