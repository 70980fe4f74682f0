package grad

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// chains is a stack of convolutions k×k of low rank and 1×1, with ReLUs between, for 64
// images: what a network looks like after compression.
func chains(channels, rank, size, depth int) *net {
	n := newNet(13, tensor.Float32, 1)
	scaled := func(fan int) fill { return off(float64(fan) * 1e9) }
	x := n.data(normal, 64, channels, size, size)
	for range depth {
		x = n.op("Conv", []string{x, n.weight(scaled(channels*9), rank, channels, 3, 3)}, graph.Ints("pads", 1, 1, 1, 1))
		x = n.op("Conv", []string{x, n.weight(scaled(rank), channels, rank, 1, 1), n.weight(normal, channels)})
		x = n.op("Relu", []string{x})
	}
	n.out(n.op("GlobalAveragePool", []string{x}))
	return n
}

func BenchmarkChains(b *testing.B) {
	l := orttest.Open(b)
	for _, c := range []struct{ channels, rank, size int }{{16, 6, 32}, {32, 12, 16}, {64, 24, 8}} {
		n := chains(c.channels, c.rank, c.size, 4)
		m := n.model()
		o := Options{Values: n.inferred(m), Wanted: n.wanted}
		var sites []string
		for _, node := range n.parts.Nodes {
			if node.Op() == "Conv" {
				sites = append(sites, node.Output(0))
			}
		}
		name := fmt.Sprintf("%dx%d", c.channels, c.size)
		b.Run(name+"/forward", func(b *testing.B) { benchmark(b, l, m, n.feeds, nil) })
		for kind, o := range map[string]Options{
			"values":  {Values: o.Values, Wanted: sites},
			"weights": {Values: o.Values, Wanted: n.wanted},
			"fed":     {Values: o.Values, Wanted: n.wanted, Feed: n.wanted},
		} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				g, err := Build(m, o)
				if err != nil {
					b.Fatal(err)
				}
				defer g.Model.Close()
				feeds := maps.Clone(n.feeds)
				if o.Feed != nil {
					_, feeds = n.opened()
				}
				for out, in := range g.Cotangents {
					feeds[in] = tensor.New(tensor.Float32, o.Values[out].Shape...)
				}
				var outputs []string
				for _, w := range o.Wanted {
					outputs = append(outputs, g.Gradients[w])
				}
				benchmark(b, l, g.Model, feeds, outputs)
			})
		}
	}
}

func benchmark(b *testing.B, l *ort.Library, m *onnxio.Model, feeds map[string]tensor.Dense, outputs []string) {
	s := session(b, l, m)
	for b.Loop() {
		r, err := s.Run(context.Background(), feeds, outputs)
		if err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

func BenchmarkBuild(b *testing.B) {
	n := chains(64, 24, 8, 50)
	m := n.model()
	o := Options{Values: n.inferred(m), Wanted: n.wanted}
	b.ReportAllocs()
	for b.Loop() {
		g, err := Build(m, o)
		if err != nil {
			b.Fatal(err)
		}
		g.Model.Close()
	}
}
