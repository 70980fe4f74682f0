package onnxio

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// nested returns a model whose graph holds graphs in attributes, each level three messages
// deeper, around one node.
func nested(levels int) *onnxpb.ModelProto {
	g := &onnxpb.GraphProto{Name: proto.String("innermost")}
	for range levels {
		body := &onnxpb.AttributeProto{Name: proto.String("body"), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: g}
		g = &onnxpb.GraphProto{Name: proto.String("g"), Node: []*onnxpb.NodeProto{node("", "Custom", "", "", body)}}
	}
	p := small()
	p.Graph = g
	return p
}

func TestDepth(t *testing.T) {
	// In the model, a graph and then three messages a level: 33 levels make just 100.
	for levels, fits := range map[int]bool{33: true, 34: false, 100_000: false} {
		b, err := proto.Marshal(nested(levels))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(b, "")
		if fits && err != nil {
			t.Errorf("%d levels of subgraphs: %v", levels, err)
		}
		if !fits {
			refused(t, err, "nest more than 100 deep")
		}
	}
}

func TestScanNamesTheField(t *testing.T) {
	b, err := proto.Marshal(small())
	if err != nil {
		t.Fatal(err)
	}
	err = scan(b[:200])
	refused(t, err, "field 7 takes", "but the file has 200 bytes")
	// A sub-message that is longer than the message around it is damage, not a cut.
	b[strings.Index(string(b), "conv.w")-1] = 0x7f
	if _, err = Parse(b, ""); err == nil || strings.Contains(err.Error(), "cut short") {
		t.Errorf("a damaged length: %v", err)
	}
}
