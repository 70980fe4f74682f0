package onnxio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// WeightsDigest returns the SHA-256, in hex, of a sorted list of all tensors of the model: initializers, attributes, those of subgraphs
// and of functions; each with its name, type, shape and the SHA-256 of its elements as Raw has them. So it is the same wherever the
// numbers lie and in whatever field. They are streamed.
func (m *Model) WeightsDigest(ctx context.Context) (string, error) {
	var lines []string
	_, err := replaceTensors(m.Proto.ProtoReflect(), func(p *onnxpb.TensorProto) (*onnxpb.TensorProto, error) {
		h := sha256.New()
		if t := m.Tensor(p); t.Type() == tensor.String {
			for _, s := range p.GetStringData() {
				fmt.Fprintf(h, "%d %s", len(s), s)
			}
		} else if _, err := t.writeTo(ctx, h); err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%q %d %v %x\n", p.GetName(), p.GetDataType(), p.GetDims(), h.Sum(nil)))
		return p, nil
	})
	if err != nil {
		return "", err
	}
	slices.Sort(lines)
	list := sha256.New()
	for _, line := range lines {
		list.Write([]byte(line))
	}
	return hex.EncodeToString(list.Sum(nil)), nil
}
