package calib

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
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
	outputs.Output
	name   string
	number int     // among the model's outputs
	weight float64 // of its squared change
}

// valuesOf are the values of targets, in their order.
func valuesOf(list []target, values map[string]tensor.Dense) []tensor.Dense {
	out := make([]tensor.Dense, len(list))
	for i, t := range list {
		out[i] = values[t.name]
	}
	return out
}

func namesOf(list []target) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = t.name
	}
	return out
}

// targets returns the outputs that count, whatever their type; those whose sizes depend on the data are none, for nothing can be
// held against them.
func targets(m *onnxio.Model, o Options) ([]target, error) {
	list, err := outputs.Of(m, outputs.Options{Classes: o.Classes, Weights: o.Weights, Kinds: o.Kinds})
	if err != nil {
		return nil, err
	}
	var out []target
	for _, v := range list {
		if v.Weight > 0 && v.Varies == "" {
			out = append(out, target{v, v.Name, v.Number, v.Weight})
		}
	}
	return out, nil
}

// telling takes from values of the output, or differences of them, with the samples first, what tells nothing: a shift of all scores of a
// sample, or of a position of a text, and scores of tokens at padding, as a run's inputs have it.
func (t target) telling(x []float32, shape []int, inputs map[string]tensor.Dense) {
	if !t.Kind.Vocabulary() || len(shape) != 3 {
		center(x, t.Classes(shape))
		return
	}
	center(x, shape[2])
	for at, empty := range t.Text.Padding(inputs, shape[0], shape[1]) {
		if empty {
			clear(x[at*shape[2]:][:shape[2]])
		}
	}
}

// axesOf finds along which axes of the targets samples lie.
func axesOf(ctx context.Context, open func() (*ort.Session, func(), error), src samples.Source, indices []int, inputs []samples.InputSpec, batch int, list []target) (feed.Axes, error) {
	return feed.FindAxes(ctx, open, src, indices, inputs, batch, outputsOf(list))
}

// maxWeight bounds weights, so that weighed directions stay well inside float32.
const maxWeight = outputs.MaxWeight

// encode turns numbers into a tensor of a floating-point type.
func encode(t tensor.Type, shape []int, v []float32) (tensor.Dense, error) {
	if t == tensor.Float32 {
		return tensor.FromFloat32(shape, v), nil
	}
	return tensor.FromFloat32(shape, v).Convert(t)
}
