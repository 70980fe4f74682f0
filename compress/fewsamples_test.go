package compress

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// perceptron has two square layers whose weights have slowly falling spectra.
func perceptron(t *testing.T, k int) *onnxio.Model {
	r := rand.New(rand.NewPCG(7, 1))
	weight := func() []float64 {
		rotation := func() *linalg.Matrix {
			m := linalg.New(k, k)
			for i := range m.Data {
				m.Data[i] = r.NormFloat64()
			}
			u, _, _, err := linalg.Gonum().SVD(m)
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		u, v := rotation(), rotation()
		for i := range u.Data {
			u.Data[i] *= 2 / (1 + float64(i%k)*6/float64(k))
		}
		return linalg.Gonum().Mul(false, true, 1, u, v).Data
	}
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Node("MatMul", []string{b.Input("x", tensor.Float32, "N", k), b.Tensor("w1", tensor.Float32, []int{k, k}, weight())})
	x = b.Node("MatMul", []string{b.Node("Relu", []string{x}), b.Tensor("w2", tensor.Float32, []int{k, k}, weight())})
	b.Output(x, tensor.Float32, "N", k)
	return built(t, b)
}

// TestFewSamples: however few samples there are, the budget is used, the result is no worse than without any, the loss is no
// false zero, and what is missing is said.
func TestFewSamples(t *testing.T) {
	needRuntime(t)
	const k = 96
	m := perceptron(t, k)
	all := drawn(600, "x", k)
	judge := func(path string) float64 {
		v, err := Verify(t.Context(), in(t), m, path, VerifyOptions{Source: all[300:]})
		if err != nil {
			t.Fatal(err)
		}
		return *v.Outputs[0].SNR
	}
	run := func(n int) (*Result, float64) {
		o := Options{Targets: []Target{share(MACs, 0.7)}}
		if n > 0 {
			o.Source = all[:n]
		}
		to := to(t, o)
		r, _ := runTo(t, m, to, threads(1))
		return r, judge(to.Output)
	}
	_, free := run(0)
	last := free
	for _, n := range []int{1, 2, 3, 10, 40, 120, 300} {
		r, snr := run(n)
		left := float64(r.Output.MACs) / float64(r.Input.MACs)
		t.Logf("%d samples: %.2f dB (%.2f without any), %.3f of the MACs, loss %.3g, calibration %+v", n, snr, free, left, r.Plan.Loss, *r.Calibration)
		if snr < free-0.1 || snr < last-0.3 {
			t.Errorf("%d samples: %.2f dB, without any %.2f, with fewer %.2f", n, snr, free, last)
		}
		last = math.Max(last, snr)
		if left < 0.68 {
			t.Errorf("%d samples: %.3f of the MACs are left, 0.7 were allowed", n, left)
		}
		if r.Plan.Loss < 0.01 {
			t.Errorf("%d samples: the loss is said to be %g", n, r.Plan.Loss)
		}
		if c := r.Calibration; c.Noisiest == "" || n >= 40 && (c.Wanted < k || c.Wanted > 60*k) {
			t.Errorf("%d samples of %d inputs: noisiest %q, wanted %d", n, k, c.Noisiest, c.Wanted)
		}
	}
}

// TestFewSamplesUnheld: where no sample is held out to judge by, weights alone are gone by only where nothing is known.
func TestFewSamplesUnheld(t *testing.T) {
	for noise, stays := range map[float64]bool{tooNoisy: true, 10 * tooNoisy: true, 2 * unknowable: false} {
		w := factoredIn(t, bare(), perceptron(t, 24), Options{Targets: []Target{share(MACs, 0.7)}})
		c, err := w.choose(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for k := range c.Offers.sites {
			c.Offers.sites[k].noise = noise
		}
		job := &work{env: w.env, a: w.a, o: w.o}
		job.o.Source = drawn(4, "x", 24)
		s := &Assembled{Choice: c, Model: perceptron(t, 24)}
		if got, err := job.better(t.Context(), s); (err == nil && got == s) != stays {
			t.Errorf("noise %g: the model stays: %v (%v), want %v", noise, got == s, err, stays)
		}
	}
}
