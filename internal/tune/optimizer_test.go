package tune

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// shaped are parameters of these shapes, all weights that decay but those with one axis.
func shaped(shapes ...[]int) *parameters {
	p := &parameters{}
	for i, shape := range shapes {
		n := tensor.Product(shape)
		p.list = append(p.list, parameter{name: fmt.Sprint("w", i), shape: shape, from: p.size, to: p.size + n, decays: len(shape) > 1})
		p.size += n
	}
	return p
}

func descentOf(kind Optimizer, threads int, shapes ...[]int) *descent {
	return newDescent(kind, linalg.Gonum(), shaped(shapes...), threads)
}

// With one gradient for ever, Adam's corrected moments are that gradient and its square, so every step is the rate, against
// its sign, whatever its size.
func TestAdamConstantGradient(t *testing.T) {
	g := []float32{3, -1e-3, 250}
	w := []float32{1, 1, 1}
	d := descentOf(Adam, 1, []int{len(w)})
	const rate, steps = 0.01, 50
	for n := 1; n <= steps; n++ {
		d.apply(w, g, stride{number: n, rate: rate, scale: 1})
	}
	for i, v := range g {
		if want := 1 - math.Copysign(rate*steps, float64(v)); math.Abs(float64(w[i])-want) > 1e-4 {
			t.Errorf("after gradients %g: %g, want %g", v, w[i], want)
		}
	}
}

// Adam against its definition in float64, on gradients at random.
func TestAdamDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	d := descentOf(Adam, 1, []int{1})
	w, x, m, v := []float32{0.3}, 0.3, 0., 0.
	for n := 1; n <= 200; n++ {
		g := float32(r.NormFloat64())
		rate := 1e-3 * float64(n%7+1)
		d.apply(w, []float32{g}, stride{number: n, rate: rate, scale: 0.5})
		h := 0.5 * float64(g)
		m, v = 0.9*m+0.1*h, 0.999*v+0.001*h*h
		x -= rate * (m / (1 - math.Pow(0.9, float64(n)))) / (math.Sqrt(v/(1-math.Pow(0.999, float64(n)))) + 1e-8)
		if math.Abs(float64(w[0])-x) > 1e-5 {
			t.Fatalf("step %d: %g, want %g", n, w[0], x)
		}
	}
}

// Under one gradient g for ever, Nesterov's velocity after n steps is g(1−μⁿ)/(1−μ), and step n is
// rate·(g + μ·velocity).
func TestNesterovConstantGradient(t *testing.T) {
	w, want := []float32{0}, 0.
	d := descentOf(SGD, 1, []int{1})
	for n := 1; n <= 60; n++ {
		d.apply(w, []float32{2}, stride{number: n, rate: 0.01, scale: 1})
		velocity := 2 * (1 - math.Pow(0.9, float64(n))) / (1 - 0.9)
		want -= 0.01 * (2 + 0.9*velocity)
	}
	if math.Abs(float64(w[0])-want) > 1e-4 {
		t.Errorf("%g, want %g", w[0], want)
	}
}

// Without a gradient, decay shrinks weights by 1 − rate·decay a step, and leaves biases alone.
func TestWeightDecay(t *testing.T) {
	for _, kind := range Optimizers() {
		w := []float32{1, 1, 1, 1, 1}
		d := descentOf(kind, 1, []int{2, 2}, []int{1})
		for n := 1; n <= 10; n++ {
			d.apply(w, make([]float32, 5), stride{number: n, rate: 0.1, scale: 1, decay: 0.5})
		}
		if want := math.Pow(0.95, 10); math.Abs(float64(w[3])-want) > 1e-5 || w[4] != 1 {
			t.Errorf("%s: %v, want %g and 1", kind, w, want)
		}
	}
}

// All optimizers reach the minimum of a badly scaled bowl.
func TestOptimizersDescend(t *testing.T) {
	for _, kind := range Optimizers() {
		curvature := []float32{1, 10, 40}
		w, g := []float32{1, -1, 0.5}, make([]float32, 3)
		d := descentOf(kind, 1, []int{1, 3})
		s := schedule{rate: 0.02, warmUp: 20, steps: 1000}
		for n := 1; n <= s.steps; n++ {
			for i := range w {
				g[i] = curvature[i] * w[i]
			}
			d.apply(w, g, stride{number: n, rate: s.at(n), scale: clip(norm(g, 1), 5)})
		}
		for i, v := range w {
			if math.Abs(float64(v)) > 1e-3 {
				t.Errorf("%s: weight %d is %g", kind, i, v)
			}
		}
	}
}

func TestSchedule(t *testing.T) {
	s := schedule{rate: 2, warmUp: 4, steps: 24}
	for n, want := range map[int]float64{1: 0.5, 2: 1, 4: 2, 5: 2, 15: 1, 25: 0} {
		if got := s.at(n); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: %g, want %g", n, got, want)
		}
	}
	for n := 5; n < s.steps; n++ {
		if s.at(n+1) >= s.at(n) {
			t.Errorf("the rate does not fall from step %d on", n)
		}
	}
	if warmUp(0.05, 4) != 20 || warmUp(0.05, 10000) != 500 {
		t.Error("another warm-up")
	}
}

func TestClip(t *testing.T) {
	if got := clip(10, 5); got != 0.5 {
		t.Error(got)
	}
	if clip(3, 5) != 1 || clip(1e9, 0) != 1 {
		t.Error("clipped without need")
	}
}

// An average of weights that stay put is these weights, and one of weights that jump follows with its decay.
func TestAverage(t *testing.T) {
	w := []float32{1}
	a := newAverage(0.9, w)
	for n := 1; n <= 200; n++ {
		a.add(w, n, 1)
	}
	if a.vector[0] != 1 {
		t.Errorf("%g", a.vector[0])
	}
	w[0] = 2
	for n := 201; n <= 210; n++ {
		a.add(w, n, 1)
	}
	if want := 2 - math.Pow(0.9, 10); math.Abs(float64(a.vector[0])-want) > 1e-5 {
		t.Errorf("%g, want %g", a.vector[0], want)
	}
	if newAverage(0, w).vector != nil {
		t.Error("an average without a decay")
	}
}

// Steps and norms have the same bits for any number of threads.
func TestChunksThreads(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	n := 5*chunk/2 + 3
	g, w := make([]float32, n), make([]float32, n)
	for i := range g {
		g[i], w[i] = float32(r.NormFloat64()), float32(r.NormFloat64())
	}
	for _, kind := range Optimizers() {
		var first []float32
		for _, threads := range []int{1, 2, 7} {
			own := slices.Clone(w)
			d := descentOf(kind, threads, []int{chunk + 1}, []int{40, 30}, []int{20, 3}, []int{n - chunk - 1 - 1200 - 60})
			for number := 1; number <= 2; number++ {
				d.apply(own, g, stride{number: number, rate: 0.1, scale: clip(norm(g, threads), 1)})
			}
			if first == nil {
				first = own
			} else if !slices.Equal(first, own) {
				t.Errorf("%s: %d threads give other weights", kind, threads)
			}
		}
	}
}
