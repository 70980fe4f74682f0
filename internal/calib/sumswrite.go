package calib

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// sumsMagic starts the sums of sites that are calibrated together; its last byte is the version of the format.
const sumsMagic = "onnx-compress.sums\x01"

// CollectPart sums what Collect does over the chunks of one part of the samples, and writes the sums to w, from which Merge makes the
// statistics of all. The samples are the same for all parts: those that indices number.
//
// The format is little-endian: the magic with its version; what was summed, as JSON behind its length in bytes; for each reading, and then
// for each site that has sensitivities, the number of nodes of the tree over the chunks, and for each its level, its number among those
// of the level, the length of what follows, and that. Of a reading these are the positions, samples and positions of either half; the
// number of axes of the first sample's input, and the axes; the weights of positions as in Stats.WriteTo; the number of
// counts, and the counts; the number of kept runs, and for each its half, the number of columns, these in float32, and the
// roots of their weights, 0 or as many; then the sums, if any: for each group the K×K numbers, the second half's in the rows of the lower
// triangle, the second half's diagonals, [groups, K], and the first moments, [2, groups, K]. Of a site: the positions, Σn², the number of
// groups and Σ S² of each, what kept gradients away, then the upper triangles of the groups, if any, row by row. Behind the
// last site follow WᵀW of those whose scale is pulled back, in their order, as moments are written.
func CollectPart(ctx context.Context, lib *ort.Library, m *onnxio.Model, sites []rewrite.Site, src samples.Source, indices []int, o Options, part Part, w io.Writer) error {
	return swept(ctx, lib, m, sites, src, indices, o, part, func(c *collector) error { return c.write(ctx, w) })
}

// sumsHead is the JSON of a section of sums.
type sumsHead struct {
	heading
	account
}

func (c *collector) write(ctx context.Context, to io.Writer) error {
	return c.writeAs(ctx, c.heading(), to)
}

// writeAs writes under a heading.
func (c *collector) writeAs(ctx context.Context, h heading, to io.Writer) error {
	text, err := json.Marshal(sumsHead{h, c.account})
	if err != nil {
		return err
	}
	w := writer{w: to}
	w.b.WriteString(sumsMagic)
	w.text(string(text))
	for _, st := range c.stations {
		if err := writeNodes(ctx, &w, &st.seen); err != nil {
			return fmt.Errorf("the sums of %q: %w", st.reading.Input, err)
		}
	}
	for _, s := range c.sensors {
		if err := writeNodes(ctx, &w, &s.seen); err != nil {
			return fmt.Errorf("the sums of site %q: %w", s.site.Name, err)
		}
	}
	for i := range c.sensors {
		if pulled := c.account.Scales[i].pulled; pulled != nil {
			if err := w.moment(pulled); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

// node is what a node of the tree over the chunks has, as it is written.
type node[T any] interface {
	summed[T]
	// head writes what stands before the sums.
	head(w *writer)
}

func writeNodes[T node[T]](ctx context.Context, w *writer, p *pending[T]) error {
	nodes := p.tree.Nodes()
	w.count(len(nodes))
	for _, n := range nodes {
		var head writer
		n.Value.head(&head)
		numbers := n.Value.numbers()
		length := head.b.Len()
		for _, v := range numbers {
			length += 8 * len(v)
		}
		w.count(n.Level)
		w.count(n.Index)
		w.count(length)
		w.b.Write(head.b.Bytes())
		for _, v := range numbers {
			for piece := range slices.Chunk(v, 1<<16) {
				if err := ctx.Err(); err != nil {
					return err
				}
				w.numbers(piece)
				if err := w.flush(); err != nil {
					return err
				}
			}
		}
	}
	return w.flush()
}

func (s *shown) head(w *writer) {
	w.count(int(s.positions))
	w.count(int(s.samples))
	w.count(int(s.halves[0]))
	w.count(int(s.halves[1]))
	w.count(len(s.shape))
	for _, n := range s.shape {
		w.count(n)
	}
	w.felt(s.felt)
	w.count(len(s.counts))
	for _, n := range s.counts {
		w.count(int(n))
	}
	w.count(len(s.kept))
	for _, r := range s.kept {
		w.count(r.half)
		w.weights(r.columns)
		w.weights(r.roots)
	}
}

func (s *sensed) head(w *writer) {
	w.count(int(s.positions))
	w.numbers([]float64{s.spread.q})
	w.count(len(s.spread.squares))
	w.numbers(s.spread.squares)
	w.text(s.why)
}
