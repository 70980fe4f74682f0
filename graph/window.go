package graph

import (
	"fmt"
	"slices"
)

// maxSize bounds sizes in attributes, so that sums and products of them stay in range.
const maxSize = 1 << 31

// Window is how a sliding window meets the spatial axes of a node's input, as the attributes of convolutions and pools
// say it. Each list has an entry for every spatial axis.
type Window struct {
	Strides, Dilations []int
	// Begin and End are the pads; zeros where Auto leaves them to the sizes.
	Begin, End []int
	// Auto is "SAME_UPPER" or "SAME_LOWER", else empty.
	Auto string
}

// Window reads the attributes strides, dilations, auto_pad and pads for so many spatial axes.
func (n Node) Window(rank int) (w Window, err error) {
	w.Begin, w.End = make([]int, rank), make([]int, rank)
	if w.Strides, err = n.Spatial("strides", rank); err != nil {
		return w, err
	}
	if w.Dilations, err = n.Spatial("dilations", rank); err != nil {
		return w, err
	}
	switch auto := n.String("auto_pad", "NOTSET"); auto {
	case "SAME_UPPER", "SAME_LOWER":
		w.Auto = auto
		return w, nil
	case "VALID":
		return w, nil
	case "NOTSET", "":
	default:
		return w, fmt.Errorf("auto_pad %q is not defined", auto)
	}
	switch pads := n.Ints("pads"); {
	case pads == nil:
	case len(pads) != 2*rank:
		return w, fmt.Errorf("pads %v for %d spatial axes", pads, rank)
	case outside(pads, -maxSize):
		return w, fmt.Errorf("pads %v", pads)
	default:
		w.Begin, w.End = pads[:rank], pads[rank:]
	}
	return w, nil
}

// Spatial returns a list attribute with a positive entry for each spatial axis, ones where the node has none.
func (n Node) Spatial(name string, rank int) ([]int, error) {
	switch list := n.Ints(name); {
	case list == nil:
		return slices.Repeat([]int{1}, rank), nil
	case len(list) != rank:
		return nil, fmt.Errorf("%s %v for %d spatial axes", name, list, rank)
	case outside(list, 1):
		return nil, fmt.Errorf("%s %v", name, list)
	default:
		return list, nil
	}
}

// outside tells whether any of the sizes is less than the least one allowed, or too large.
func outside(list []int, least int) bool {
	return slices.ContainsFunc(list, func(v int) bool { return v < least || v > maxSize })
}

// Axis counts an axis from the front; one below 0 is counted from the end of so many.
func Axis(a, rank int) (int, error) {
	if a < -rank || a >= rank {
		return 0, fmt.Errorf("axis %d is out of range for rank %d", a, rank)
	}
	if a < 0 {
		a += rank
	}
	return a, nil
}

// Axes is Axis for a list that names none twice.
func Axes(list []int, rank int) ([]int, error) {
	out := make([]int, 0, len(list))
	for _, a := range list {
		k, err := Axis(a, rank)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, k) {
			return nil, fmt.Errorf("axis %d is named twice", a)
		}
		out = append(out, k)
	}
	return out, nil
}
