package rewrite

import (
	"cmp"
	"fmt"

	"github.com/onnx-compress/onnx-compress/graph"
)

// foreign says why a multiplying node outside the main graph is left alone.
func (f *finder) foreign(at graph.Place, n graph.Node) Skip {
	skip := Skip{Node: n, Index: at.Index, Op: n.Op(), Name: n.Label(), Where: at.Path, Kind: SkipFunction}
	skip.Reason = "inside local " + at.Path + ", " + f.apart(at.Path)
	if !at.Holder.IsZero() {
		skip.Kind, skip.Reason = SkipSubgraph, fmt.Sprintf("inside a subgraph of %s %q", at.Holder.Type(), at.Path)
		if outer := f.graph.Nodes()[at.Index].Op(); at.Holder.Op() == "If" && (outer == "Loop" || outer == "Scan") {
			skip.Reason = fmt.Sprintf("in a branch of If %q in the body of a %s: which branch an iteration takes is not followed", at.Path, outer)
		}
		if op := at.Holder.Op(); op == "Loop" || op == "Scan" {
			skip.Reason = fmt.Sprintf("inside the body of %s %q%s: only those are followed that are known to run twice or more often, whatever they compute", op, at.Path, f.endedBy(at.Holder))
		}
	}
	return skip
}

// endedBy names the condition that a Loop computes to go on, nothing where it computes none.
func (f *finder) endedBy(n graph.Node) string {
	g, ok := n.Graph(f.model, "body")
	if !ok || n.Op() != "Loop" || len(g.Outputs()) == 0 || len(g.Inputs()) < 2 {
		return ""
	}
	goes := g.Outputs()[0].Name()
	for made, ok := g.Producer(goes); ok && made.Op() == "Identity"; made, ok = g.Producer(goes) {
		goes = made.Input(0)
	}
	if _, computed := g.Producer(goes); !computed || goes == g.Inputs()[1].Name() {
		return ""
	}
	if _, constant := g.Constant(goes); constant {
		return ""
	}
	return fmt.Sprintf(", which %q may end", g.Outputs()[0].Name())
}

// apart says what keeps a local function's nodes from being seen where it is called.
func (f *finder) apart(path string) string {
	for _, fn := range graph.Functions(f.model) {
		if path != "function "+fn.Op() {
			continue
		}
		for _, o := range fn.Opsets() {
			if have := f.model.Opset(o.Domain); have != 0 && have != int64(o.Version) {
				return fmt.Sprintf("which imports version %d of the operators of %q, and the model version %d", o.Version, cmp.Or(o.Domain, "ai.onnx"), have)
			}
		}
	}
	return "which may be called from several places"
}
