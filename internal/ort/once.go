package ort

import (
	"bytes"
	"context"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// OutputTypes loads a model, not optimized, and returns the element types of its outputs that are dense tensors, those
// included that the model does not declare and the runtime infers. External data is read from folder.
func (l *Library) OutputTypes(model []byte, folder string) (map[string]tensor.Type, error) {
	s, err := l.NewSession(model, Options{ExternalFolder: folder, Optimization: OptimizeNone})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	types := map[string]tensor.Type{}
	for _, v := range s.Outputs() {
		if v.Kind == KindTensor {
			types[v.Name] = v.Type
		}
	}
	return types, nil
}

// RunOnce loads a model, not optimized, runs it once and returns copies of the named outputs. External data is read from
// folder.
func (l *Library) RunOnce(ctx context.Context, model []byte, folder string, inputs map[string]tensor.Dense, outputs []string) ([]tensor.Dense, error) {
	s, err := l.NewSession(model, Options{ExternalFolder: folder, Optimization: OptimizeNone})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	r, err := s.Run(ctx, inputs, outputs)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	copies := make([]tensor.Dense, r.Len())
	for i := range copies {
		copies[i] = r.Get(i)
		copies[i].Data = bytes.Clone(copies[i].Data)
	}
	return copies, nil
}
