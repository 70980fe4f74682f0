package testmodels

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Field numbers of the ONNX schema that WriteLarge writes itself.
const (
	modelGraph       = 7
	graphInitializer = 5
	tensorRawData    = 9
)

// WriteLarge writes a chain of MatMul nodes with float32 weights of width × width whose
// numbers take at least the given number of bytes together, and less than one weight
// more. They are streamed to the file, or for an external model to path with ".data"
// appended, so that memory use is small whatever the size. Input "x" and output "y" are
// [N, width].
func WriteLarge(path string, seed uint64, bytes int64, width int, external bool) error {
	each := 4 * int64(width) * int64(width)
	layers := int((bytes + each - 1) / each)
	b := NewBuilder(seed, 17, 8)
	x := b.Input("x", tensor.Float32, "N", width)
	for i := range layers {
		x = b.Node("MatMul", []string{x, largeName(i)})
	}
	b.Output(b.Rename("y"), tensor.Float32, "N", width)
	if b.shared.err != nil {
		return b.shared.err
	}
	data := path + ".data"
	weights := make([]onnxio.Tensor, layers)
	for i := range weights {
		shape := []int{width, width}
		weights[i] = onnxio.DenseTensor(largeName(i), tensor.Dense{Type: tensor.Float32, Shape: shape})
		if external {
			weights[i] = onnxio.ExternalTensor(largeName(i), tensor.Float32, shape, filepath.Base(data), int64(i)*each, each)
		}
	}
	stream := numbers{random: rand.New(rand.NewPCG(seed, 0x6c61726765)), limit: math.Sqrt(3 / float64(width))}
	parts := b.parts()
	if !external {
		return create(path, func(w io.Writer) error { return writeInline(w, parts.Model(), weights, each, &stream) })
	}
	parts.Initializers = weights
	message, err := parts.Marshal()
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, message, 0o644); err != nil {
		return err
	}
	return create(data, func(w io.Writer) error { return stream.write(w, each*int64(layers)) })
}

func largeName(i int) string { return fmt.Sprintf("weight_%d", i+1) }

// writeInline writes the model with its weights as raw_data. Protobuf's parts may come in
// pieces, so the graph is the fields without weights followed by one field for each weight.
func writeInline(w io.Writer, m *onnxio.Model, weights []onnxio.Tensor, each int64, stream *numbers) error {
	graph, err := m.Proto.GetGraph().MarshalVT()
	if err != nil {
		return err
	}
	heads := make([][]byte, len(weights)) // what comes before each weight's numbers
	size := uint64(len(graph))
	for i, p := range weights {
		body, err := p.Marshal()
		if err != nil {
			return err
		}
		body = protowire.AppendTag(body, tensorRawData, protowire.BytesType)
		body = protowire.AppendVarint(body, uint64(each))
		heads[i] = protowire.AppendTag(nil, graphInitializer, protowire.BytesType)
		heads[i] = protowire.AppendVarint(heads[i], uint64(len(body))+uint64(each))
		heads[i] = append(heads[i], body...)
		size += uint64(len(heads[i])) + uint64(each)
	}
	m.Proto.Graph = nil
	head, err := m.Marshal()
	if err != nil {
		return err
	}
	head = protowire.AppendTag(head, modelGraph, protowire.BytesType)
	head = protowire.AppendVarint(head, size)
	if total := uint64(len(head)) + size; total > math.MaxInt32 {
		return fmt.Errorf("an inline model of %d bytes is over the 2 GiB that a message may have", total)
	}
	for _, part := range [][]byte{head, graph} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	for _, head := range heads {
		if _, err := w.Write(head); err != nil {
			return err
		}
		if err := stream.write(w, each); err != nil {
			return err
		}
	}
	return nil
}

// numbers is a stream of float32 numbers uniform in [-limit, limit).
type numbers struct {
	random *rand.Rand
	limit  float64
}

func (s *numbers) write(w io.Writer, bytes int64) error {
	var buffer [1 << 16]byte
	for bytes > 0 {
		part := buffer[:min(bytes, int64(len(buffer)))]
		for i := 0; i < len(part); i += 4 {
			v := float32(s.limit * (2*float64(s.random.Uint32())/(1<<32) - 1))
			binary.LittleEndian.PutUint32(part[i:], math.Float32bits(v))
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		bytes -= int64(len(part))
	}
	return nil
}

func create(path string, fill func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	return errors.Join(fill(w), w.Flush(), f.Close())
}
