package costs

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// The recorded files are written by hand after what trtexec's sources and manual say of its format.
const (
	recorded = `[
  { "count" : 312 }
, { "name" : "Reformatting CopyNode for Input Tensor 0 to /conv1/Conv + /relu/Relu", "timeMs" : 1.5, "averageMs" : 0.005, "medianMs" : 0.0049, "percentage" : 4 }
, { "name" : "/conv1/Conv + /relu/Relu", "timeMs" : 15.6, "averageMs" : 0.05, "medianMs" : 0.048, "percentage" : 60 }
, { "name" : "/layer1/conv/Conv", "timeMs" : 6.24, "averageMs" : 0.02, "percentage" : 20 }
, { "name" : "{ForeignNode[/flatten/Flatten.../fc/Gemm]}", "timeMs" : 3.12, "averageMs" : 0.01, "medianMs" : 0.011, "percentage" : 16 }
]`
	detailed = `{"Layers": [
  {"Name": "/conv1/Conv + /relu/Relu", "LayerType": "CaskConvolution", "Inputs": [], "Metadata": "[ONNX Layer: /conv1/Conv]\u001e[ONNX Layer: /relu/Relu]"},
  {"Name": "{ForeignNode[/flatten/Flatten.../fc/Gemm]}", "LayerType": "Myelin", "Metadata": "[ONNX Layer: /flatten/Flatten]\u001f[ONNX Layer: /fc/Gemm | head (Head)]"}
], "Bindings": ["input", "logits"]}`
	brief = `{"Layers": ["/conv1/Conv + /relu/Relu", "/layer1/conv/Conv"], "Bindings": ["input"]}`
	own   = `{"schema": "onnx-compress/layers/1", "processor": "NPU 7", "runtime": "engine 2", "provider": "npu", "threads": 1, "batch": 4,
		"layers": [{"nodes": ["/conv1/Conv", "/relu/Relu"], "us": 12.5}, {"name": "copy", "nodes": [], "us": 1}]}`
)

// TestParseProfile: layers have the median, or else the mean, and the nodes that their names or their metadata tell.
func TestParseProfile(t *testing.T) {
	for name, c := range map[string]struct {
		info string
		last []string
	}{"names": {"", nil}, "brief": {brief, nil}, "detailed": {detailed, []string{"/flatten/Flatten", "/fc/Gemm"}}} {
		var info []byte
		if c.info != "" {
			info = []byte(c.info)
		}
		p, err := ParseProfile([]byte(recorded), info)
		if err != nil {
			t.Fatal(err)
		}
		want := []Layer{
			{Nodes: nil, Micros: 4.9}, {Nodes: []string{"/conv1/Conv", "/relu/Relu"}, Micros: 48}, {Nodes: []string{"/layer1/conv/Conv"}, Micros: 20}, {Nodes: c.last, Micros: 11},
		}
		if len(p.Layers) != len(want) || p.Runtime != "TensorRT" {
			t.Fatalf("%s: %+v", name, p)
		}
		for i, w := range want {
			if l := p.Layers[i]; !slices.Equal(l.Nodes, w.Nodes) || math.Abs(l.Micros-w.Micros) > 1e-9 {
				t.Errorf("%s: layer %d is %+v, want %+v", name, i, l, w)
			}
		}
	}
	p, err := ParseProfile([]byte(own), nil)
	if err != nil || p.Processor != "NPU 7" || p.Batch != 4 || len(p.Layers) != 2 || p.Layers[0].Micros != 12.5 {
		t.Errorf("%+v, %v", p, err)
	}
	for text, want := range map[string]string{
		`[]`: "no layer", `{`: "no profile of layers", `[{"name": 3}]`: "no profile of trtexec", `{"schema": "x"}`: "its schema is",
		`[{"name": "a", "averageMs": -1}]`:                                            "takes -1000",
		`{"schema": "onnx-compress/layers/1", "layers": [{"nodes": ["a"], "us": 1}]}`: "at least one thread",
	} {
		if _, err := ParseProfile([]byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := ParseProfile([]byte(recorded), []byte(`{"Layers": [{"Name": 1}]}`)); err == nil || !strings.Contains(err.Error(), "no layers of trtexec") {
		t.Error(err)
	}
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte(recorded), []byte(detailed))
	f.Add([]byte(recorded), []byte(brief))
	f.Add([]byte(own), []byte(`{"Layers":[]}`))
	f.Fuzz(func(t *testing.T, data, info []byte) {
		p, err := ParseProfile(data, info)
		if err != nil {
			return
		}
		for _, l := range p.Layers {
			if !finite(l.Micros) || slices.Contains(l.Nodes, "") && strings.HasPrefix(strings.TrimSpace(string(data)), "[") {
				t.Errorf("%+v", l)
			}
		}
	})
}
