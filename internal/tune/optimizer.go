package tune

import (
	"math"
	"slices"
	"sync"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Optimizer is a rule that turns gradients into steps.
type Optimizer string

// The optimizers.
const (
	// Adam is that of Kingma and Ba (arXiv 1412.6980, algorithm 1), β = 0.9 and 0.999, ε = 1e-8.
	Adam Optimizer = "adam"
	// SGD is gradient descent with Nesterov's momentum 0.9, in the form of Sutskever and others (2013) that the common
	// training frameworks have.
	SGD Optimizer = "sgd"
	// SOAP is Adam in the coordinates that make the second moments of a matrix's gradient diagonal; weights that are no
	// matrices are moved by Adam.
	SOAP Optimizer = "soap"
)

// Optimizers lists those that can be named.
func Optimizers() []Optimizer { return []Optimizer{SOAP, Adam, SGD} }

// ParseOptimizer reads the name of an optimizer.
func ParseOptimizer(s string) (Optimizer, error) {
	return suggest.Named("optimizer", s, Optimizers())
}

// rate is the largest learning rate for so many steps from a start of such a loss. The more steps, the larger may it be: what large ones spoil, those
// of the end mend. What is near the original already has less to gain by them.
func (o Optimizer) rate(steps int, loss float64) float64 {
	if o == SGD {
		return 1e-2
	}
	return max(4.5e-4*math.Cbrt(float64(steps)/100)*math.Sqrt(min(loss/near, 1)), 3e-4)
}

// near is the share of the variance below which a start has less to gain.
const near = 0.1

// The optimizers' constants.
const (
	beta1, beta2 = 0.9, 0.999
	epsilon      = 1e-8
	momentum     = 0.9
)

// descent is an optimizer at work on the vector of all parameters. Every number, and every matrix of SOAP's, has its own
// state, so the result does not depend on how the work is parted.
type descent struct {
	kind Optimizer
	// first is the mean of the gradients or SGD's velocity, second the mean of their squares.
	first, second []float32
	rotations     *rotations // SOAP's, else nil
	plain         []span     // what the others move
	threads       int
}

// span is a piece of the vector, and whether weight decay applies to it.
type span struct {
	from, to int
	decays   bool
}

func newDescent(kind Optimizer, backend linalg.Backend, p *parameters, threads int) *descent {
	d := &descent{kind: kind, first: make([]float32, p.size), threads: threads}
	if kind != SGD {
		d.second = make([]float32, p.size)
	}
	turned := map[string]bool{}
	if kind == SOAP {
		d.rotations = newRotations(backend, p.list)
		for _, m := range d.rotations.list {
			turned[m.name] = true
		}
	}
	for _, v := range p.list {
		if turned[v.name] {
			continue
		}
		for at := v.from; at < v.to; at += chunk {
			d.plain = append(d.plain, span{at, min(v.to, at+chunk), v.decays})
		}
	}
	return d
}

// stride is what is done to the weights in one step. Decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101)
// takes rate·decay of every weight off before.
type stride struct {
	number int     // from 1
	rate   float64 // of learning
	scale  float64 // of the gradient, which clips it
	decay  float64
}

// apply moves weights w against gradient g.
func (d *descent) apply(w, g []float32, s stride) {
	inParallel(len(d.plain), d.threads, func(i int) { d.applyPlain(w, g, s, d.plain[i]) })
	if r := d.rotations; r != nil {
		inParallel(len(r.list), d.threads, func(i int) { r.step(&r.list[i], w, g, d.first, d.second, s) })
	}
}

// applyPlain moves a piece of the weights, number by number.
func (d *descent) applyPlain(w, g []float32, s stride, p span) {
	correct1 := 1 - math.Pow(beta1, float64(s.number))
	correct2 := 1 - math.Pow(beta2, float64(s.number))
	rate, scale, shrink := float32(s.rate), float32(s.scale), float32(0)
	if p.decays {
		shrink = float32(s.rate * s.decay)
	}
	for i := p.from; i < p.to; i++ {
		gi := g[i] * scale
		w[i] -= shrink * w[i]
		if d.kind == SGD {
			d.first[i] = momentum*d.first[i] + gi
			w[i] -= rate * (gi + momentum*d.first[i])
			continue
		}
		m := beta1*d.first[i] + (1-beta1)*gi
		v := beta2*d.second[i] + (1-beta2)*gi*gi
		d.first[i], d.second[i] = m, v
		root := float32(math.Sqrt(float64(v) / correct2))
		w[i] -= rate * (m / float32(correct1)) / (root + epsilon)
	}
}

// chunk is how many numbers are worked on at once.
const chunk = 1 << 15

// inChunks calls f for consecutive pieces of a vector of n numbers, with the number of the piece, on several
// goroutines. The cut depends on n alone.
func inChunks(n, threads int, f func(piece, from, to int)) {
	pieces := (n + chunk - 1) / chunk
	inParallel(pieces, threads, func(i int) { f(i, i*chunk, min(n, (i+1)*chunk)) })
}

// inParallel calls f for 0, …, n-1 on several goroutines.
func inParallel(n, threads int, f func(i int)) {
	threads = min(threads, n)
	if threads < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	var wait sync.WaitGroup
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	for range threads {
		wait.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	wait.Wait()
}

// norm is the Euclidean norm of a vector: sums over its chunks, added in order.
func norm(v []float32, threads int) float64 {
	sums := make([]float64, (len(v)+chunk-1)/chunk)
	inChunks(len(v), threads, func(piece, from, to int) {
		sum := 0.
		for _, x := range v[from:to] {
			sum += float64(x) * float64(x)
		}
		sums[piece] = sum
	})
	total := 0.
	for _, s := range sums {
		total += s
	}
	return math.Sqrt(total)
}

// clip is the factor that bounds a gradient of a norm; 0 is no bound.
func clip(norm, most float64) float64 {
	if most > 0 && norm > most {
		return most / norm
	}
	return 1
}

// schedule is a learning rate that rises linearly over the first steps, and falls along a cosine to zero at the end
// (Loshchilov and Hutter, arXiv 1608.03983, without restarts).
type schedule struct {
	rate                float64
	from, warmUp, steps int // the steps before it, and of these of its own
}

// warmUp is a share of the steps, and at least 20: the first estimates of Adam's moments are poor.
func warmUp(share float64, steps int) int {
	const fewest = 20
	return max(int(share*float64(steps)), fewest)
}

// at is the rate of step n, from 1.
func (s schedule) at(n int) float64 {
	n -= s.from
	if n <= s.warmUp {
		return s.rate * float64(n) / float64(s.warmUp)
	}
	done := float64(n-s.warmUp-1) / float64(max(s.steps-s.warmUp, 1))
	return s.rate * (1 + math.Cos(math.Pi*min(done, 1))) / 2
}

// average is the exponential moving average of the weights (Polyak and Juditsky's averaging with a short memory). Its
// decay grows from 0, so that the start is soon forgotten.
type average struct {
	decay  float64
	vector []float32 // nil without averaging
}

func newAverage(decay float64, w []float32) *average {
	a := &average{decay: decay}
	if decay > 0 {
		a.vector = slices.Clone(w)
	}
	return a
}

// add takes in the weights after step n.
func (a *average) add(w []float32, n, threads int) {
	if a.vector == nil {
		return
	}
	share := float32(1 - min(a.decay, float64(1+n)/float64(10+n)))
	inChunks(len(w), threads, func(_, from, to int) {
		for i := from; i < to; i++ {
			a.vector[i] += share * (w[i] - a.vector[i])
		}
	})
}
