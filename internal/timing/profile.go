package timing

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/ort"
)

// Kernel is what one node of a model took, as the runtime runs it: its name and operator are those after the runtime's own changes.
type Kernel struct {
	Node, Op string
	// Micros are the microseconds of each time that it ran.
	Micros []float64
}

// maxProfile is the most that is read of a profile: the runtime stops at a million events, of a few hundred bytes each.
const maxProfile = 1 << 30

// event is one line of a profile that ONNX Runtime writes.
type event struct {
	Category string  `json:"cat"`
	Name     string  `json:"name"`
	Micros   float64 `json:"dur"`
	Args     struct {
		Op    string `json:"op_name"`
		Index string `json:"node_index"`
	} `json:"args"`
}

// bodies are the operators that run other nodes, which are in the profile too.
var bodies = []string{"If", "Loop", "Scan"}

// Profile ends the profile of a session and reads it: its nodes in the order in which they first ran. Nodes that run others are left out.
func Profile(s *ort.Session) ([]Kernel, error) {
	path, err := s.EndProfiling()
	if err != nil {
		return nil, err
	}
	return ReadProfile(path)
}

// ReadProfile reads the profile that a session has written.
func ReadProfile(path string) ([]Kernel, error) {
	file, _, err := bounded.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	kernels, err := readProfile(bounded.Reader(file, path, maxProfile))
	if err != nil {
		return nil, fmt.Errorf("the runtime's profile %s: %w", path, err)
	}
	return kernels, nil
}

func readProfile(r io.Reader) ([]Kernel, error) {
	var events []event
	if err := json.NewDecoder(r).Decode(&events); err != nil {
		return nil, err
	}
	var out []Kernel
	at := map[string]int{}
	for _, e := range events {
		name, timed := strings.CutSuffix(e.Name, "_kernel_time")
		if e.Category != "Node" || !timed || e.Micros < 0 || slices.Contains(bodies, e.Args.Op) {
			continue
		}
		key := e.Args.Index + " " + name // indices repeat in the bodies of others
		i, known := at[key]
		if !known {
			i = len(out)
			at[key], out = i, append(out, Kernel{Node: name, Op: e.Args.Op})
		}
		out[i].Micros = append(out[i].Micros, e.Micros)
	}
	return out, nil
}

// Operator is what all nodes of one operator take in one run of a model.
type Operator struct {
	Op     string
	Nodes  int
	Micros float64
}

// Operators sums kernels of so many runs up by operator, the dearest first. The first skip runs do not count.
func Operators(kernels []Kernel, runs, skip int) []Operator {
	var out []Operator
	for _, k := range kernels {
		i := slices.IndexFunc(out, func(o Operator) bool { return o.Op == k.Op })
		if i < 0 {
			i, out = len(out), append(out, Operator{Op: k.Op})
		}
		each := max(len(k.Micros)/max(runs, 1), 1) // more than one in a loop
		out[i].Nodes++
		if late := k.Micros[min(skip*each, len(k.Micros)-1):]; len(late) > 0 {
			out[i].Micros += Middle(late) * float64(len(k.Micros)) / float64(max(runs, 1))
		}
	}
	slices.SortStableFunc(out, func(a, b Operator) int { return cmp.Or(cmp.Compare(b.Micros, a.Micros), cmp.Compare(a.Op, b.Op)) })
	return out
}
