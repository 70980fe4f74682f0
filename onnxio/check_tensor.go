package onnxio

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// tensor checks a tensor's type, shape and data length, without reading the data.
func (c *checker) tensor(p *onnxpb.TensorProto) error {
	l, err := tensorLayout(p)
	if err == nil && external(p) {
		_, _, err = c.model.checkExternal(p, l)
	}
	if err != nil {
		return fmt.Errorf("tensor %q: %w", p.GetName(), err)
	}
	return nil
}

// sparse checks a sparse tensor: values [nnz], and INT64 indices [nnz] or [nnz, rank].
func (c *checker) sparse(p *onnxpb.SparseTensorProto) error {
	name := p.GetValues().GetName()
	if p.GetValues() == nil {
		return fmt.Errorf("sparse tensor without values")
	}
	if err := c.tensor(p.Values); err != nil {
		return fmt.Errorf("sparse: %w", err)
	}
	if _, err := elements(p.Dims); err != nil || len(p.Dims) == 0 {
		return fmt.Errorf("sparse tensor %q: shape %v is not valid", name, p.Dims)
	}
	if len(p.Values.Dims) != 1 {
		return fmt.Errorf("sparse tensor %q: its values have shape %v, want one dimension", name, p.Values.Dims)
	}
	nnz := p.Values.Dims[0]
	if p.Indices == nil {
		if nnz == 0 {
			return nil
		}
		return fmt.Errorf("sparse tensor %q has %d values and no indices", name, nnz)
	}
	if err := c.tensor(p.Indices); err != nil {
		return fmt.Errorf("indices of sparse tensor %q: %w", name, err)
	}
	d := p.Indices.Dims
	linear := len(d) == 1 && d[0] == nnz
	coordinates := len(d) == 2 && d[0] == nnz && d[1] == int64(len(p.Dims))
	if tensor.Type(p.Indices.GetDataType()) != tensor.Int64 || !linear && !coordinates {
		return fmt.Errorf("sparse tensor %q: its indices are %v of shape %v, want int64 of shape [%d] or [%d %d]",
			name, tensor.Type(p.Indices.GetDataType()), d, nnz, nnz, len(p.Dims))
	}
	return nil
}

// ownTensors checks the initializers of one graph.
func (c *checker) ownTensors(g *onnxpb.GraphProto) error {
	if err := c.tensors(g.GetInitializer(), g.GetSparseInitializer()); err != nil {
		return fmt.Errorf("initializer: %w", err)
	}
	return nil
}

func (c *checker) tensors(dense []*onnxpb.TensorProto, sparse []*onnxpb.SparseTensorProto) error {
	for _, t := range dense {
		if err := c.tensor(t); err != nil {
			return err
		}
	}
	for _, t := range sparse {
		if err := c.sparse(t); err != nil {
			return err
		}
	}
	return nil
}

// attributeTensors checks the tensors of an attribute, not those inside its graphs.
func (c *checker) attributeTensors(a *onnxpb.AttributeProto) error {
	tensors, sparse := a.Tensors, a.SparseTensors
	if a.T != nil {
		tensors = append([]*onnxpb.TensorProto{a.T}, tensors...)
	}
	if a.SparseTensor != nil {
		sparse = append([]*onnxpb.SparseTensorProto{a.SparseTensor}, sparse...)
	}
	return c.tensors(tensors, sparse)
}

// graphTensors checks all tensors of a graph and of the graphs inside it, and nothing
// else: for graphs whose names are resolved by rules of their own.
func (c *checker) graphTensors(g *onnxpb.GraphProto) error {
	if err := c.ownTensors(g); err != nil {
		return err
	}
	for i, n := range g.GetNode() {
		for _, a := range n.Attribute {
			if err := c.attributeTensors(a); err != nil {
				return fmt.Errorf("%s: attribute %q: %w", describe(n, i), a.GetName(), err)
			}
		}
		for _, sub := range Subgraphs(n) {
			if err := c.graphTensors(sub); err != nil {
				return fmt.Errorf("%s: %w", describe(n, i), err)
			}
		}
	}
	return nil
}
