// Package costs predicts how long nodes of a model take on a machine from a table of what was measured there.
//
// A [Table] has measured points, each a [Piece]: a node with its kernel, at the size at which it runs. What was measured is answered
// as it was; between the points a model of each kind of kernel answers, whose error is stated with it:
//
//	microseconds = a·padded work + b·bytes moved + c,  a, b, c ≥ 0
//
// where padded work is the multiply-adds of the kernel with its channels rounded up to the blocks that the runtime computes in, and c
// what every such node takes.
//
// Tables are JSON, and anybody may write one for another engine.
package costs

import (
	"fmt"
	"strconv"
	"strings"
)

// Piece is a node that multiplies by a constant weight, where it stands: all that decides on what it takes.
type Piece struct {
	Op string `json:"op"`
	// Type is the element type of the weight, "float32" for one; "int8" where the product is computed in eight bits.
	Type string `json:"type"`
	// Out and In are channels of all groups, Window the taps along the spatial axes (absent for a matrix).
	Out    int   `json:"out"`
	In     int   `json:"in"`
	Window []int `json:"window,omitempty"`
	Groups int   `json:"groups"`
	// Attributes are the node's other attributes, as text in a fixed order.
	Attributes string `json:"attributes,omitempty"`
	// Reads and Writes are the shapes of what the node reads beside the weight, and of what it writes.
	Reads  []int `json:"reads"`
	Writes []int `json:"writes"`
	// Raw says that it reads an input of the model, which no node has brought into the runtime's layout.
	Raw bool `json:"raw,omitempty"`
	// Behind is the activation behind it, which the runtime may compute in the same kernel.
	Behind string `json:"behind,omitempty"`
}

// Key tells pieces apart: two of the same key take the same time.
func (p Piece) Key() string {
	raw := ""
	if p.Raw {
		raw = " raw"
	}
	return strings.Join([]string{
		p.Op, p.Type, ints([]int{p.Out, p.In}), ints(p.Window), strconv.Itoa(p.Groups), p.Attributes, ints(p.Reads), ints(p.Writes), p.Behind + raw,
	}, "|")
}

// String says what the piece is, for people.
func (p Piece) String() string {
	s := fmt.Sprintf("%s %d×%d", p.Op, p.Out, p.In)
	if len(p.Window) > 0 {
		s += " " + ints(p.Window)
	}
	if p.Groups > 1 {
		s += fmt.Sprintf(" in %d groups", p.Groups)
	}
	return s + fmt.Sprintf(" on %s %s", p.Type, ints(p.Reads))
}

func ints(v []int) string {
	s := make([]string, len(v))
	for i, n := range v {
		s[i] = strconv.Itoa(n)
	}
	return strings.Join(s, "x")
}

// check refuses what no node is like.
func (p Piece) check() error {
	if p.Op == "" || p.Type == "" || p.Out < 1 || p.In < 1 || p.Groups < 1 || p.Out%p.Groups != 0 || p.In%p.Groups != 0 || len(p.Reads) == 0 || len(p.Writes) == 0 {
		return fmt.Errorf("%s: want an op, a type, channels that the groups divide, and the shapes of what it reads and writes", p)
	}
	size := 1.0
	for _, list := range [][]int{p.Window, p.Reads, p.Writes} {
		for _, n := range list {
			if n < 1 {
				return fmt.Errorf("%s: sizes are at least 1", p)
			}
			size *= float64(n)
		}
	}
	if size*float64(p.Out)*float64(p.In) > 1e60 {
		return fmt.Errorf("%s: no node is so large", p)
	}
	return nil
}

// Kind is what is fitted together: kernels that one routine of a runtime computes. Those of eight bits are far slower where channels
// are not in whole blocks.
func (p Piece) Kind() string {
	kind := p.routine()
	if p.Type == "int8" && len(p.Window) > 0 && p.Groups == 1 && (p.Out%blocked > 0 || p.In%blocked > 0 && p.In > blocked) {
		kind += ", beside blocks"
	}
	return kind
}

func (p Piece) routine() string {
	switch rank := len(p.Window); {
	case p.Op == "Gather":
		return p.Op
	case rank == 0 && product(p.Writes) == float64(p.Out):
		return p.Op + ", one row"
	case rank == 0:
		return p.Op
	case p.Groups == p.In && p.Groups == p.Out && p.Groups > 1 && p.Groups%blocked > 0:
		return fmt.Sprintf("%s %dD, depthwise, beside blocks", p.Op, rank)
	case p.Groups == p.In && p.Groups == p.Out && p.Groups > 1:
		return fmt.Sprintf("%s %dD, depthwise", p.Op, rank)
	case p.Groups > 1:
		return fmt.Sprintf("%s %dD, in groups", p.Op, rank)
	case p.In < blocked:
		return fmt.Sprintf("%s %dD, few inputs", p.Op, rank)
	case product(p.Window) == 1:
		return fmt.Sprintf("%s %dD, one tap", p.Op, rank)
	}
	return fmt.Sprintf("%s %dD", p.Op, len(p.Window))
}

// blocked is the largest block of channels of any runtime: what has fewer, or is no multiple of it, may take another routine.
const blocked = 16

// Work is the multiply-adds of the piece with the channels of a group in whole blocks. Fewer inputs than one block are not filled up.
func (p Piece) Work(block int) float64 {
	if p.Op == "Gather" {
		return 0
	}
	out, in := p.Out/p.Groups, p.In/p.Groups
	positions := product(p.Writes) / float64(p.Out)
	if p.Op == "ConvTranspose" {
		positions = product(p.Reads) / float64(p.In)
	}
	groups := float64(p.Groups)
	if out == 1 && in == 1 { // the groups are what lies in blocks
		groups = padded(p.Groups, block)
	} else {
		groups *= padded(out, block)
		if in >= block {
			groups *= padded(in, block)
		} else {
			groups *= float64(in)
		}
	}
	return positions * product(p.Window) * groups
}

func padded(n, block int) float64 { return float64((n + block - 1) / block * block) }

// Bytes is what the piece reads and writes, weight included.
func (p Piece) Bytes() float64 {
	width := 4.0
	switch p.Type {
	case "float64":
		width = 8
	case "float16", "bfloat16":
		width = 2
	case "int8": // as is what they are multiplied with
		width = 1
	}
	weight := float64(p.Out) * float64(p.In) / float64(p.Groups) * product(p.Window)
	if p.Op == "Gather" { // of the table only what is looked up
		weight = 0
	}
	return width * (weight + product(p.Reads) + product(p.Writes))
}

func product(v []int) float64 {
	p := 1.0
	for _, n := range v {
		p *= float64(n)
	}
	return p
}
