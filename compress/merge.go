package compress

import (
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// MergedNodes are two nodes that became one, because they follow each other with nothing between and one of them came of
// the rewriting. What is saved lies beyond what the sites' numbers say, which count their chains apart.
type MergedNodes struct {
	First  string `json:"first"`
	Second string `json:"second"`
	Node   string `json:"node"`
	Params int64  `json:"params"`
	MACs   int64  `json:"macs"`
}

// merge joins the neighbours in the rewritten model, which it closes.
func (j *job) merge(m *onnxio.Model, patches []rewrite.Patch) (*onnxio.Model, error) {
	inputs, _ := shapes.InputShapes(m, j.shapes)
	small, list, err := rewrite.Merge(m, rewrite.MergeOptions{Inputs: inputs, Patches: patches, Sites: j.analysis.Sites, Backend: j.libs.Algebra})
	if err = errors.Join(err, m.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", j.model.Path, err)
	}
	j.result.Merged = nil
	for _, n := range list {
		j.result.Merged = append(j.result.Merged, MergedNodes{First: n.First, Second: n.Second, Node: n.Name, Params: n.Params, MACs: n.MACs})
	}
	return small, nil
}
