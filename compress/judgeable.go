package compress

import (
	"cmp"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// judgeable refuses what is said of outputs that the model does not have, and labels that none of its classes has, as far as
// both are known before anything runs.
func (a *Analysis) judgeable(o Options) error {
	whole, sizes := a.judged(a.model), a.Shapes
	if whole != a.model {
		concrete, _ := shapes.InputShapes(whole, a.inputs)
		sizes = shapes.Infer(whole, concrete)
	}
	for _, src := range []samples.Source{o.Source, o.TuneSource} {
		if err := judgeable(whole, sizes, src, outputs.Options{Classes: o.Classes, Weights: o.Weights, Kinds: o.Kinds}); err != nil {
			return err
		}
	}
	return nil
}

// judgeable is that of a model whose values have certain shapes, and samples, which may be none.
func judgeable(m *onnxio.Model, s *shapes.Shapes, src samples.Source, o outputs.Options) error {
	list, err := outputs.Of(m, o)
	if err != nil || src == nil {
		return err
	}
	for _, v := range list {
		shape, _ := s.Of(v.Name)
		if classes := v.Classes(v.Lead(shape)); classes > 0 {
			return cmp.Or(outputs.CheckLabels(samples.Labels(src), v.Name, classes), outputs.CheckNames(samples.ClassNames(src), v.Name, classes))
		}
	}
	return nil
}
