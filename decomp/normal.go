package decomp

import "math"

// normalDensity is φ(x).
func normalDensity(x float64) float64 { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }

// normalBelow is Φ(x).
func normalBelow(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// steep is the correlation from which normalBoth starts at a correlation of one instead of none.
const steep = 0.925

// normalBoth is Φ(a, b; ρ), the probability that two standard normal variables of correlation ρ are below a and b. By Plackett
// (Biometrika 41, 1954) its derivative by ρ is the density at (a, b); the integral from ρ = 0 on is one over θ = asin ρ
//
//	Φ(a, b; ρ) = Φ(a)Φ(b) + 1/2π ∫₀^asin(ρ) exp(−(a² − 2ab·sin θ + b²)/(2cos²θ)) dθ
//
// and is smooth where ρ is not large. For what follows from there see normalSteep.
func normalBoth(a, b, rho float64) float64 {
	if math.Abs(rho) >= steep {
		return normalSteep(a, b, rho)
	}
	half, sum := math.Asin(rho)/2, 0.0
	squares, rule := (a*a+b*b)/2, 0
	for math.Abs(rho) >= quadrature[rule].below {
		rule++
	}
	for i, x := range quadrature[rule].nodes {
		for _, at := range [2]float64{half * (1 - x), half * (1 + x)} {
			sin := math.Sin(at)
			sum += quadrature[rule].weights[i] * math.Exp((a*b*sin-squares)/(1-sin*sin))
		}
	}
	return normalBelow(a)*normalBelow(b) + sum*half/(2*math.Pi)
}

// normalSteep is normalBoth near ρ = ±1 (Drezner and Wesolowsky, J. Statist. Comput. Simul. 35, 1990, with the terms of Genz,
// Statistics and Computing 14, 2004). The integral is from there, over x = √(1−ρ²), of exp(−(d/x² + p)/2) times a smooth
// function, d = (a−b)² and p = ab: the first terms of its series in x² are integrated by hand, the rest by quadrature.
func normalSteep(a, b, rho float64) float64 {
	sign := 1.0
	if rho < 0 {
		sign, b = -1, -b
	}
	sum := 0.0
	if rest := (1 - sign*rho) * (1 + sign*rho); rest > 0 {
		sum = steepIntegral(a, b, rest)
	}
	// With ρ < 0, P(X < a, Y < −b) = P(X < a) − P(X < a, −Y < b), where X and −Y go together.
	together := normalBelow(min(a, b)) - sum
	if sign > 0 {
		return max(together, 0)
	}
	return max(normalBelow(a)-together, 0)
}

// steepIntegral is 1/2π times the integral from x = 0 to the root of rest.
func steepIntegral(a, b, rest float64) float64 {
	root, d, p := math.Sqrt(rest), (a-b)*(a-b), a*b
	c1, c2 := (4-p)/8, (12-p)/16
	sum := 0.0
	if e := -(d/rest + p) / 2; e > -700 {
		sum = root * math.Exp(e) * (1 - c1*(d-rest)*(1-c2*d/5)/3 + c1*c2*rest*rest/5)
	}
	if apart := math.Sqrt(d); math.Abs(p) < 1400 && apart < 40*root { // else it is nothing
		sum -= math.Exp(-p/2) * math.Sqrt(2*math.Pi) * normalBelow(-apart/root) * apart * (1 - c1*d*(1-c2*d/5)/3)
	}
	half := root / 2
	rule := quadrature[len(quadrature)-1]
	for i, node := range rule.nodes {
		for _, x := range [2]float64{half * (1 - node), half * (1 + node)} {
			square := x * x
			if e := -(d/square + p) / 2; e > -700 {
				cos := math.Sqrt(1 - square)
				sum += half * rule.weights[i] * math.Exp(e) * (math.Exp(-p*square/(2*(1+cos)*(1+cos)))/cos - (1 + c1*square*(1+c2*square)))
			}
		}
	}
	return sum / (2 * math.Pi)
}

// quadrature are rules of Gauss and Legendre, with six, twelve and twenty points: what normalBoth takes below which correlation.
// Nodes in (0, 1) stand for both signs.
var quadrature = [...]struct {
	below          float64
	nodes, weights []float64
}{
	{
		below:   0.3,
		nodes:   []float64{0.2386191860831969, 0.66120938646626448, 0.93246951420315194},
		weights: []float64{0.46791393457269104, 0.36076157304813872, 0.17132449237917027},
	},
	{
		below:   0.75,
		nodes:   []float64{0.12523340851146891, 0.36783149899818018, 0.58731795428661748, 0.76990267419430469, 0.9041172563704748, 0.98156063424671924},
		weights: []float64{0.24914704581340269, 0.23349253653835461, 0.20316742672306573, 0.16007832854334642, 0.10693932599531907, 0.047175336386511411},
	},
	{
		below:   steep,
		nodes:   []float64{0.076526521133497338, 0.22778585114164507, 0.37370608871541955, 0.51086700195082713, 0.63605368072651502, 0.7463319064601508, 0.83911697182221878, 0.91223442825132595, 0.96397192727791381, 0.993128599185095},
		weights: []float64{0.15275338713072628, 0.14917298647260424, 0.1420961093183824, 0.13168863844917689, 0.11819453196151861, 0.10193011981724071, 0.083276741576704713, 0.06267204833410879, 0.040601429800386446, 0.017614007139150893},
	},
}
