package graph_test

import (
	"reflect"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

func TestWindow(t *testing.T) {
	node := func(attrs ...graph.Attr) graph.Node { return graph.NewNode("Conv", "c", nil, nil, attrs...) }
	ones, zeros := []int{1, 1}, []int{0, 0}
	for _, c := range []struct {
		node graph.Node
		want graph.Window
	}{
		{node(), graph.Window{Strides: ones, Dilations: ones, Begin: zeros, End: zeros}},
		{
			node(graph.Ints("strides", 2, 3), graph.Ints("dilations", 1, 4), graph.Ints("pads", 1, 0, -2, 5)),
			graph.Window{Strides: []int{2, 3}, Dilations: []int{1, 4}, Begin: []int{1, 0}, End: []int{-2, 5}},
		},
		{
			node(graph.String("auto_pad", "SAME_LOWER"), graph.Ints("pads", 1, 1, 1, 1)),
			graph.Window{Strides: ones, Dilations: ones, Begin: zeros, End: zeros, Auto: "SAME_LOWER"},
		},
		{node(graph.String("auto_pad", "VALID"), graph.Ints("pads", 1, 1, 1, 1)), graph.Window{Strides: ones, Dilations: ones, Begin: zeros, End: zeros}},
	} {
		if got, err := c.node.Window(2); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v (%v), want %+v", got, err, c.want)
		}
	}
	for _, c := range []struct {
		attr graph.Attr
		word string
	}{
		{graph.Ints("strides", 1), "strides [1] for 2 spatial axes"},
		{graph.Ints("dilations", 1, 0), "dilations [1 0]"},
		{graph.Ints("dilations", 1, 1<<40), "dilations"},
		{graph.Ints("pads", 1, 1), "pads [1 1] for 2 spatial axes"},
		{graph.Ints("pads", 1, 1, 1, 1<<40), "pads"},
		{graph.String("auto_pad", "SAME"), `auto_pad "SAME"`},
	} {
		_, err := node(c.attr).Window(2)
		testkit.WantError(t, err, c.word)
	}
}

func TestAxes(t *testing.T) {
	if got, err := graph.Axes([]int{2, -3, 1}, 3); err != nil || !reflect.DeepEqual(got, []int{2, 0, 1}) {
		t.Errorf("%v (%v), want [2 0 1]", got, err)
	}
	_, err := graph.Axes([]int{1, -2}, 3)
	testkit.WantError(t, err, "axis -2 is named twice")
	_, err = graph.Axes([]int{3}, 3)
	testkit.WantError(t, err, "axis 3 is out of range for rank 3")
}
