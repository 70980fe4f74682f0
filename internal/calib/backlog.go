package calib

import (
	"context"
	"sync"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// given is what a run gave.
type given struct {
	run     *feed.Run
	pass    *pass       // nil without probes
	counts  counting    // what the outputs' numbers count
	weights [][]float32 // of the positions at each station, nil for all equal
	probes  []outcome   // one without probes
	buffer  []byte      // where values are that were copied
}

// outcome is what one probe of a run gave.
type outcome struct {
	values map[string]tensor.Dense
	why    string // there are no gradients
}

// line is what values lie at multiples of, as in the runtime: products of gonum round otherwise from other addresses.
const line = 64

// inLines rounds a size up to whole lines.
func inLines(size int) int { return (size + line - 1) / line * line }

// lined makes room for so many bytes that begins with a line.
func lined(size int) []byte {
	room := make([]byte, size+line-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(room))) % line)
	return room[skip : skip : skip+size]
}

// keep copies the named values, which are valid until the run is forgotten.
func (g *given) keep(names []string) {
	values, size := g.probes[len(g.probes)-1].values, 0
	for _, name := range names {
		size += inLines(len(values[name].Data))
	}
	from := len(g.buffer)
	if cap(g.buffer)-from < size {
		g.buffer, from = lined(size), 0 // what was kept stays where it is
	}
	g.buffer = g.buffer[:from+size]
	for _, name := range names {
		v := values[name]
		n := copy(g.buffer[from:], v.Data)
		v.Data = g.buffer[from : from+n : from+n]
		values[name], from = v, from+inLines(n)
	}
}

// backlog has what runs gave until there is enough of it to be added to sums that lie in a file: each of these comes into memory once
// then, and not once a run.
type backlog struct {
	c       *collector
	limit   int       // bytes
	workers []*worker // that add

	mu    sync.Mutex
	held  map[int]*given // by the number of the run
	next  int            // the first that was not added
	bytes int
	spare [][]byte
}

// backlogPart is the share of the memory limit that what runs gave may take.
const backlogPart = 4

func newBacklog(c *collector) *backlog {
	b := &backlog{c: c, limit: int(c.o.Memory / backlogPart), held: map[int]*given{}}
	for range c.o.Threads {
		b.workers = append(b.workers, &worker{backend: c.o.Backend})
	}
	return b
}

// buffer is one that was used before, if there is any.
func (b *backlog) buffer() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.spare) == 0 {
		return nil
	}
	last := b.spare[len(b.spare)-1]
	b.spare = b.spare[:len(b.spare)-1]
	return last[:0]
}

// put takes in what a run gave, and adds what there is when it is enough.
func (b *backlog) put(ctx context.Context, g *given) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[g.run.Seq] = g
	if b.bytes += len(g.buffer); b.bytes < b.limit {
		return nil
	}
	return b.flush(ctx)
}

// empty adds what is left.
func (b *backlog) empty(ctx context.Context) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = nil
	return b.flush(ctx)
}

// flush adds the runs up to the first that is missing, to one sum after the other.
func (b *backlog) flush(ctx context.Context) error {
	var list []*given
	for g, ok := b.held[b.next]; ok; g, ok = b.held[b.next] {
		delete(b.held, b.next)
		list, b.next = append(list, g), b.next+1
	}
	if len(list) == 0 {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	sums := make(chan func(*worker) error)
	for _, w := range b.workers {
		group.Go(func() error {
			for add := range sums {
				if err := add(w); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(sums)
		return b.c.eachSum(ctx, list, func(add func(*worker) error) error {
			select {
			case sums <- add:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for _, g := range list {
		b.bytes -= len(g.buffer)
		b.spare = append(b.spare, g.buffer)
	}
	return nil
}

// eachSum hands out, for each station and sensor, what adds the runs there, in their order.
func (c *collector) eachSum(ctx context.Context, list []*given, work func(func(*worker) error) error) error {
	for k, st := range c.stations {
		err := work(func(w *worker) error {
			return st.seen.while(func() error {
				for _, g := range list {
					if err := c.addColumns(ctx, w, g, k); err != nil {
						return named(g.run, err)
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	for i, s := range c.sensors {
		err := work(func(w *worker) error {
			return s.seen.while(func() error {
				for _, g := range list {
					for probe := range g.probes {
						if err := c.addFelt(ctx, w, g, i, probe); err != nil {
							return named(g.run, err)
						}
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
