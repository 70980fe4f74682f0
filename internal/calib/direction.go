package calib

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// stream says which random numbers are drawn: other streams are independent of it.
type stream struct{ seed, sample, probe, tensor uint64 }

// noise keeps the streams of perturbations apart from those of directions.
const noise = 1 << 63

// normal fills x with standard normal numbers times scale.
func (s stream) normal(x []float32, scale float64) {
	var key [32]byte
	for i, v := range []uint64{s.seed, s.sample, s.probe, s.tensor} {
		binary.LittleEndian.PutUint64(key[8*i:], v)
	}
	r := rand.New(rand.NewChaCha8(key))
	for i := range x {
		x[i] = float32(scale * r.NormFloat64())
	}
}

// classes is the number of classes of an output that looks like class scores: [batch, C]
// with C ≥ 2, where axes of size 1 may follow. It is 0 for other outputs.
func classes(shape []int) int {
	for len(shape) > 2 && shape[len(shape)-1] == 1 {
		shape = shape[:len(shape)-1]
	}
	if len(shape) != 2 || shape[1] < 2 {
		return 0
	}
	return shape[1]
}

// center subtracts its mean from every row of c numbers, for c > 0: a shift of all scores
// of a sample changes no classification.
func center(x []float32, c int) {
	for ; c > 0 && len(x) >= c; x = x[c:] {
		mean := 0.
		for _, v := range x[:c] {
			mean += float64(v) / float64(c)
		}
		for i := range x[:c] {
			x[i] = float32(float64(x[i]) - mean)
		}
	}
}

// target is an output of the model that the sensitivities are of.
type target struct {
	name   string
	number int     // among the model's outputs
	weight float64 // of its squared change
}

// targets returns the outputs that have a weight, whatever their type.
func targets(m *onnxio.Model, weights map[string]float64) ([]target, error) {
	var out []target
	known := map[string]bool{}
	for i, v := range graph.Of(m).Outputs() {
		known[v.Name()] = true
		t := target{name: v.Name(), number: i, weight: 1}
		if w, ok := weights[t.name]; ok {
			t.weight = w
		}
		switch {
		case !(t.weight >= 0 && t.weight <= maxWeight):
			return nil, fmt.Errorf("the weight of output %q is %v; want a number from 0 to %g", t.name, t.weight, float64(maxWeight))
		case t.weight > 0:
			out = append(out, t)
		}
	}
	for name := range weights {
		if !known[name] {
			return nil, fmt.Errorf("a weight is given for output %q, which the model does not have", name)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("all outputs of the model have the weight 0; give one a weight, or ask for no probes")
	}
	return out, nil
}

// maxWeight bounds weights, so that weighed directions stay well inside float32.
const maxWeight = 1e12

// encode turns numbers into a tensor of a floating-point type.
func encode(t tensor.Type, shape []int, v []float32) (tensor.Dense, error) {
	if t == tensor.Float32 {
		return tensor.FromFloat32(shape, v), nil
	}
	return tensor.FromFloat32(shape, v).Convert(t)
}
