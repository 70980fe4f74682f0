package graph

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// node returns an operation on values, its attributes last.
func node(name, op, inputs, outputs string, attrs ...Attr) *onnxpb.NodeProto {
	return NewNode(op, name, fields(inputs), fields(outputs), attrs...).p
}

// fields splits names; "_" stands for one that is left out.
func fields(s string) []string {
	list := strings.Fields(s)
	for i := range list {
		if list[i] == "_" {
			list[i] = ""
		}
	}
	return list
}

// value returns a float32 value; dimensions below 0 are symbolic.
func value(name string, dims ...int) *onnxpb.ValueInfoProto {
	list := []Dim{}
	for _, d := range dims {
		if d < 0 {
			list = append(list, Dim{Size: -1, Name: "N" + strconv.Itoa(-d)})
			continue
		}
		list = append(list, Dim{Size: d})
	}
	return NewValue(name, tensor.Float32, list).p
}

// counting returns a float32 tensor of 0, 1, 2, …
func counting(name string, shape ...int) onnxio.Tensor {
	n, _ := tensor.Elements(shape)
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(i)
	}
	t, err := onnxio.NewTensor(name, tensor.Float32, shape, v)
	if err != nil {
		panic(err)
	}
	return t
}

// small returns a model with a convolution, a linear layer with its weight in a Constant
// node, and a branch whose bodies read values from around them.
func small() *onnxpb.ModelProto {
	body := func(name, op, out string) *onnxpb.GraphProto {
		return &onnxpb.GraphProto{
			Name: proto.String(name),
			Node: []*onnxpb.NodeProto{node(name+"/op", op, "y shift", out)},
			Output: []*onnxpb.ValueInfoProto{
				{Name: proto.String(out)},
			},
		}
	}
	yes, no := body("yes", "Add", "yes_out"), body("no", "Sub", "no_out")
	branch := func(name string, g *onnxpb.GraphProto) Attr {
		return Attr{&onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: g}}
	}
	flag := &onnxpb.TensorProto{Name: proto.String("flag"), DataType: proto.Int32(int32(tensor.Bool)), Int32Data: []int32{1}}
	return &onnxpb.ModelProto{
		IrVersion:     proto.Int64(8),
		ProducerName:  proto.String("test"),
		OpsetImport:   []*onnxpb.OperatorSetIdProto{{Version: proto.Int64(17)}},
		MetadataProps: []*onnxpb.StringStringEntryProto{{Key: proto.String("made by"), Value: proto.String("hand")}},
		Graph: &onnxpb.GraphProto{
			Name:        proto.String("small"),
			Input:       []*onnxpb.ValueInfoProto{value("x", -1, 2, 4, 4)},
			Initializer: []*onnxpb.TensorProto{counting("conv.w", 3, 2, 3, 3).Proto(), counting("shift", 1).Proto(), flag},
			Node: []*onnxpb.NodeProto{
				node("conv", "Conv", "x conv.w _", "c", Ints("pads", 1, 1, 1, 1), String("auto_pad", "NOTSET")),
				node("", "Flatten", "c", "f", Int("axis", 1)),
				node("weight", "Constant", "", "fc.w", Tensor("value", counting("", 48, 5))),
				node("alias", "Identity", "fc.w", "fc.alias"),
				node("fc", "Gemm", "f fc.alias", "y", Float("alpha", 0.5)),
				node("if", "If", "flag", "z", branch("then_branch", yes), branch("else_branch", no)),
			},
			Output: []*onnxpb.ValueInfoProto{value("z", -1, 5)},
		},
	}
}

// branch returns the first body of small's If.
func branch(p *onnxpb.ModelProto) *onnxpb.GraphProto { return p.Graph.Node[5].Attribute[0].G }
