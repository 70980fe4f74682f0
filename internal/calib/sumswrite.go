package calib

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// sumsMagic starts the sums of sites that are calibrated together; its last byte is the version of the format.
const sumsMagic = "onnx-compress.sums\x01"

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
