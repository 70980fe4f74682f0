package costs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// LayersSchema names the shape of the times of layers as anybody may write them for an engine.
const LayersSchema = "onnx-compress/layers/1"

// Layer is what an engine made of some nodes of a model, and what it takes in one run.
type Layer struct {
	Name string `json:"name,omitempty"`
	// Nodes are the names of the model's nodes that it computes; there are none where it only moves data.
	Nodes  []string `json:"nodes"`
	Micros float64  `json:"us"`
}

// Profile is what the layers of an engine take, all of them.
type Profile struct {
	Machine
	Layers []Layer
}

// tensorRT is the machine that a profile of trtexec is of, which does not say more.
func tensorRT() Machine {
	return Machine{Processor: "GPU", Runtime: "TensorRT", Provider: "trtexec", Threads: 1, Batch: 1}
}

// ParseProfile reads what layers take: a file of `trtexec --exportProfile`, or one of LayersSchema. info is a file of `trtexec
// --exportLayerInfo` of the same engine, from which nodes of fused layers are known that names alone do not tell; nil for none.
func ParseProfile(data, info []byte) (*Profile, error) {
	p, err := parseProfile(data)
	if err != nil {
		return nil, err
	}
	nodes := map[string][]string{}
	if info != nil {
		if nodes, err = parseInfo(info); err != nil {
			return nil, err
		}
	}
	for i := range p.Layers {
		l := &p.Layers[i]
		if named := nodes[l.Name]; len(named) > 0 {
			l.Nodes = named
		}
		if !finite(l.Micros) {
			return nil, fmt.Errorf("layer %q: it takes %g µs; want 0 or more", l.Name, l.Micros)
		}
	}
	if len(p.Layers) == 0 {
		return nil, errors.New("no profile of layers: there is no layer in it")
	}
	if p.Threads < 1 || p.Batch < 1 {
		return nil, errors.New("no profile of layers: want at least one thread, and a batch of at least 1")
	}
	return p, nil
}

func parseProfile(data []byte) (*Profile, error) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '[' {
		return parseLayers(data)
	}
	var list []struct {
		Count  float64 `json:"count"`
		Name   string  `json:"name"`
		Mean   float64 `json:"averageMs"`
		Median float64 `json:"medianMs"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("no profile of trtexec: %w", err)
	}
	p := &Profile{Machine: tensorRT()}
	for _, e := range list {
		if e.Name == "" {
			continue // how many runs there were
		}
		l := Layer{Name: e.Name, Nodes: fused(e.Name), Micros: 1000 * e.Median}
		if e.Median == 0 { // which versions before 8.5 do not have
			l.Micros = 1000 * e.Mean
		}
		p.Layers = append(p.Layers, l)
	}
	return p, nil
}

// parseLayers reads a file of LayersSchema.
func parseLayers(data []byte) (*Profile, error) {
	var w struct {
		Schema string `json:"schema"`
		Machine
		Layers []Layer `json:"layers"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("no profile of layers: %w", err)
	}
	if w.Schema != LayersSchema {
		return nil, fmt.Errorf("no profile of layers: its schema is %q, want %q, or the list that trtexec writes", w.Schema, LayersSchema)
	}
	return &Profile{w.Machine, w.Layers}, nil
}

// fused are the nodes in the name of a layer of TensorRT, which joins them with plus signs. Copies name the layer that they are for,
// and what is fused from one node to another names these two alone.
func fused(name string) []string {
	if strings.HasPrefix(name, "Reformatting CopyNode ") || strings.Contains(name, "{ForeignNode[") {
		return nil
	}
	var out []string
	for _, part := range strings.Split(name, " + ") {
		if part = strings.TrimSpace(part); part != "" && !slices.Contains(out, part) {
			out = append(out, part)
		}
	}
	return out
}

// parseInfo reads the nodes of layers from what trtexec says of an engine that was built with --profilingVerbosity=detailed: their
// metadata. Of other engines there are names alone.
func parseInfo(data []byte) (map[string][]string, error) {
	var w struct {
		Layers []json.RawMessage `json:"Layers"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("no layers of trtexec: %w", err)
	}
	out := map[string][]string{}
	for _, raw := range w.Layers {
		var l struct {
			Name     string `json:"Name"`
			Metadata string `json:"Metadata"`
		}
		if len(raw) > 0 && raw[0] != '{' {
			continue // a name alone
		}
		if err := json.Unmarshal(raw, &l); err != nil {
			return nil, fmt.Errorf("no layers of trtexec: %w", err)
		}
		out[l.Name] = origins(l.Metadata)
	}
	return out, nil
}

// origin begins the name of a node in the metadata of a layer, which ends with a bracket, or with a bar before the functions that the
// node is in.
const origin = "[ONNX Layer: "

// origins are the nodes that metadata name.
func origins(metadata string) (out []string) {
	for {
		_, rest, found := strings.Cut(metadata, origin)
		if !found {
			return out
		}
		name, after, closed := strings.Cut(rest, "]")
		if next := strings.Index(rest, origin); !closed || next >= 0 && next < len(name) {
			return out
		}
		name, _, _ = strings.Cut(name, " | ")
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
		metadata = after
	}
}

// Unnamed is what a layer calls a node that has no name, by its first output, where it writes one.
func Unnamed(output string) string { return "node_of_" + output }
