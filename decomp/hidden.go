package decomp

import (
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Activation is a function that units apply to the numbers that their weights give, one by one.
type Activation int

// The activations whose moments under a normal distribution are known in closed form.
const (
	Identity Activation = iota // x
	ReLU                       // max(x, 0)
	ReLU6                      // min(max(x, 0), 6)
	GELU                       // x·Φ(x), Φ being the normal distribution function
)

// String returns the name of the activation.
func (a Activation) String() string {
	names := []string{"identity", "ReLU", "ReLU6", "GELU"}
	if a < 0 || int(a) >= len(names) {
		return fmt.Sprintf("activation %d", int(a))
	}
	return names[a]
}

// At returns f(x).
func (a Activation) At(x float64) float64 {
	switch a {
	case ReLU:
		return max(x, 0)
	case ReLU6:
		return min(max(x, 0), 6)
	case GELU:
		return x * normalBelow(x)
	}
	return x
}

// HiddenMoment returns the second moment E[f(z) f(z)ᵀ] [n, n] and the mean E[f(z)] of units whose numbers z before the activation f
// are normally distributed, with covariance cov [n, n] and that mean (nil for zero). It stands in for the A of a Reader where
// there are no samples: of inputs x that are taken to be white, a layer z = W x + b has the covariance W Wᵀ and the mean b.
//
// For ReLU, with a = μ_i/σ_i, b = μ_j/σ_j, ρ the correlation, and Φ and φ the normal distribution function and density of one or
// two variables (Rosenbaum, Moments of a truncated bivariate normal distribution, JRSS B 23, 1961),
//
//	E/(σ_i σ_j) = (ρ + ab)·Φ(a, b; ρ) + b·φ(a)·Φ((b − ρa)/√(1−ρ²)) + a·φ(b)·Φ((a − ρb)/√(1−ρ²)) + (1−ρ²)·φ(a, b; ρ),
//
// which without means is the arc-cosine kernel of Cho and Saul (NIPS 22, 2009). ReLU6 is a difference of two. For GELU, Stein's
// identity takes the products with x apart; without means, and with variances a and b, covariance c and Δ = (1+a)(1+b) − c²,
//
//	E = c·(¼ + asin(c/√((1+a)(1+b)))/2π) + (ab − c² + c²/(1+a) + c²/(1+b))/(2π√Δ).
//
// Errors are covariances that are none, and activations that are not listed.
func HiddenMoment(f Activation, cov *linalg.Matrix, mean []float64) (second *linalg.Matrix, first []float64, err error) {
	if mean == nil {
		mean = make([]float64, cov.Rows)
	}
	if err := checkNormal(f, cov, mean); err != nil {
		return nil, nil, fmt.Errorf("decomp: moments of units behind %v: %w", f, err)
	}
	n := cov.Rows
	second, first = linalg.New(n, n), make([]float64, n)
	for i, m := range mean {
		first[i] = f.mean(m, cov.At(i, i))
		second.Set(i, i, max(f.product(normalPair{m, m, cov.At(i, i), cov.At(i, i), cov.At(i, i)}), 0))
	}
	for i := range n {
		for j := range i {
			bound := math.Sqrt(second.At(i, i) * second.At(j, j)) // rounding is all there is of units that are hardly ever awake
			v := f.product(normalPair{mean[i], mean[j], cov.At(i, i), cov.At(j, j), cov.At(j, i)})
			v = min(max(v, -bound), bound)
			second.Set(i, j, v)
			second.Set(j, i, v)
		}
	}
	return second, first, nil
}

// checkNormal reports what is no normal distribution of units behind an activation.
func checkNormal(f Activation, cov *linalg.Matrix, mean []float64) error {
	if f < Identity || f > GELU {
		return fmt.Errorf("no closed form is known; wanted one of %v, %v, %v and %v", Identity, ReLU, ReLU6, GELU)
	}
	if cov.Rows != cov.Cols || len(mean) != cov.Rows {
		return fmt.Errorf("a %d×%d covariance and %d means, wanted a square matrix and as many means", cov.Rows, cov.Cols, len(mean))
	}
	if err := cov.Check(); err != nil {
		return fmt.Errorf("covariance: %w", err)
	}
	for i, m := range mean {
		if math.IsNaN(m) || math.IsInf(m, 0) {
			return fmt.Errorf("the mean of unit %d is %g, wanted a finite number", i, m)
		}
		if cov.At(i, i) < 0 {
			return fmt.Errorf("the covariance is %g at (%d, %d): there is no negative variance", cov.At(i, i), i, i)
		}
	}
	return nil
}

// normalPair is the distribution of two numbers: means, variances, covariance.
type normalPair struct{ m1, m2, v1, v2, c float64 }

// mean returns E[f(z)] for z of that mean and variance.
func (a Activation) mean(m, v float64) float64 {
	switch a {
	case ReLU:
		return meanReLU(m, v)
	case ReLU6:
		return meanReLU(m, v) - meanReLU(m-6, v)
	case GELU:
		s := math.Sqrt(1 + v)
		return m*normalBelow(m/s) + v/s*normalDensity(m/s)
	default:
		return m
	}
}

func meanReLU(m, v float64) float64 {
	if s := math.Sqrt(v); s > still*math.Abs(m) {
		return max(m*normalBelow(m/s)+s*normalDensity(m/s), 0)
	}
	return max(m, 0)
}

// product returns E[f(z₁) f(z₂)].
func (a Activation) product(p normalPair) float64 {
	switch a {
	case ReLU:
		return p.productReLU()
	case ReLU6:
		sum := 0.0
		for _, shift := range []struct{ one, other, sign float64 }{{0, 0, 1}, {6, 0, -1}, {0, 6, -1}, {6, 6, 1}} {
			q := p
			q.m1, q.m2 = p.m1-shift.one, p.m2-shift.other
			sum += shift.sign * q.productReLU()
		}
		return sum
	case GELU:
		return p.productGELU()
	default:
		return p.c + p.m1*p.m2
	}
}

// still is the ratio of deviation and mean below which a number counts as constant.
const still = 1e-100

func (p normalPair) productReLU() float64 {
	s1, s2 := math.Sqrt(p.v1), math.Sqrt(p.v2)
	if s1 <= still*math.Abs(p.m1) || s2 <= still*math.Abs(p.m2) {
		return meanReLU(p.m1, p.v1) * meanReLU(p.m2, p.v2)
	}
	a, b := p.m1/s1, p.m2/s2
	rho := min(max(p.c/s1/s2, -1), 1)
	// At a correlation of one, the smallest of roots gives the limits.
	rest := max(math.Sqrt((1-rho)*(1+rho)), math.SmallestNonzeroFloat64)
	away := (b - rho*a) / rest
	e := (rho+a*b)*normalBoth(a, b, rho) + b*normalDensity(a)*normalBelow(away) + a*normalDensity(b)*normalBelow((a-rho*b)/rest)
	e += rest * normalDensity(a) * normalDensity(away) // (1−ρ²)·φ(a, b; ρ), both exponents being negative
	return s1 * s2 * e
}

// productGELU: with F = Φ(x)Φ(y), Stein's identity gives
//
//	E[x y F] = m₁·E[yF] + v₁·E[y φ(x)Φ(y)] + c·E[F] + c·E[y Φ(x)φ(y)],   E[yF] = m₂·E[F] + c·E[φ(x)Φ(y)] + v₂·E[Φ(x)φ(y)],
//
// and a density times the distribution of its argument is another normal distribution.
func (p normalPair) productGELU() float64 {
	s1, s2 := math.Sqrt(1+p.v1), math.Sqrt(1+p.v2)
	both := normalBoth(p.m1/s1, p.m2/s2, min(max(p.c/s1/s2, -1), 1))
	// Under φ(x): x has the weight w1, y the mean m2 and the variance v2 about it; likewise under φ(y).
	w1, w2 := normalDensity(p.m1/s1)/s1, normalDensity(p.m2/s2)/s2
	m2, v2 := p.m2-p.c*p.m1/(s1*s1), max(p.v2-p.c*p.c/(s1*s1), 0)
	m1, v1 := p.m1-p.c*p.m2/(s2*s2), max(p.v1-p.c*p.c/(s2*s2), 0)
	t1, t2 := math.Sqrt(1+v1), math.Sqrt(1+v2)
	below1, below2 := normalBelow(m1/t1), normalBelow(m2/t2)
	yF := p.m2*both + p.c*w1*below2 + p.v2*w2*below1
	underX := w1 * (m2*below2 + v2*normalDensity(m2/t2)/t2)
	underY := w2 / (s2 * s2) * (p.m2*below1 + p.c*normalDensity(m1/t1)/t1)
	return p.m1*yF + p.v1*underX + p.c*both + p.c*underY
}
